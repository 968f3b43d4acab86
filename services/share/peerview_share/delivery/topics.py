"""Views on topics: for each viewer and network, exactly the cells that REST gives.

What should be there is compared with what may be there, and the difference is sent. A key is noted
before it is sent, so that a crash in between can leave nothing on a topic that nobody remembers.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import structlog

from peerview_common.cloudevents import JSON, EventType, headers
from peerview_common.topics import (
    AGREEMENTS,
    PEER_VIEW_CONFIG,
    create_topics,
    peer_view_topic,
    topic_name,
)
from peerview_share.agreements.current import Compiled
from peerview_share.delivery.derived import DerivedCell, derived_disclosures
from peerview_share.delivery.producer import LogProducer
from peerview_share.delivery.sight import sight
from peerview_share.delivery.viewing import Views
from peerview_share.delivery.views import PeerCell, disclosures
from peerview_share.disclosure.epoch import Pace
from peerview_share.store import audit, outgoing
from peerview_share.store.database import Database

log = structlog.get_logger("peerview.share.delivery")

SOURCE: Final = "peerview/share"
READER: Final = "topic"

Standing: TypeAlias = frozenset[tuple[Pace, int, int]]
"""``(pace, epoch shown at it, retractions)`` of all paces that there are."""


class ViewPublisher:
    """The leader's. ``prefix`` and ``replication`` are the settings of the cluster's topics."""

    def __init__(
        self,
        database: Database,
        producer: LogProducer,
        views: Views,
        *,
        bootstrap: str,
        prefix: str,
        replication: int,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._producer = producer
        self._views = views
        self._paces: tuple[Compiled, set[Pace]] | None = None
        self._bootstrap = bootstrap
        self._prefix = prefix
        self._replication = replication
        self._clock = clock

    def standing(self, compiled: Compiled) -> Standing:
        """What views depend on, besides the agreements' revision: it changes when one may."""
        now = self._clock()
        if self._paces is None or self._paces[0] is not compiled:
            viewers = compiled.index.viewers()
            paces = {self._views.pace(sight(compiled.index, *who, now)) for who in viewers}
            self._paces = compiled, paces
        return frozenset(
            (pace, epoch.number, epoch.retractions)
            for pace in self._paces[1]
            if (epoch := self._views.epoch(pace, now)) is not None
        )

    def sync(self, compiled: Compiled) -> None:
        """Make every topic hold what its viewer may see now. Raises KafkaError; call it again."""
        wanted: dict[str, dict[str, PeerCell | DerivedCell]] = {}
        viewers: dict[str, str] = {}
        for network, viewer in compiled.index.viewers():
            view = self._views.of(compiled.index, network, viewer, now=self._clock())
            if view.epoch is None:
                continue
            topic = peer_view_topic(self._prefix, network, viewer)
            wanted[topic] = {cell.key: cell for cell in (*view.cells, *view.derived)}
            viewers[topic] = viewer
        with self._database.read() as connection:
            there = outgoing.views(connection)
        # what must go, goes first
        for topic in sorted(there.keys() | wanted.keys()):
            gone = there.get(topic, {}).keys() - wanted.get(topic, {}).keys()
            if gone:
                self._remove(topic, sorted(gone))
        missing = [(topic, 1, PEER_VIEW_CONFIG) for topic in sorted(wanted.keys() - there.keys())]
        if missing:
            create_topics(self._bootstrap, missing, replication=self._replication)
        for topic, cells_by_key in sorted(wanted.items()):
            self._write(topic, viewers[topic], cells_by_key, there.get(topic, {}))

    def _write(
        self,
        topic: str,
        viewer: str,
        cells: Mapping[str, PeerCell | DerivedCell],
        there: Mapping[str, str],
    ) -> None:
        digests = {key: _digest(cell) for key, cell in cells.items()}
        changed = [key for key in sorted(cells) if there.get(key) != digests[key]]
        if not changed:
            return
        shown = [cells[key] for key in changed]
        # when a figure changes within its epoch hangs on what its viewer sees by name elsewhere
        derived = [
            cell
            for key in changed
            if isinstance(cell := cells[key], DerivedCell)
            and _epoch_of(there.get(key, "")) != _epoch_of(digests[key])
        ]
        with self._database.write() as connection:
            outgoing.save_views(connection, topic, dict.fromkeys(changed, ""))
            audit.append(
                connection,
                [
                    *disclosures((c for c in shown if isinstance(c, PeerCell)), viewer),
                    *derived_disclosures(derived, viewer),
                ],
                reader=READER,
                channel="topic",
                at=self._clock(),
            )
        self._producer.send_all(
            (topic, 0, cell.key.encode(), cell.encoded(), _cell_headers(cell.key)) for cell in shown
        )
        with self._database.write() as connection:
            outgoing.save_views(connection, topic, {key: digests[key] for key in changed})
        log.info("view published", topic=topic, cells=len(changed))

    def _remove(self, topic: str, keys: list[str]) -> None:
        self._producer.send_all((topic, 0, key.encode(), None, _cell_headers(key)) for key in keys)
        with self._database.write() as connection:
            outgoing.drop_views(connection, topic, keys)
        log.info("cells removed from view", topic=topic, cells=len(keys))


class Outbox:
    """Sends the mirror of agreement changes, in order, at least once."""

    def __init__(self, database: Database, producer: LogProducer, prefix: str) -> None:
        self._database = database
        self._producer = producer
        self._prefix = prefix

    def flush(self) -> None:
        with self._database.read() as connection:
            events = outgoing.waiting(connection)
        if not events:
            return
        self._producer.send_all(
            (
                # the only mirrored topic so far
                topic_name(self._prefix, AGREEMENTS),
                0,
                event.key.encode(),
                event.value,
                headers(
                    event.type,
                    SOURCE,
                    content_type=JSON,
                    subject=event.key,
                    event_id=f"outbox-{event.seq}",
                ),
            )
            for event in events
        )
        with self._database.write() as connection:
            outgoing.sent(connection, events)


def _digest(cell: PeerCell | DerivedCell) -> str:
    """By which the epoch and the value sent are known again."""
    return f"{cell.epoch}.{hashlib.sha256(cell.encoded()).hexdigest()}"[:64]


def _epoch_of(digest: str) -> str:
    return digest.partition(".")[0]


def _cell_headers(key: str) -> list[tuple[str, bytes]]:
    # INDICATOR/SUBJECT, or INDICATOR of those who are not named
    kind = EventType.CELL if "/" in key else EventType.DERIVED
    return headers(kind, SOURCE, content_type=JSON, subject=key)
