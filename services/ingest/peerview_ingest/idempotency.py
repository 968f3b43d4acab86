"""``Idempotency-Key``: a request sent again hears its first answer, and is taken once.

Whether a key was answered is looked up inside the practice's turn, which one submission has at a
time, at whatever replica. So of two requests that come at once under one key, the second waits for
the first and hears its answer.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fastapi import Request
from sqlalchemy import select

from peerview_common import metrics
from peerview_common.problem import Problem
from peerview_ingest.fhir import Read, Reader
from peerview_ingest.store import Answer, Store
from peerview_ingest.submission import Reading, Sender
from peerview_ingest.tables import idempotency_keys

MAX_KEY: Final = 255
REPLAYED: Final = {"Idempotent-Replayed": "true"}
"""Header of an answer that was given before."""


class RepeatedError(Exception):
    """The request was answered before."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("answered before")
        self.answer = answer


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    practice: str
    key: bytes
    """Hash of the caller's source system and their key."""
    asked: bytes
    """Hash of what was asked."""

    @classmethod
    def of(cls, request: Request, sender: Sender, data: bytes) -> "IdempotencyKey | None":
        """The request's key, if it has one; ``data`` is the body, unpacked."""
        text = request.headers.get("idempotency-key")
        if not text:
            return None
        if len(text) > MAX_KEY:
            raise Problem(
                400, "idempotency", f"an Idempotency-Key has at most {MAX_KEY} characters"
            )
        key = hashlib.sha256(f"{sender.source}\0{text}".encode()).digest()
        asked = hashlib.sha256(f"{request.method} {request.url.path}\0".encode() + data).digest()
        return cls(sender.practice, key, asked)

    def guard(self, store: Store, reading: Reading) -> Reading:
        """``reading``, unless the key was answered: then RepeatedError, or Problem 422 where it
        came with another request. To be called inside the practice's turn."""

        def guarded(reader: Reader) -> list[tuple[int | None, Read]]:
            old = self._answered(store)
            if old is None:
                return reading(reader)
            if old.request != self.asked:
                metrics.repeated.labels("refused").inc()
                raise Problem(422, "idempotency", "this Idempotency-Key came with another request")
            metrics.repeated.labels("replayed").inc()
            raise RepeatedError(old)

        return guarded

    def answer(
        self, status: int, text: str, at: int, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """What to remember: the answer's status, body and headers."""
        return Answer(self.key, self.asked, status, text, at, headers)

    def _answered(self, store: Store) -> Answer | None:
        # a connection of its own: the turn is held by the one who calls
        query = select(idempotency_keys).where(
            idempotency_keys.c.practice == self.practice, idempotency_keys.c.key == self.key
        )
        with store.engine.connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else Answer.of(row)
