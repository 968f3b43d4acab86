"""What a reader is given and what it gives: who sends, when it was received, and a ``Read``."""

import hashlib
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from peerview_common.days import LONG_AGO
from peerview_common.facts import Coded, Fact
from peerview_common.ids import OdsCode
from peerview_ingest.fhir.issues import Issue, Outcome

_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True)
class Feed:
    """Who sends: the practice, its source system, and whether all its patients are registered."""

    practice: OdsCode
    source: str
    register_all: bool = False


@dataclass(frozen=True)
class Receipt:
    """The time of receipt in milliseconds UTC; None for ``evaluate``, which has none.

    Without one no stamp is refused, an absent ``lastUpdated`` is the earliest, a deletion without a
    time is final, and what ingest would refuse for want of a date is a version that counts nothing.
    """

    now: int | None
    max_future_hours: int = 24


class Read(Struct, frozen=True, gc=False):
    """What became of one resource."""

    place: str
    type: str | None
    outcome: Outcome
    patients: tuple[bytes, ...] = ()
    """Keys of the patients concerned. A void version may name none: whoever had it loses it."""
    fact: Fact | None = None
    """None where there is nothing to keep, not even a version (rejected, or a type not mapped)."""
    issues: tuple[Issue, ...] = ()
    stamped: bool = True
    """Whether its time is its own; False for the time of receipt."""
    id: str | None = None
    """Its logical id, where that is fit to be shown: it looks made by a machine."""
    person: bytes | None = None
    """Of a Patient: the keyed hash of the NHS number."""
    organisation: tuple[str, str] | None = None
    """Of an Organization: its id and ODS code."""
    informed: bool = False
    """Whether it says what it does for what ingest knew besides: see ``Setting.informed``."""

    @property
    def key(self) -> tuple[str, int, bytes] | None:
        return self.fact.key if self.fact else None


def content(read: Read) -> bytes:
    """SHA-256 of what a fact says, apart from its version: equal for an unchanged resource.

    A day of resolution that is only the day of receipt is left out, or it would change daily.
    """
    fact = read.fact
    body = fact.body if fact else None
    deleted = bool(fact and fact.deleted)
    if not read.stamped and isinstance(body, Coded) and body.resolved is not None:
        body = Coded(
            body.day, body.elapsed, body.codes, body.value, body.unit, LONG_AGO, body.components
        )
    return hashlib.sha256(_encode((deleted, body))).digest()


def refused(place: str, kind: str | None, code: str, reason: str) -> Read:
    issue = Issue("error", code, place, reason)
    return Read(place, kind, Outcome.REJECTED, issues=(issue,))


def dropped(place: str, kind: str) -> Read:
    issue = Issue("information", "informational", place, "no indicator needs it")
    return Read(place, kind, Outcome.DROPPED, issues=(issue,))
