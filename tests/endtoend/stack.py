"""The product's own way to start the services (`peerview_tools.demo.stack`), made fit for tests."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from peerview_common import changes, cloudevents, topics
from peerview_common.changes import ChangeSet
from peerview_common.ids import ods_code
from peerview_tools.client import Client
from peerview_tools.demo.network import Tokens
from peerview_tools.demo.stack import Stack
from peerview_tools.evaluate import evaluate
from peerview_tools.issuer import DevelopmentIssuer
from peerview_tools.simulator import PRACTICES, Practice, history

READY_S = 120.0
DAY = date(2026, 4, 1)
"""The as-of day of every stack here, whatever today is."""


def practice(ods: str, size: int = 120, seed: int = 7) -> Practice:
    """A made-up practice of its own, so that tests on one stack keep apart."""
    return replace(PRACTICES[1], ods=ods, name=f"Practice {ods}", size=size, seed=seed)


@dataclass
class World:
    """A running stack, and whoever talks to it."""

    stack: Stack
    issuer: DevelopmentIssuer
    tokens: Tokens

    @contextlib.contextmanager
    def system(self, who: Practice) -> Iterator[Client]:
        """Ingest, as a practice's clinical system."""
        with Client(self.stack.ingest.url, lambda: self.tokens.system(who)) as client:
            yield client

    @contextlib.contextmanager
    def staff(self, who: Practice) -> Iterator[Client]:
        with Client(self.stack.share.url, lambda: self.tokens.staff(who)) as client:
            yield client

    @contextlib.contextmanager
    def signatory(self, who: Practice) -> Iterator[Client]:
        with Client(self.stack.share.url, lambda: self.tokens.signatory(who)) as client:
            yield client

    @contextlib.contextmanager
    def operator(self) -> Iterator[Client]:
        with Client(self.stack.share.url, self.tokens.operator) as client:
            yield client

    def evaluated(self, who: Practice, folder: Path) -> dict[str, Any]:
        """What `peerview evaluate` counts on the practice's whole history."""
        file = folder / f"{who.ods}.ndjson"
        file.write_text("".join(json.dumps(found) + "\n" for found in history(who, DAY)))
        found = evaluate([file], practice=ods_code(who.ods), day=DAY).result["indicators"]
        return dict(sorted(found.items()))

    def change_sets(self, ods: str) -> list[ChangeSet]:
        """What the log holds of a practice."""
        found = []
        for record in self._records():
            kind = cloudevents.header(record.headers, "ce_type")
            event = changes.decode(kind, record.value)
            if isinstance(event, ChangeSet) and event.practice == ods:
                found.append(event)
        return found

    def _records(self) -> Iterator[Any]:
        """The records of `practice.changes`, from the beginning to its present end."""
        name = topics.topic_name(self.stack.prefix, topics.CHANGES)
        consumer = KafkaConsumer(
            bootstrap_servers=self.stack.bootstrap, auto_offset_reset="earliest", group_id=None
        )
        try:
            places = [TopicPartition(name, n) for n in range(self.stack.partitions)]
            consumer.assign(places)
            ends = consumer.end_offsets(places)
            consumer.seek_to_beginning(*places)
            while any(consumer.position(place) < ends[place] for place in places):
                for found in consumer.poll(timeout_ms=500).values():
                    yield from found
        finally:
            consumer.close()


@contextlib.contextmanager
def running(
    home: Path,
    bootstrap: str,
    prefix: str,
    *,
    settings: Mapping[str, str] | None = None,
    services: Sequence[str] = (),
) -> Iterator[World]:
    """The services, ready; all (or the named ones) are stopped in the end."""
    issuer = DevelopmentIssuer(home / "issuer")
    chosen = {
        "CLOCK_DAY": DAY.isoformat(),
        "LAG_DAYS": "0",
        "CUT_CALENDAR": "monthly",
        "EPOCH_DEADLINE_S": "60",
        "TICK_SECONDS": "0.5",
        "SESSION_TIMEOUT_S": "6",
        "HEARTBEAT_S": "1",
        "REGISTER_ALL": "synthea",
        **(settings or {}),
    }
    stack = Stack(
        home / "services", bootstrap=bootstrap, jwks=issuer.jwks, prefix=prefix, settings=chosen
    )
    topics.provision(bootstrap, prefix=prefix, partitions=stack.partitions)
    with stack:
        stack.start(*services)
        stack.wait_ready(*services, seconds=READY_S)
        yield World(stack, issuer, Tokens(issuer))
