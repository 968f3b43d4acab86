"""Why: the clause that decided whether a viewer sees a subject's indicator, at any moment."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from peerview_share.agreements.index import compile_index, level_of, may_look, sharers, shares
from peerview_share.agreements.level import Level, PeerMode
from peerview_share.agreements.life import AgreementRecord, PartyRecord, Status, statuses


class Clause(StrEnum):
    """What decided. Later ones came nearer to granting."""

    GRANTED = "granted"
    NO_AGREEMENT = "no-agreement"
    NOT_A_PARTY = "not-a-party"
    NOT_LISTED = "indicator-not-listed"
    WITHDRAWN = "withdrawn"
    NOT_SIGNED = "not-signed"
    NOT_YET_VALID = "not-yet-valid"
    EXPIRED = "expired"
    SUSPENDED = "suspended"
    NOT_AUDIENCE = "not-audience"
    NOT_RECIPROCAL = "not-reciprocal"
    MIN_PEERS = "min-peers"
    LEVEL_NONE = "level-none"
    PROHIBITED = "prohibited"


@dataclass(frozen=True, slots=True)
class Explanation:
    level: Level
    clause: Clause
    agreement: str | None = None
    version: int | None = None
    place: str = ""
    """Where it stands: a clause of the document, or the act of a party."""
    why: str = ""
    """In plain words."""


_STATES = {
    Status.DRAFT: Clause.NOT_SIGNED,
    Status.SIGNED: Clause.NOT_YET_VALID,
    Status.SUSPENDED: Clause.SUSPENDED,
    Status.EXPIRED: Clause.EXPIRED,
    Status.WITHDRAWN: Clause.WITHDRAWN,
}
# of several agreements that deny, the one that came nearest to granting explains best
_NEARNESS = list(Clause)
_LEVELS: Final = {
    Level.NONE: "not at all",
    Level.DISTRIBUTION: "as part of a distribution",
    Level.ANONYMOUS: "anonymously",
    Level.NAMED: "by name",
}


def explain(
    records: Iterable[AgreementRecord],
    now: int,
    *,
    network: str,
    viewer: str,
    subject: str,
    indicator: str,
) -> Explanation:
    """``records`` as they stood at ``now``."""
    everything = tuple(records)
    grant = compile_index(everything, now).look_up(network, viewer, subject, indicator, now)
    if grant is not None:
        record = next(r for r in everything if r.key == (grant.agreement, grant.version))
        place, whose = _binding(record, viewer, subject, indicator, grant.level)
        why = f"{viewer} may see {indicator} of {subject} {_LEVELS[grant.level]}: {whose}"
        return Explanation(grant.level, Clause.GRANTED, grant.agreement, grant.version, place, why)
    states = statuses(everything, now)
    reasons = [
        _denial(record, states, viewer, subject, indicator)
        for record in everything
        if record.document.network.id == network
    ]
    if not reasons:
        why = f"there is no agreement in the network {network}"
        return Explanation(Level.NONE, Clause.NO_AGREEMENT, why=why)
    nearest = max(reasons, key=lambda why: (_NEARNESS.index(why.clause), why.version or 0))
    if nearest.clause is Clause.PROHIBITED:
        return _prohibition(everything, states, viewer, subject, indicator) or nearest
    return nearest


def viewer_clause(
    records: Iterable[AgreementRecord], now: int, *, network: str, viewer: str
) -> Clause:
    """Why a viewer sees nobody in a network, from what concerns the viewer alone.

    A stranger gets the same answer whether or not the network exists.
    """
    everything = tuple(records)
    states = statuses(everything, now)
    clauses = []
    for record in everything:
        looks = record.participant(viewer)
        if record.document.network.id != network or looks is None:
            continue
        state = states[record.key]
        if looks.withdrawn_at is not None:
            clauses.append(Clause.WITHDRAWN)
        elif state is Status.ACTIVE and looks.signed_at is None:
            clauses.append(Clause.NOT_SIGNED)
        else:
            clauses.append(_STATES.get(state, Clause.LEVEL_NONE))
    return max(clauses, key=_NEARNESS.index, default=Clause.NO_AGREEMENT)


def _denial(
    record: AgreementRecord,
    states: dict[tuple[str, int], Status],
    viewer: str,
    subject: str,
    indicator: str,
) -> Explanation:
    def no(clause: Clause, place: str, why: str) -> Explanation:
        return Explanation(Level.NONE, clause, *record.key, place, why)

    looks, shown = record.participant(viewer), record.party(subject)
    if viewer == subject:
        return no(Clause.NOT_A_PARTY, "parties", f"{viewer} is no peer of itself")
    if looks is None or shown is None:
        who = viewer if looks is None else subject
        return no(Clause.NOT_A_PARTY, "parties", f"{who} is no party of it")
    if indicator not in record.document.indicators:
        return no(Clause.NOT_LISTED, "dataItems", f"{indicator} is not listed")
    for party in (looks, shown):
        if party.withdrawn_at is not None:
            how = "was succeeded by another practice" if party.succeeded else "has withdrawn"
            return no(Clause.WITHDRAWN, f"parties.{party.ods}", f"{party.ods} {how}")
    state = states[record.key]
    if state is not Status.ACTIVE:
        return no(_STATES[state], *_state(record, state))
    for party in (looks, shown):
        if party.signed_at is None:
            return no(
                Clause.NOT_SIGNED, f"signatures.{party.ods}", f"{party.ods} has not signed it"
            )
    return _terms(record, looks, shown, indicator)


def _state(record: AgreementRecord, state: Status) -> tuple[str, str]:
    document = record.document
    match state:
        case Status.DRAFT:
            missing = ", ".join(p.ods for p in record.remaining if p.signed_at is None)
            return "signatures", f"not signed yet by {missing}"
        case Status.SIGNED:
            return "validFrom", f"it is valid from {document.valid_from}"
        case Status.SUSPENDED:
            who = ", ".join(p.ods for p in record.remaining if p.suspended_at is not None)
            return "suspended", f"suspended by {who}"
        case Status.EXPIRED:
            if document.valid_to is not None:
                return "validTo", f"it was valid to {document.valid_to}, or a newer version holds"
            return "supersedes", "a newer version came into force"
        case _:
            return "parties", "fewer than two parties remain"


def _terms(
    record: AgreementRecord, looks: PartyRecord, shown: PartyRecord, indicator: str
) -> Explanation:
    """Why an active agreement of both gives nothing, or that only a prohibition stands against."""

    def no(clause: Clause, place: str, why: str) -> Explanation:
        return Explanation(Level.NONE, clause, *record.key, place, why)

    terms = record.document.peer_identification
    if level_of(record, looks, shown, indicator) is not Level.NONE:
        return no(Clause.PROHIBITED, "peerIdentification", "another agreement prohibits it")
    says = _words(record, looks.ods, shown.ods, indicator)
    for place, mode, whose in says:
        if mode is PeerMode.PROHIBIT:
            return no(Clause.PROHIBITED, place, f"{whose} prohibits it")
    if record.party(looks.ods) is not None and not record.document.members_may_see:
        return no(Clause.NOT_AUDIENCE, "audiences", "members are not among those who may see")
    if not may_look(record, looks, indicator):
        return no(
            Clause.NOT_RECIPROCAL, "peerIdentification.reciprocal",
            f"{looks.ods} does not share {indicator}, and sees only what it shares",
        )  # fmt: skip
    if not shares(shown, indicator) and shown.role == "recipient":
        return no(
            Clause.LEVEL_NONE,
            f"parties.{shown.ods}.role",
            f"{shown.ods} receives and shares nothing",
        )
    found = sharers(record, looks, indicator)
    if found < terms.min_peers:
        return no(
            Clause.MIN_PEERS, "peerIdentification.minPeers",
            f"{found} others share {indicator}, and {terms.min_peers} are asked for",
        )  # fmt: skip
    place, _, whose = min(says, key=lambda word: word[1].level)
    return no(Clause.LEVEL_NONE, place, f"{whose} shares none of it")


def _words(
    record: AgreementRecord, viewer: str, subject: str, indicator: str
) -> list[tuple[str, PeerMode, str]]:
    """What the agreement, the subject and the viewer say: ``(place, mode, whose word)``."""
    terms = record.document.peer_identification
    override = indicator in terms.per_indicator
    place = f"peerIdentification.{f'perIndicator.{indicator}' if override else 'mode'}"
    found = [(place, terms.of(indicator), "the agreement")]
    for ods, whose in ((subject, "subject"), (viewer, "viewer")):
        party = record.participant(ods)
        if party is not None:
            limits = party.limits
            name = f"perIndicator.{indicator}" if indicator in limits.per_indicator else "mode"
            mode = limits.of(indicator)
            found.append((f"limits.{ods}.{name}", mode, f"{ods}, the {whose},"))
    return found


def _binding(
    record: AgreementRecord, viewer: str, subject: str, indicator: str, level: Level
) -> tuple[str, str]:
    """Whose word set the level that was granted."""
    for place, mode, whose in _words(record, viewer, subject, indicator):
        if mode.level is level:
            return place, f"so says {whose.rstrip(',')}"
    return "peerIdentification.mode", "so says the agreement"


def _prohibition(
    records: tuple[AgreementRecord, ...],
    states: dict[tuple[str, int], Status],
    viewer: str,
    subject: str,
    indicator: str,
) -> Explanation | None:
    """Which agreement prohibits it, in any network."""
    for record in records:
        looks, shown = record.participant(viewer), record.party(subject)
        if states[record.key] is not Status.ACTIVE or looks is None or shown is None:
            continue
        if not looks.takes_part or not shown.takes_part:
            continue
        if indicator not in record.document.indicators:
            continue
        for place, mode, whose in _words(record, viewer, subject, indicator):
            if mode is PeerMode.PROHIBIT:
                return Explanation(
                    Level.NONE, Clause.PROHIBITED, *record.key, place,
                    f"{whose.rstrip(',')} prohibits it, in every network",
                )  # fmt: skip
    return None
