"""A small HTTP client of Peerview's services: one kept connection, and errors that say what to do.

Not safe for use by several threads at once: give each its own.
"""

import contextlib
import http.client
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

TIMEOUT_S: Final = 60.0


class ServiceError(RuntimeError):
    """An answer that is not the one asked for, or none at all (``status`` 0)."""

    def __init__(
        self, status: int, message: str, body: Any = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = body
        self.retry_after = retry_after
        """Seconds that the service asked to wait."""

    @property
    def code(self) -> str | None:
        """The stable word of a problem document, such as ``throttled``."""
        kind = self.body.get("type") if isinstance(self.body, dict) else None
        return kind.rpartition(":")[2] if isinstance(kind, str) else None


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    data: bytes

    def json(self) -> Any:
        return json.loads(self.data)


class Client:
    """``token`` is asked for at every request, so that it may be renewed."""

    def __init__(
        self,
        url: str,
        token: Callable[[], str] | None = None,
        *,
        timeout: float = TIMEOUT_S,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not an http address: {url!r}")
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self.url = url.rstrip("/")
        self._base = parts.path.rstrip("/")
        self._connection = kind(parts.hostname, parts.port, timeout=timeout)
        self._token = token
        self._headers = dict(headers or {})

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer, whatever its status. An iterable body is streamed, and sent only once."""
        sent = self._headers | dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            sent["Transfer-Encoding"] = "chunked"
        if self._token is not None:
            sent["Authorization"] = f"Bearer {self._token()}"
        again = body is None or isinstance(body, bytes)
        while True:
            fresh = self._connection.sock is None
            try:
                # a refusal may come before all of a long body is sent: then the answer is there
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self._connection.request(
                        method, self._base + path, body, sent, encode_chunked=not again
                    )
                answer = self._connection.getresponse()
                found = {name.lower(): value for name, value in answer.getheaders()}
                return Answer(answer.status, found, answer.read())
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                # a kept connection may have been closed while it lay idle; all requests are safe
                # to repeat, as records merge idempotently
                idle = isinstance(error, http.client.RemoteDisconnected | ConnectionError)
                if again and idle and not fresh:
                    continue
                raise ServiceError(0, f"{method} {self.url}{path}: {_cause(error)}") from error

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The JSON of a successful answer; ServiceError with the reason of any other."""
        data = None if body is None else json.dumps(body).encode()
        sent = {"Accept": "application/json"} | dict(headers or {})
        sent |= {} if data is None else {"Content-Type": "application/json"}
        answer = self.request(method, path, data, sent)
        if answer.status >= 300:
            raise refusal(method, f"{self.url}{path}", answer)
        return answer.json() if answer.data else None

    def get(self, path: str) -> Any:
        return self.call("GET", path)

    def post(self, path: str, body: Any = None) -> Any:
        return self.call("POST", path, body)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def refusal(method: str, address: str, answer: Answer) -> ServiceError:
    """The error that stands for an unsuccessful answer: problem+json or OperationOutcome."""
    body: Any = None
    reason = answer.data[:300].decode(errors="replace").strip()
    with contextlib.suppress(ValueError):
        body = answer.json()
    if isinstance(body, dict):
        if body.get("resourceType") == "OperationOutcome":
            reason = "; ".join(_issue(issue) for issue in body.get("issue", []))
        else:
            reason = str(body.get("detail") or body.get("title") or reason)
            places = body.get("errors")
            if isinstance(places, list) and all(isinstance(p, dict) for p in places):
                told = [p for p in places if isinstance(p, dict)]
                reason = "; ".join(
                    [reason, *(f"{p.get('place')}: {p.get('reason')}" for p in told)]
                )
    message = f"{method} {address} gave {answer.status}: {reason}"
    wait = answer.headers.get("retry-after", "")
    return ServiceError(answer.status, message, body, float(wait) if wait.isdigit() else None)


def _issue(issue: Mapping[str, Any]) -> str:
    place = ", ".join(issue.get("expression") or [])
    text = str(issue.get("diagnostics") or issue.get("code") or "")
    return f"{place}: {text}" if place else text


def _cause(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nothing answers at this address"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return f"{type(error).__name__}: {error}"
