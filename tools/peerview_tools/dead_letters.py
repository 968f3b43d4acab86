"""Dead letters: what compute could not work off, read from their topic, and sent again.

A dead letter is named by its place in `practice.changes.dlq`, `PARTITION:OFFSET`. It holds a record
of `practice.changes` as it was, or one patient's part of one in the same format; sent again, it is
what it was, and since patients' facts are sets it may be sent more than once. The topic is left as
it is: nothing is deleted, and a letter stays for its 90 days.
"""

import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec
from kafka import KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from peerview_common import changes, topics
from peerview_common.changes import BackfillCompleted, ChangeSet, Control, PatientRekeyed
from peerview_common.settings import CommonSettings
from peerview_tools.rebuild import Log

REPLAYED_FROM: Final = "replayed-from"
"""The header of a record that was sent again: the letter's place."""
STAGES: Final = ("decode", "apply", "rekey", "tick", "cut")
SEND_TIMEOUT_S: Final = 60.0
TOGETHER: Final = 200
"""Records on their way at most."""
_OURS: Final = frozenset({"reason", "stage", "source-partition", "source-offset", REPLAYED_FROM})


class Place(NamedTuple):
    """Where a record stands."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


def place_of(text: str) -> Place:
    """`3:17`. Raises ValueError."""
    if not re.fullmatch(r"\d+:\d+", text):
        raise ValueError(f"{text!r} names no dead letter: say PARTITION:OFFSET, as in the list")
    partition, _, offset = text.partition(":")
    return Place(int(partition), int(offset))


@dataclass(frozen=True)
class Letter:
    """One dead letter."""

    place: Place
    at: datetime
    """When it was written, UTC."""
    practice: str
    """Empty for a control event that concerns every practice."""
    stage: str
    reason: str
    source: str
    """`PARTITION:OFFSET` of the record of `practice.changes` that it came of."""
    replayed_from: str
    """Empty, or the letter that this one's record had been before."""
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    """All of them."""
    event: ChangeSet | Control | None
    """None where it cannot be decoded; `trouble` says why."""
    trouble: str

    @property
    def patients(self) -> tuple[str, ...]:
        """Pseudonyms."""
        match self.event:
            case ChangeSet():
                return tuple(part.patient.hex() for part in self.event.patients)
            case PatientRekeyed():
                return (self.event.old.hex(), self.event.new.hex())
        return ()

    @property
    def facts(self) -> int | None:
        """How many it holds; None where that cannot be said."""
        if isinstance(self.event, ChangeSet):
            return sum(len(part.facts) for part in self.event.patients)
        return None if self.event is None else 0

    def target(self, partitions: int) -> int:
        """The partition of `practice.changes` that it belongs to: the practice's own, and where it
        is no practice's the one that it came from. Raises ValueError where it tells of none."""
        if isinstance(self.event, ChangeSet | PatientRekeyed | BackfillCompleted):
            return topics.practice_partition(self.event.practice, partitions)
        partition = place_of(self.source).partition
        if partition >= partitions:
            raise ValueError(f"practice.changes has no partition {partition}")
        return partition

    def original_headers(self) -> list[tuple[str, bytes]]:
        kept = [(name, value) for name, value in self.headers if name not in _OURS]
        return [*kept, (REPLAYED_FROM, str(self.place).encode())]


def letter_of(record: Any) -> Letter:
    """A record of `practice.changes.dlq`, whatever it holds."""
    told = {name: bytes(value or b"").decode(errors="replace") for name, value in record.headers}
    value = record.value or b""
    event, trouble = None, ""
    try:
        event = changes.decode(told.get("ce_type"), value)
    except (ValueError, msgspec.MsgspecError) as error:
        trouble = str(error)
    practice = getattr(event, "practice", "")
    if event is None:
        practice = (record.key or b"").decode(errors="replace")
    return Letter(
        Place(record.partition, record.offset),
        datetime.fromtimestamp(record.timestamp / 1000, UTC),
        practice,
        told.get("stage", ""),
        told.get("reason", ""),
        f"{told.get('source-partition', '?')}:{told.get('source-offset', '?')}",
        told.get(REPLAYED_FROM, ""),
        record.key or b"",
        value,
        list(record.headers),
        event,
        trouble,
    )


@dataclass(frozen=True)
class Choice:
    """Which letters; what is empty or None chooses all."""

    practices: Collection[str] = ()
    stages: Collection[str] = ()
    since: datetime | None = None
    places: Collection[Place] = ()

    @property
    def everything(self) -> bool:
        return not (self.practices or self.stages or self.since or self.places)

    def takes(self, letter: Letter) -> bool:
        return (
            (not self.practices or letter.practice in self.practices)
            and (not self.stages or letter.stage in self.stages)
            and (self.since is None or letter.at >= self.since)
            and (not self.places or letter.place in self.places)
        )


def letters(log: Log, choice: Choice) -> Iterator[Letter]:
    """Those chosen, in the order of their partitions and offsets. Raises RebuildError, KafkaError.

    Each partition is read as far as it reached in the beginning: what fails again meanwhile is not
    among them.
    """
    spans: list[tuple[TopicPartition, int, int]] = []
    for number in range(log.partitions()):
        wanted = [place.offset for place in choice.places if place.partition == number]
        place = log.place(topics.DEAD_LETTERS, number)
        start, end = log.span(place)
        if wanted:
            spans.append((place, max(start, min(wanted)), min(end, max(wanted) + 1)))
        elif not choice.places:
            spans.append((place, start, end))
    for span in spans:
        for record in log.read(*span):
            letter = letter_of(record)
            if choice.takes(letter):
                yield letter


class Outcome(NamedTuple):
    """What became of a letter. Exactly one of `sent` and `why` is set, neither in a dry run."""

    letter: Letter
    partition: int | None
    """Of `practice.changes`; None where there is none to send it to."""
    sent: Place | None
    why: str
    """Why it was not sent."""


def replay(
    settings: CommonSettings, chosen: Iterable[Letter], partitions: int, *, raw: bool, dry: bool
) -> Iterator[Outcome]:
    """Send letters to `practice.changes` again, each awaited until all in-sync replicas have it.

    What cannot be decoded is refused, unless `raw`. A letter that fails to be sent does not stop
    the others.
    """
    name = topics.topic_name(settings.topic_prefix, topics.CHANGES)
    producer = None if dry else KafkaProducer(bootstrap_servers=settings.kafka, acks="all")
    waiting: deque[tuple[Letter, int, Any]] = deque()

    def answer() -> Outcome:
        letter, partition, future = waiting.popleft()
        try:
            found = future.get(timeout=SEND_TIMEOUT_S)
        except KafkaError as error:
            return Outcome(letter, partition, None, f"not acknowledged: {words(error)}")
        return Outcome(letter, partition, Place(found.partition, found.offset), "")

    try:
        for letter in chosen:
            if letter.event is None and not raw:
                why = f"it cannot be decoded (--raw sends it as it is): {letter.trouble}"
                yield Outcome(letter, None, None, why)
                continue
            try:
                partition = letter.target(partitions)
            except ValueError as error:
                yield Outcome(letter, None, None, f"where it came from: {error}")
                continue
            if producer is None:
                yield Outcome(letter, partition, None, "")
                continue
            try:
                future = producer.send(
                    name,
                    key=letter.key,
                    value=letter.value,
                    partition=partition,
                    headers=letter.original_headers(),
                )
            except KafkaError as error:
                yield Outcome(letter, partition, None, f"not sent: {words(error)}")
                continue
            waiting.append((letter, partition, future))
            if len(waiting) >= TOGETHER:
                yield answer()
        while waiting:
            yield answer()
    finally:
        if producer is not None:
            producer.close()


def words(error: BaseException) -> str:
    return str(error) or type(error).__name__
