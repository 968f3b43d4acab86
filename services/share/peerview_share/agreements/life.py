"""The life of an agreement: its state follows from what is recorded and the time, nothing else."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from peerview_common.days import LONDON, millis
from peerview_share.agreements.document import Agreement, Limits, Role

MIN_PARTIES = 2
NO_LIMITS = Limits()


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
    withdrawn_at: int | None = None
    suspended_at: int | None = None
    limits: Limits = NO_LIMITS

    @property
    def takes_part(self) -> bool:
        return self.signed_at is not None and self.withdrawn_at is None


@dataclass(frozen=True, slots=True)
class AgreementRecord:
    """One version of an agreement with all that its parties did."""

    document: Agreement
    terms_hash: str
    parties: tuple[PartyRecord, ...]

    @property
    def key(self) -> tuple[str, int]:
        return self.document.id, self.document.version

    @property
    def starts(self) -> int:
        return day_start(self.document.valid_from)

    @property
    def ends(self) -> int | None:
        """The moment from which it no longer holds: the end of the day ``validTo``."""
        last = self.document.valid_to
        return None if last is None else day_start(last + timedelta(days=1))

    @property
    def remaining(self) -> tuple[PartyRecord, ...]:
        return tuple(party for party in self.parties if party.withdrawn_at is None)

    @property
    def all_signed(self) -> bool:
        return len(self.remaining) >= MIN_PARTIES and all(p.signed_at for p in self.remaining)

    def party(self, ods: str) -> PartyRecord | None:
        return next((party for party in self.parties if party.ods == ods), None)


def day_start(day: date) -> int:
    """The first moment of a day in Europe/London, in milliseconds UTC."""
    return millis(datetime.combine(day, datetime.min.time(), tzinfo=LONDON).astimezone(UTC))


def own_status(record: AgreementRecord, now: int) -> Status:
    """The state of one version by itself."""
    if len(record.remaining) < MIN_PARTIES:
        return Status.WITHDRAWN
    if record.ends is not None and now >= record.ends:
        return Status.EXPIRED
    if not record.all_signed:
        return Status.DRAFT
    if now < record.starts:
        return Status.SIGNED
    if any(party.suspended_at is not None for party in record.remaining):
        return Status.SUSPENDED
    return Status.ACTIVE


def came_into_force(record: AgreementRecord, now: int) -> bool:
    """It was active at some moment up to ``now``, whatever happened to it since."""
    signed = [party.signed_at for party in record.parties if party.signed_at is not None]
    waiting = any(p.signed_at is None and p.withdrawn_at is None for p in record.parties)
    if len(signed) < MIN_PARTIES or waiting:
        return False
    since = max(record.starts, *signed)
    return since <= now and (record.ends is None or since < record.ends)


def statuses(records: Iterable[AgreementRecord], now: int) -> dict[tuple[str, int], Status]:
    """The state of every version, a later one that came into force ending the earlier ones."""
    found: dict[tuple[str, int], Status] = {}
    ordered = sorted(records, key=lambda record: record.key, reverse=True)
    replaced: set[str] = set()
    for record in ordered:
        identity = record.document.id
        status = own_status(record, now)
        if identity in replaced and status is not Status.WITHDRAWN:
            status = Status.EXPIRED
        found[record.key] = status
        if came_into_force(record, now):
            replaced.add(identity)
    return found


def next_change(records: Iterable[AgreementRecord], now: int) -> int | None:
    """The next moment at which time alone changes a state."""
    moments = [m for r in records for m in (r.starts, r.ends) if m is not None and m > now]
    return min(moments, default=None)
