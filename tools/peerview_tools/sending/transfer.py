"""An upload from its first line to its end, through whatever goes wrong on the way."""

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from peerview_tools.client import Answer, Client, ServiceError, refusal
from peerview_tools.sending.parts import Part

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
PATIENCE_S: Final = 600.0
"""How long it is tried without any progress."""
AGAIN: Final = frozenset({0, 408, 429, 500, 502, 503, 504})
"""Statuses that pass by themselves; 0 is no answer at all."""
AGAIN_CODES: Final = frozenset({"upload-held", "upload-lost"})

Issues = Callable[[Sequence[Mapping[str, Any]]], object]


class Waiting(Protocol):
    def __call__(self, why: str | None, seconds: float = 0) -> object: ...


class GoneError(Exception):
    """Ingest no longer knows the upload: it has expired, or was deleted."""


class GaveUpError(Exception):
    """Nothing went on for as long as there was patience. The message is the last reason."""


@dataclass
class Transfer:
    """``issues`` is told of errors and warnings, each with the number of its ``line``; ``waiting``
    of why nothing goes on and for how many seconds nothing is tried, None once it goes on."""

    client: Client
    issues: Issues
    waiting: Waiting
    patience: float = PATIENCE_S
    sleep: Callable[[float], object] = time.sleep
    clock: Callable[[], float] = time.monotonic
    upload: str = ""
    _answered: bool = field(default=False, init=False)

    def begin(self, *, full: bool) -> None:
        """Raises ServiceError, at once where nothing answers at all: the address may be wrong."""
        found = self._persist("POST", "/v1/uploads", {"full": full})
        self.upload = str(found["upload"])

    def status(self) -> dict[str, Any]:
        """How far the upload is. Raises GoneError."""
        try:
            found: dict[str, Any] = self._persist("GET", f"/v1/uploads/{self.upload}")
        except ServiceError as error:
            if error.status != 404:
                raise
            raise GoneError("ingest does not know this upload") from error
        return found

    def send(self, part: Part) -> int:
        """Send a part until it is committed; returns the next line. It may be before the part,
        or within it, when another sender was at work: then go on from there.

        Raises ServiceError for what no patience mends, GaveUpError and GoneError.
        """
        tries = _Tries(self)
        body = part.packed()
        while True:
            try:
                next_line = self._post(part, body)
            except ServiceError as error:
                if error.code == "upload-gap":
                    return int(error.body["next_line"])
                if not _passes(error):
                    raise
                tries.pause(error)
            else:
                self.waiting(None)
                return next_line
            committed = int(self.status()["next_line"])
            if committed != part.first:
                self.waiting(None)
                if committed > part.first:
                    self._catch_up(part.first, committed)
                return committed

    def complete(self, lines: int, without: Sequence[str]) -> dict[str, Any]:
        """What became of the upload in the end."""
        body = {"lines": lines, "without": list(without)}
        found: dict[str, Any] = self._persist("POST", f"/v1/uploads/{self.upload}/complete", body)
        return found

    def _post(self, part: Part, body: bytes) -> int:
        headers = {
            "Content-Type": "application/fhir+ndjson",
            "Content-Encoding": "zstd",
            "Accept": "application/x-ndjson",
        }
        path = f"/v1/bulk?upload={self.upload}&from_line={part.first}"
        answer = self.client.request("POST", path, body, headers)
        self._answered = True
        if answer.status >= 300:
            raise refusal("POST", self.client.url + path, answer)
        *told, last = (json.loads(line) for line in answer.data.splitlines())
        if "problem" in last:
            failed = Answer(last["problem"]["status"], {}, json.dumps(last["problem"]).encode())
            raise refusal("POST", self.client.url + path, failed)
        self.issues(told)
        return int(last["receipt"]["next_line"])

    def _catch_up(self, first: int, after: int) -> None:
        """A part was committed and its answer lost: ask what was refused of it."""
        answer = self.client.request("GET", f"/v1/uploads/{self.upload}/report")
        if answer.status >= 300:
            return
        lines = [json.loads(line) for line in answer.data.splitlines()]
        self.issues(
            [
                {"severity": "error", **line}
                for line in lines
                if "line" in line and first <= line["line"] < after
            ]
        )

    def _persist(self, method: str, path: str, body: Any = None) -> Any:
        tries = _Tries(self)
        while True:
            try:
                found = self.client.call(method, path, body)
            except ServiceError as error:
                if not _passes(error) or not (self._answered or error.status):
                    raise
                tries.pause(error)
            else:
                self._answered = True
                self.waiting(None)
                return found


class _Tries:
    """Pauses between tries of one thing, each twice the last, or as long as was asked for."""

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer
        self._pause = FIRST_PAUSE_S
        self._end = transfer.clock() + transfer.patience

    def pause(self, error: ServiceError) -> None:
        """Raises GaveUpError when the patience is at its end."""
        if self._transfer.clock() >= self._end:
            raise GaveUpError(str(error)) from error
        asked = error.retry_after
        # not all senders that wait for the same thing at the same moment
        seconds = self._pause * random.uniform(0.5, 1.0)  # noqa: S311
        if asked is not None:
            seconds = min(max(asked, seconds), LONGEST_PAUSE_S)
        self._pause = min(self._pause * 2, LONGEST_PAUSE_S)
        self._transfer.waiting(_short(error), seconds)
        self._transfer.sleep(seconds)


def _passes(error: ServiceError) -> bool:
    return error.status in AGAIN or (error.status == 409 and error.code in AGAIN_CODES)


def _short(error: ServiceError) -> str:
    if not error.status:
        return "ingest does not answer"
    if error.code == "upload-held":
        return "another request sends this upload, or has only just broken off"
    detail = error.body.get("detail") if isinstance(error.body, dict) else None
    return f"ingest says {error.status}: {detail or 'no reason given'}"
