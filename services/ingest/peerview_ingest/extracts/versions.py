"""What a drop may say of what is known already: pure.

Versions decide, as everywhere: the greatest ``(stamp, version)`` of a record counts. But suppliers
change rows without changing their time, and a record that had vanished comes back with the time it
had before. So of the newest drop, and of no other, two things are believed beyond that: a row that
says something else at the same time is a correction, and a row that is there is there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from msgspec import structs

from peerview_common.facts import Fact
from peerview_ingest.extracts.reading import Day, RowRead, at_version, refused
from peerview_ingest.fhir import Outcome, Read
from peerview_ingest.fhir.read import content
from peerview_ingest.plan import fact_hash

TWICE: Final = "is the id of an earlier row that says something else"


@dataclass(frozen=True, slots=True)
class Version:
    """What the index knows of a record."""

    stamp: int
    version: int
    deleted: bool
    content: bytes
    run: int = 0
    """The latest drop that held it; 0 for none."""


@dataclass(frozen=True)
class Standing:
    """Where a drop stands among those of its source."""

    run: int
    day: Day
    newest: bool
    """No drop of a later day has been taken."""
    after_full: bool
    """No full drop of a later day is complete."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A record that a drop holds and that counts for somebody."""

    key: bytes
    type: int
    id: bytes
    patient: bytes


@dataclass
class Settled:
    reads: list[tuple[int | None, Read]] = field(default_factory=list)
    marks: dict[bytes, Mark] = field(default_factory=dict)
    void: set[bytes] = field(default_factory=set)
    """Records that are there and count for nobody, or are deleted."""
    there: set[bytes] = field(default_factory=set)
    """Records whose rows were refused: they have not vanished."""
    nobodys: int = 0
    """Rows refused of which nobody can say which record they are."""
    key_version: int = 1
    """Of the practice's keys that the marks are under."""
    stale: int = 0
    """Rows of an older drop about what a newer full one does not have."""


def settle(
    rows: Iterable[tuple[RowRead, bytes | None]],
    known: Mapping[bytes, Version],
    standing: Standing,
    id_column: str,
) -> Settled:
    """``rows`` with their keys (see ``keyed``); ``known`` has what the index knows of these."""
    found = Settled()
    held = dict(known)
    for row, key in rows:
        read = row.read
        if key is None or read.fact is None:
            found.nobodys += row.nobodys
            if row.refused is not None:
                found.there.add(row.refused)
            found.reads.append((row.line, read))
            continue
        before = held.get(key)
        if before is None and not standing.after_full:
            found.stale += 1
            found.reads.append((row.line, structs.replace(read, fact=None)))
            continue
        if before is not None and standing.newest:
            read = _against(read, before, standing, id_column)
            if read.fact is None:
                found.there.add(key)
                found.reads.append((row.line, read))
                continue
        found.reads.append((row.line, read))
        fact = read.fact
        assert fact is not None  # noqa: S101 - looked at above
        if before is None or (fact.stamp, fact.version) >= (before.stamp, before.version):
            held[key] = Version(
                fact.stamp, fact.version, fact.deleted, content(read)[:16], standing.run
            )
        _mark(found, key, read, fact)
    return found


def _against(read: Read, before: Version, standing: Standing, id_column: str) -> Read:
    """The read as the version that it must be; one without a fact where it is refused."""
    fact = read.fact
    assert fact is not None  # noqa: S101 - asked by the caller
    own, theirs = (fact.stamp, fact.version), (before.stamp, before.version)
    if own > theirs or before.content == content(read)[:16]:
        return read
    if before.deleted and not fact.deleted:
        # it had vanished by an earlier drop, and is back
        if before.stamp <= standing.day.stamp or before.stamp == fact.stamp:
            return _beyond(read, max(fact.stamp, standing.day.stamp), before)
        return read
    if fact.stamp == before.stamp:
        if before.run == standing.run and not fact.deleted:
            return refused(id_column, "duplicate", TWICE)
        return _beyond(read, fact.stamp, before)
    return read


def _beyond(read: Read, stamp: int, before: Version) -> Read:
    if stamp > before.stamp:
        return at_version(read, stamp, -1)
    return at_version(read, before.stamp, before.version + 1)


def _mark(found: Settled, key: bytes, read: Read, fact: Fact) -> None:
    if read.outcome is Outcome.ACCEPTED and fact.body is not None and read.patients:
        found.marks[key] = Mark(key, fact.type, fact.id, read.patients[0])
        found.void.discard(key)
    else:
        found.void.add(key)
        found.marks.pop(key, None)


def keyed(
    practice: str, source: str, rows: Iterable[RowRead], key_version: int
) -> list[tuple[RowRead, bytes | None]]:
    """Each row with the index's key of its record, under a version of the practice's keys; None
    where it has none."""
    return [
        (
            row,
            None
            if row.read.fact is None
            else fact_hash(practice, source, row.read.fact, key_version),
        )
        for row in rows
    ]


def deletion(mark: Mark, before: Version, day: Day) -> Read:
    """The deletion of a record that vanished, stamped with the day of the drop."""
    version = -1 if day.stamp > before.stamp else before.version + 1
    stamp = max(day.stamp, before.stamp)
    fact = Fact(mark.type, mark.id, stamp, version, "", True, None)
    return Read("", None, Outcome.ACCEPTED, (mark.patient,), fact)
