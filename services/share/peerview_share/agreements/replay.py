"""From what happened, in its order, to how an agreement stands: a pure function of the history.

Only what happened is stored. So how things stood at any past moment follows from the changes up to
that moment, by the same code that decides now.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from peerview_share.agreements.clauses import Limits, Role
from peerview_share.agreements.document import Agreement
from peerview_share.agreements.life import (
    MIN_PARTIES,
    NO_LIMITS,
    AgreementRecord,
    Asking,
    PartyRecord,
    ends,
    first_active,
    starts,
)


class Event(StrEnum):
    """What can happen to an agreement."""

    PROPOSED = "proposed"
    EDITED = "edited"
    SIGNED = "signed"
    ASKED = "asked"
    """To join, by signing the terms."""
    AGREED = "agreed"
    """One party, to a practice that asks."""
    TAKEN_BACK = "taken-back"
    """That it asked to join, by the practice itself."""
    JOINED = "joined"
    SUSPENDED = "suspended"
    RESUMED = "resumed"
    LIMITED = "limited"
    WITHDRAWN = "withdrawn"
    SUCCEEDED = "succeeded"
    """A party, by another practice: it leaves, and the other does not come in its place."""
    KEY_REVOCATION_ASKED = "key-revocation-asked"
    """Of a party's signing key, by an operator. What follows of it is told by `key_state`."""
    KEY_REVOCATION_STOPPED = "key-revocation-stopped"
    KEY_REGISTERED = "key-registered"
    """A new one, by a party whose key was revoked."""


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of an agreement's history. ``ods`` is who acted, or whom it happened to."""

    version: int
    event: Event
    ods: str
    at: int
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Text:
    """A document as it was proposed or edited, and the hash of its terms at that time."""

    document: Agreement
    plain: Mapping[str, Any]
    terms_hash: str


@dataclass(slots=True)
class _Version:
    text: Text
    edit: int
    members: dict[str, PartyRecord]
    """As they came in; what they did since is told apart by ``signed`` and the `_Parties`."""
    signed: dict[tuple[str, str], int] = field(default_factory=dict)
    """``{(practice, hash of the terms): when}``"""
    asking: dict[str, Asking] = field(default_factory=dict)
    complete_since: int | None = None
    ready_since: int | None = None
    active_from: int | None = None

    def signed_at(self, ods: str) -> int | None:
        return self.signed.get((ods, self.text.terms_hash))


@dataclass(slots=True)
class _Parties:
    """What practices did about all versions at once."""

    left: dict[str, tuple[int, bool]] = field(default_factory=dict)
    """``{practice: (when, whether it was succeeded)}``"""
    suspended: dict[str, int] = field(default_factory=dict)
    limits: dict[str, Limits] = field(default_factory=dict)


def replay(
    texts: Mapping[tuple[int, int], Text], changes: Iterable[Change]
) -> tuple[AgreementRecord, ...]:
    """All versions of one agreement. ``texts`` are by version and edit; changes in their order."""
    versions: dict[int, _Version] = {}
    parties = _Parties()
    for change in changes:
        for version in versions.values():
            _settle(version, change.at)
        _apply(versions, parties, change, texts)
        if change.event not in _COUNT_NOTHING:
            for version in versions.values():
                _count(version, parties, change.at)
    return tuple(_record(version, parties) for _, version in sorted(versions.items()))


_COUNT_NOTHING = frozenset(
    {
        Event.LIMITED,
        Event.ASKED,
        Event.AGREED,
        Event.TAKEN_BACK,
        Event.KEY_REVOCATION_ASKED,
        Event.KEY_REVOCATION_STOPPED,
        Event.KEY_REGISTERED,
    }
)


def _settle(version: _Version, before: int) -> None:
    """What time alone did before the next change."""
    if version.active_from is None and version.ready_since is not None:
        document = version.text.document
        version.active_from = first_active(
            version.ready_since, starts(document), ends(document), before - 1
        )


def _count(version: _Version, parties: _Parties, at: int) -> None:
    here = [ods for ods in version.members if ods not in parties.left]
    whole = len(here) >= MIN_PARTIES and all(version.signed_at(ods) is not None for ods in here)
    ready = whole and not any(ods in parties.suspended for ods in here)
    version.complete_since = _since(version.complete_since, at) if whole else None
    version.ready_since = _since(version.ready_since, at) if ready else None


def _since(before: int | None, at: int) -> int:
    return at if before is None else before


def _apply(
    versions: dict[int, _Version],
    parties: _Parties,
    change: Change,
    texts: Mapping[tuple[int, int], Text],
) -> None:
    ods, at, detail = change.ods, change.at, change.detail
    if change.event is Event.PROPOSED:
        text = texts[change.version, 0]
        versions[change.version] = _Version(text, 0, _named(text, at))
        return
    version = versions[change.version]
    match change.event:
        case Event.EDITED:
            version.edit = int(detail["edit"])
            version.text = texts[change.version, version.edit]
            before = version.members
            version.members = {
                ods: replace(member, joined_at=before[ods].joined_at) if ods in before else member
                for ods, member in _named(version.text, at).items()
            }
        case Event.SIGNED:
            version.signed[ods, str(detail["terms"])] = at
        case Event.ASKED:
            version.asking[ods] = Asking(ods, str(detail["name"]), Role(detail["role"]), at)
        case Event.AGREED:
            asking = version.asking[str(detail["practice"])]
            version.asking[asking.ods] = replace(asking, agreed=(*asking.agreed, ods))
        case Event.TAKEN_BACK:
            for each in versions.values():
                each.asking.pop(ods, None)
        case Event.JOINED:
            _join(versions, parties, change.version, version.asking.pop(ods), at)
        case Event.SUSPENDED:
            parties.suspended[ods] = at
        case Event.RESUMED:
            parties.suspended.pop(ods, None)
        case Event.LIMITED:
            parties.limits[ods] = Limits.model_validate_json(detail["limits"])
        case Event.WITHDRAWN | Event.SUCCEEDED:
            succeeded = change.event is Event.SUCCEEDED
            parties.left[ods] = at, succeeded
            for each in versions.values():
                each.asking.pop(ods, None)
                if succeeded:
                    # a successor that keeps the code has signed nothing
                    each.signed = {k: v for k, v in each.signed.items() if k[0] != ods}


def _join(
    versions: dict[int, _Version], parties: _Parties, number: int, asking: Asking, at: int
) -> None:
    member = PartyRecord(asking.ods, asking.name, asking.role, joined_at=at)
    # only one who was succeeded comes back: its successor kept its code, and begins anew
    parties.left.pop(asking.ods, None)
    parties.suspended.pop(asking.ods, None)
    parties.limits.pop(asking.ods, None)
    joined = versions[number]
    joined.members[asking.ods] = member
    joined.signed[asking.ods, joined.text.terms_hash] = asking.asked_at
    for later, version in versions.items():
        # a draft of the next version waits for its signature too
        if later > number and version.complete_since is None:
            version.members.setdefault(asking.ods, member)


def _named(text: Text, at: int) -> dict[str, PartyRecord]:
    # one string for each practice, however many agreements name it: the index compares by identity
    return {
        (ods := sys.intern(party.ods_code)): PartyRecord(ods, party.name, party.role, joined_at=at)
        for party in text.document.parties
    }


def _record(version: _Version, parties: _Parties) -> AgreementRecord:
    document = version.text.document
    audience = {
        ods: PartyRecord(ods, name, Role.RECIPIENT)
        for ods, name in document.audience.items()
        if ods not in version.members
    }

    def standing(member: PartyRecord) -> PartyRecord:
        ods = member.ods
        left = parties.left.get(ods)
        return PartyRecord(
            ods,
            member.name,
            member.role,
            version.signed_at(ods),
            left[0] if left else None,
            parties.suspended.get(ods),
            parties.limits.get(ods, NO_LIMITS),
            member.joined_at,
            left[1] if left else False,
        )

    return AgreementRecord(
        document,
        version.text.terms_hash,
        tuple(standing(member) for member in version.members.values()),
        tuple(standing(member) for member in audience.values()),
        tuple(version.asking.values()),
        version.complete_since,
        version.ready_since,
        version.active_from,
        version.text.plain,
        version.edit,
    )
