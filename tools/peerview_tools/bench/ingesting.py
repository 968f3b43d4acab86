"""Ingest as a process of its own before the run's broker, and practices' records to send it."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from functools import cache
from typing import Any, Final, Self

from peerview_common import changes, cloudevents
from peerview_common.changes import ChangeSet
from peerview_common.topics import CHANGES
from peerview_tools.bench.processes import Process, wait_until
from peerview_tools.bench.surroundings import Topics
from peerview_tools.client import Client
from peerview_tools.issuer import DevelopmentIssuer
from peerview_tools.simulator import PRACTICES, history

DAY: Final = date(2026, 4, 1)
SYSTEM: Final = "bench"


def practice_code(number: int) -> str:
    return f"A99{number:03}"


@cache
def resources(patients: int) -> tuple[bytes, ...]:
    """A practice's history as NDJSON lines, as a clinical system exports it: about ten resources a
    patient, with ids that are UUIDs, narrative and identifiers that nobody needs."""
    who = replace(PRACTICES[1], ods=practice_code(1), size=patients, seed=patients)
    return tuple(json.dumps(found, separators=(",", ":")).encode() for found in history(who, DAY))


def for_practice(lines: tuple[bytes, ...], number: int) -> list[bytes]:
    """The same records as another practice's."""
    ours, theirs = practice_code(1).encode(), practice_code(number).encode()
    return [line.replace(ours, theirs) for line in lines]


class IngestProcess(Process):
    """``python -m peerview_ingest``, on SQLite."""

    def __init__(self, place: Topics, **over: str) -> None:
        self._place = place
        folder = place.folder / "ingest"
        folder.mkdir(parents=True, exist_ok=True)
        self._issuer = DevelopmentIssuer(folder)
        env = {
            "PEERVIEW_KAFKA": place.bootstrap,
            "PEERVIEW_TOPIC_PREFIX": place.prefix,
            "PEERVIEW_PARTITIONS": str(place.partitions),
            "PEERVIEW_INGEST_DATABASE": f"sqlite:///{folder / 'ingest.db'}",
            "PEERVIEW_JWKS": self._issuer.jwks,
            "PEERVIEW_PORT": "0",
        }
        super().__init__([sys.executable, "-m", "peerview_ingest"], env | over, folder)

    def token(self, number: int) -> str:
        return self._issuer.token(
            subject="bench",
            practices=[practice_code(number)],
            scope="ingest:write",
            system=SYSTEM,
            expires_in=7_200,
        )

    @property
    def address(self) -> str:
        def listening() -> list[str]:
            self.check()
            return [line for line in list(self.lines) if '"listening"' in line]

        return str(json.loads(wait_until(listening, "listening", 60)[0])["address"])

    def until_ready(self) -> Self:
        with Client(self.address) as client:
            wait_until(lambda: client.request("GET", "/health/ready").status == 200, "ready", 60)
        return self

    def bulk(self, number: int, lines: list[bytes]) -> dict[str, Any]:
        """The receipt of one practice's lines, streamed in one request."""
        token = self.token(number)
        with Client(self.address, lambda: token, timeout=600) as client:
            answer = client.request("POST", "/v1/bulk", _pieces(lines))
        if answer.status != 202:
            raise RuntimeError(f"/v1/bulk answered {answer.status}: {answer.data[:300]!r}")
        receipt: dict[str, Any] = answer.json()
        return receipt

    def facts_in_log(self, number: int) -> int:
        """Facts of a practice's change sets: what is in the log, whatever the receipt says."""
        found = 0
        key = practice_code(number).encode()
        for record in self._place.records(self._place.name(CHANGES)):
            if record.key == key:
                kind = cloudevents.header(record.headers, "ce_type")
                event = changes.decode(kind, record.value)
                if isinstance(event, ChangeSet):
                    found += sum(len(part.facts) for part in event.patients)
        return found


def _pieces(lines: list[bytes]) -> Iterator[bytes]:
    for first in range(0, len(lines), 200):
        yield b"\n".join(lines[first : first + 200]) + b"\n"
