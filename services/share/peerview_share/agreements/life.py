"""The life of an agreement: its state follows from what is recorded and the time, nothing else."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any

from peerview_common.days import LONDON, millis
from peerview_share.agreements.clauses import LeadPractice
from peerview_share.agreements.document import Agreement, Limits, Role

MIN_PARTIES = 2
NO_LIMITS = Limits()
DAY_MS = 86_400_000


class Status(StrEnum):
    DRAFT = "draft"
    SIGNED = "signed"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class PartyRecord:
    """One party's acts, each with its moment (milliseconds UTC) or None."""

    ods: str
    name: str
    role: Role
    signed_at: int | None = None
    """When it signed the terms as they now stand."""
    withdrawn_at: int | None = None
    suspended_at: int | None = None
    limits: Limits = NO_LIMITS
    joined_at: int | None = None
    succeeded: bool = False
    """It left because another practice succeeded it, not by its own will."""

    @property
    def takes_part(self) -> bool:
        return self.signed_at is not None and self.withdrawn_at is None


@dataclass(frozen=True, slots=True)
class Asking:
    """A practice that signed the terms and waits to be admitted."""

    ods: str
    name: str
    role: Role
    asked_at: int
    agreed: tuple[str, ...] = ()
    """The parties that have agreed, by their codes."""


@dataclass(frozen=True, slots=True)
class AgreementRecord:
    """One version of an agreement with all that its parties did."""

    document: Agreement
    terms_hash: str
    parties: tuple[PartyRecord, ...]
    audience: tuple[PartyRecord, ...] = ()
    """Who sees under it and is no party."""
    asking: tuple[Asking, ...] = ()
    complete_since: int | None = None
    """Since when every remaining party, two at least, has signed these terms."""
    ready_since: int | None = None
    """The same, and since when no remaining party suspends it."""
    active_from: int | None = None
    """When it was first active, as far as the records reach; see `was_active`."""
    text: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """The document as JSON values, exactly as it was hashed."""
    edit: int = 0
    """How often this draft was changed."""

    @property
    def key(self) -> tuple[str, int]:
        return self.document.id, self.document.version

    @property
    def edition(self) -> str:
        """Which text this is: version and edit. A draft that is changed has another."""
        return f"{self.document.version}.{self.edit}"

    @property
    def starts(self) -> int:
        return starts(self.document)

    @property
    def ends(self) -> int | None:
        return ends(self.document)

    @property
    def remaining(self) -> tuple[PartyRecord, ...]:
        return tuple(party for party in self.parties if party.withdrawn_at is None)

    def party(self, ods: str) -> PartyRecord | None:
        return next((party for party in self.parties if party.ods == ods), None)

    def participant(self, ods: str) -> PartyRecord | None:
        """A party, or one of the audience."""
        found = self.party(ods)
        return found or next((party for party in self.audience if party.ods == ods), None)

    def names(self, ods: str) -> bool:
        """Whether it is any business of this practice: as party, audience, or asking to join."""
        return self.participant(ods) is not None or any(who.ods == ods for who in self.asking)

    def admits(self, asking: Asking) -> bool:
        """Whether those who must agree to a new party have."""
        voters = {party.ods for party in self.parties if party.takes_part}
        admission = self.document.admission
        if isinstance(admission, LeadPractice):
            return admission.practice in voters and admission.practice in asking.agreed
        return len(voters & set(asking.agreed)) >= admission.needed(len(voters))

    def told_by(self, party: PartyRecord) -> int | None:
        """Until when the others must be told that a party withdrew (milliseconds UTC)."""
        if party.withdrawn_at is None:
            return None
        return party.withdrawn_at + self.document.withdrawal.notice_days * DAY_MS


@lru_cache(maxsize=4096)
def day_start(day: date) -> int:
    """The first moment of a day in Europe/London, in milliseconds UTC."""
    return millis(datetime.combine(day, datetime.min.time(), tzinfo=LONDON).astimezone(UTC))


def day_end(day: date) -> int:
    """The first moment after a day in Europe/London; after the last day that there is, too."""
    if day == date.max:
        return day_start(day) + DAY_MS
    return day_start(day + timedelta(days=1))


def starts(document: Agreement) -> int:
    """The first moment of the day ``validFrom``."""
    return day_start(document.valid_from)


def ends(document: Agreement) -> int | None:
    """The moment from which it no longer holds: the end of the day ``validTo``."""
    last = document.valid_to
    return None if last is None else day_end(last)


def own_status(record: AgreementRecord, now: int) -> Status:
    """The state of one version by itself."""
    remaining = record.remaining
    if len(remaining) < MIN_PARTIES:
        return Status.WITHDRAWN
    if record.ends is not None and now >= record.ends:
        return Status.EXPIRED
    if record.complete_since is None:
        return Status.DRAFT
    if now < record.starts:
        return Status.SIGNED
    if any(party.suspended_at is not None for party in remaining):
        return Status.SUSPENDED
    return Status.ACTIVE


def first_active(ready_since: int | None, starts: int, ends: int | None, now: int) -> int | None:
    """The moment up to ``now`` at which a version becomes active, if nothing happens before."""
    if ready_since is None:
        return None
    moment = max(ready_since, starts)
    return moment if moment <= now and (ends is None or moment < ends) else None


def was_active(record: AgreementRecord, now: int) -> bool:
    """At some moment up to ``now``, whatever happened to it since."""
    if record.active_from is not None:
        return True
    return first_active(record.ready_since, record.starts, record.ends, now) is not None


def statuses(records: Iterable[AgreementRecord], now: int) -> dict[tuple[str, int], Status]:
    """The state of every version. Once a later one was active the earlier ones are over."""
    found: dict[tuple[str, int], Status] = {}
    ordered = sorted(records, key=lambda record: record.key, reverse=True)
    replaced: set[str] = set()
    for record in ordered:
        identity = record.document.id
        status = own_status(record, now)
        if identity in replaced and status is not Status.WITHDRAWN:
            status = Status.EXPIRED
        found[record.key] = status
        if status is Status.ACTIVE or was_active(record, now):
            replaced.add(identity)
    return found


def holds_until(record: AgreementRecord, versions: Iterable[AgreementRecord]) -> int | None:
    """The moment at which time alone ends an active version: its last day, or the first day of a
    signed version that supersedes it. ``versions`` are those of the same agreement."""
    moments = [] if record.ends is None else [record.ends]
    for other in versions:
        later = other.document.version > record.document.version
        if later and other.ready_since is not None:
            start = max(other.starts, other.ready_since)
            if other.ends is None or start < other.ends:
                moments.append(start)
    return min(moments, default=None)


def next_change(records: Iterable[AgreementRecord], now: int) -> int | None:
    """The next moment at which time alone changes a state."""
    moments = [m for r in records for m in (r.starts, r.ends) if m is not None and m > now]
    return min(moments, default=None)
