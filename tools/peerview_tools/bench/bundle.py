"""How long a small Bundle takes, from when it is due to its 202, at half of what ingest can do."""

import asyncio
import re
from collections.abc import Iterator
from typing import Final

from peerview_tools.bench.ingesting import IngestProcess, for_practice, resources
from peerview_tools.bench.measure import Found, Size
from peerview_tools.bench.requests import as_fast_as_possible, evenly, prepared
from peerview_tools.bench.surroundings import Surroundings
from peerview_tools.demo.freshness import quantile

RESOURCES: Final = 10
PRACTICES: Final = 8
_SIZES = {"full": (1_000, 5.0, 20.0), "quick": (300, 2.0, 5.0), "tiny": (20, 0.3, 0.5)}
"""Patients, seconds at full speed, seconds at half of it."""
_UUID = re.compile(rb"[0-9a-f]{8}(?=-[0-9a-f]{4}-)")


def run(around: Surroundings, size: Size) -> Found:
    patients, flat_out, at_half = _SIZES[size]
    place = around.topics(PRACTICES)
    with IngestProcess(place).until_ready() as ingest:
        streams = {
            number: _Stream(number, ingest.token(number), patients)
            for number in range(1, PRACTICES + 1)
        }
        asyncio.run(as_fast_as_possible(ingest.address, _parts(streams, 200), flat_out / 2))
        capacity = asyncio.run(
            as_fast_as_possible(ingest.address, _parts(streams, int(200 * flat_out)), flat_out)
        )
        rate = capacity / 2
        count = max(10, int(rate * at_half))
        parts = _parts(streams, -(-count // PRACTICES))
        requests = [part[n] for n in range(len(parts[0])) for part in parts]
        waits = [wait * 1_000 for wait in asyncio.run(evenly(ingest.address, requests, rate))]
    return Found(
        quantile(waits, 0.99),
        f"Bundles of {RESOURCES} new resources from {PRACTICES} practices, {rate:,.0f} a second "
        f"for {at_half:.0f} s, from when each was due; capacity {capacity:,.0f} a second on "
        f"{PRACTICES} connections; p50 {quantile(waits, 0.5):.1f} ms, most {max(waits):.0f} ms",
    )


class _Stream:
    """One practice's Bundles, of records that nobody has sent before."""

    def __init__(self, number: int, token: str, patients: int) -> None:
        self._token = token
        lines = for_practice(resources(patients), number)
        self._groups = [
            b",".join(b'{"resource":%s}' % line for line in lines[first : first + RESOURCES])
            for first in range(0, len(lines) - RESOURCES, RESOURCES)
        ]
        self._made = self._requests()

    def take(self, count: int) -> list[bytes]:
        return [next(self._made) for _ in range(count)]

    def _requests(self) -> Iterator[bytes]:
        again = 0
        while True:
            for group in self._groups:
                entries = _UUID.sub(lambda found, k=again: b"%08x" % (int(found[0], 16) ^ k), group)
                body = b'{"resourceType":"Bundle","type":"batch","entry":[%s]}' % entries
                yield prepared("/fhir", self._token, body)
            again += 1


def _parts(streams: dict[int, _Stream], count: int) -> list[list[bytes]]:
    return [stream.take(count) for stream in streams.values()]
