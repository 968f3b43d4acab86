"""A FHIR request taken once: a repeated ``Idempotency-Key`` hears the first answer again."""

import hashlib
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from fastapi import Request, Response

from peerview_common.problem import Problem
from peerview_ingest import answers
from peerview_ingest.fhir import Read, Reader
from peerview_ingest.fhir_negotiation import preferred
from peerview_ingest.store import Answer
from peerview_ingest.submission import Ingest, RefusedError, Sender, Submitted, TooLargeError

MAX_KEY: Final = 255

Reading: TypeAlias = Callable[[Reader], list[Read]]
Word: TypeAlias = Callable[[Submitted], tuple[int, dict[str, Any] | None]]
"""The status and the body, if any, of what was taken."""


class Once:
    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest

    async def take(
        self,
        request: Request,
        sender: Sender,
        data: bytes,
        reading: Reading,
        word: Word,
        headers: Callable[[Submitted], dict[str, str]] | None = None,
        *,
        atomic: bool = False,
    ) -> Response:
        """Submit what ``reading`` reads of ``data``, and answer in the ``word`` given."""
        key = _key(request, sender)
        asked = hashlib.sha256(f"{request.method} {request.url.path}\0".encode() + data).digest()
        if key is not None:
            old = await self._ingest.in_thread(lambda: self._answered(sender, key))
            if old is not None and old.request != asked:
                raise Problem(422, "idempotency", "this Idempotency-Key came with another request")
            if old is not None:
                return _response(old.status, old.text.encode(), {"Idempotent-Replayed": "true"})

        def remember(done: Submitted) -> Answer:
            status, body = word(done)
            text = "" if body is None else answers.encoded(body).decode()
            return Answer(key or b"", asked, status, text, done.receipt.received)

        try:
            done = await self._ingest.submit(
                sender,
                lambda reader: [(None, read) for read in reading(reader)],
                size=len(data),
                atomic=atomic,
                remember=remember if key is not None else None,
            )
        except RefusedError as error:
            return answers.fhir(answers.outcome(error.issues), 422)
        except TooLargeError:
            raise Problem(
                413, "too-costly", "the transaction does not fit one record: send it as a batch"
            ) from None
        status, body = word(done)
        told = answers.headers(done.receipt) | (headers(done) if headers else {})
        asked_for = preferred(request)
        if asked_for is not None:
            told["Preference-Applied"] = f"return={asked_for}"
        return _response(status, b"" if body is None else answers.encoded(body), told)

    def _answered(self, sender: Sender, key: bytes) -> Answer | None:
        with self._ingest.store.turn(sender.practice, sender.source) as turn:
            return turn.answer(key)


def _response(status: int, body: bytes, headers: dict[str, str]) -> Response:
    return Response(body, status, headers, answers.MEDIA_TYPE if body else None)


def _key(request: Request, sender: Sender) -> bytes | None:
    text = request.headers.get("idempotency-key")
    if not text:
        return None
    if len(text) > MAX_KEY:
        raise Problem(400, "idempotency", f"an Idempotency-Key has at most {MAX_KEY} characters")
    return hashlib.sha256(f"{sender.source}\0{text}".encode()).digest()
