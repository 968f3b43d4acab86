"""A FHIR request taken once: a repeated ``Idempotency-Key`` hears the first answer again."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from fastapi import Request, Response

from peerview_common.problem import Problem
from peerview_ingest import answers
from peerview_ingest.fhir import Read, Reader
from peerview_ingest.fhir_negotiation import preferred
from peerview_ingest.idempotency import REPLAYED, IdempotencyKey, RepeatedError
from peerview_ingest.store import Answer
from peerview_ingest.submission import Ingest, RefusedError, Sender, Submitted, TooLargeError

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
        key = IdempotencyKey.of(request, sender, data)

        def remember(key: IdempotencyKey, done: Submitted) -> Answer | None:
            status, body = word(done)
            if status >= 400:
                return None  # corrected, it may come under the same key
            text = "" if body is None else answers.encoded(body).decode()
            return key.answer(status, text, done.receipt.received, told(done))

        def told(done: Submitted) -> dict[str, str]:
            return answers.headers(done.receipt) | (headers(done) if headers else {})

        def read(reader: Reader) -> list[tuple[int | None, Read]]:
            return [(None, each) for each in reading(reader)]

        try:
            done = await self._ingest.submit(
                sender,
                key.guard(self._ingest.store, read) if key else read,
                size=len(data),
                atomic=atomic,
                remember=partial(remember, key) if key else None,
            )
        except RepeatedError as error:
            old = error.answer
            return _response(old.status, old.text.encode(), old.headers | REPLAYED)
        except RefusedError as error:
            return answers.fhir(answers.outcome(error.issues), 422)
        except TooLargeError:
            raise Problem(
                413, "too-costly", "the transaction does not fit one record: send it as a batch"
            ) from None
        status, body = word(done)
        said = told(done)
        asked_for = preferred(request)
        if asked_for is not None:
            said["Preference-Applied"] = f"return={asked_for}"
        return _response(status, b"" if body is None else answers.encoded(body), said)


def _response(status: int, body: bytes, headers: dict[str, str]) -> Response:
    return Response(body, status, headers, answers.MEDIA_TYPE if body else None)
