"""Topics: their names, keys and retention, in one place, and how they are provisioned."""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from kafka.admin import KafkaAdminClient
from kafka.errors import TopicAlreadyExistsError

DAY_MS: Final = 86_400_000
MAX_MESSAGE_BYTES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Topic:
    """``partitioned`` topics have the cluster-wide count, fixed when they are provisioned."""

    name: str
    key: str
    value: str
    kept: str
    partitioned: bool
    config: dict[str, str] = field(default_factory=dict)


def _days(days: int) -> str:
    return str(days * DAY_MS)


CHANGES: Final = Topic(
    "practice.changes",
    key="practice ODS code",
    value="ChangeSet or control event (MessagePack)",
    kept="90 days",
    partitioned=True,
    config={"cleanup.policy": "delete", "retention.ms": _days(90)},
)
STATE: Final = Topic(
    "patient.state",
    key="PRACTICE/PATIENT (hexadecimal), or !PARTITION for the partition's marker",
    value="PatientState or Marker (MessagePack)",
    kept="compacted",
    partitioned=True,
    config={
        "cleanup.policy": "compact",
        "min.compaction.lag.ms": str(3_600_000),
        "max.compaction.lag.ms": _days(7),
    },
)
DEAD_LETTERS: Final = Topic(
    "practice.changes.dlq",
    key="as the original",
    value="the failing patient's part as a ChangeSet; the whole record if it cannot be decoded",
    kept="90 days",
    partitioned=True,
    config={"cleanup.policy": "delete", "retention.ms": _days(90)},
)
VALUES: Final = Topic(
    "indicator.values",
    key="PRACTICE/INDICATOR",
    value="IndicatorValue (JSON)",
    kept="compacted",
    partitioned=True,
    config={"cleanup.policy": "compact"},
)
SNAPSHOTS: Final = Topic(
    "indicator.snapshots",
    key="practice ODS code",
    value="SnapshotChunk (MessagePack)",
    kept="30 days",
    partitioned=True,
    config={"cleanup.policy": "delete", "retention.ms": _days(30)},
)
AGREEMENTS: Final = Topic(
    "agreement.events",
    key="agreement id",
    value="AgreementChanged (JSON)",
    kept="for ever",
    partitioned=False,
    config={"cleanup.policy": "delete", "retention.ms": "-1"},
)

ALL: Final = (CHANGES, STATE, DEAD_LETTERS, VALUES, SNAPSHOTS, AGREEMENTS)

PEER_VIEW_CONFIG: Final = {"cleanup.policy": "compact"}


def topic_name(prefix: str, topic: Topic) -> str:
    """The name on the broker: a prefix lets several deployments share one cluster."""
    return f"{prefix}{topic.name}"


def peer_view_topic(prefix: str, network: str, viewer: str) -> str:
    """The topic that one viewer of one network may read, and nobody else."""
    return f"{prefix}peer-views.{network}.{viewer}"


def practice_partition(practice: str, partitions: int) -> int:
    """The partition of everything that is about a practice: CRC-32 of its ODS code.

    Given explicitly by every producer, so that clients with other default hashes agree.
    """
    return zlib.crc32(practice.encode()) % partitions


def provision(
    bootstrap: str,
    *,
    prefix: str = "",
    partitions: int,
    replication: int = 1,
    topics: Iterable[Topic] = ALL,
    client: dict[str, Any] | None = None,
) -> list[str]:
    """Create what is missing; returns the names created. Never alters a topic that is there."""
    wanted = [
        (topic_name(prefix, topic), partitions if topic.partitioned else 1, topic.config)
        for topic in topics
    ]
    return create_topics(bootstrap, wanted, replication=replication, client=client)


def create_topics(
    bootstrap: str,
    wanted: Iterable[tuple[str, int, dict[str, str]]],
    *,
    replication: int = 1,
    client: dict[str, Any] | None = None,
) -> list[str]:
    """Create topics ``(name, partitions, config)`` that are not there yet."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap, **(client or {}))
    created: list[str] = []
    try:
        there = set(admin.list_topics())
        for name, partitions, config in wanted:
            if name in there:
                continue
            full = {"max.message.bytes": str(MAX_MESSAGE_BYTES), **config}
            try:
                admin.create_topics(
                    {
                        name: {
                            "num_partitions": partitions,
                            "replication_factor": replication,
                            "configs": full,
                        }
                    },
                    wait_for_metadata=True,
                )
            except TopicAlreadyExistsError:
                continue
            created.append(name)
    finally:
        admin.close()
    return created
