"""Why: the clause that decided whether a viewer sees a subject's indicator."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from peerview_share.agreements.index import compile_index, level_of, sharers
from peerview_share.agreements.level import Level
from peerview_share.agreements.life import AgreementRecord, Status, statuses


class Clause(StrEnum):
    GRANTED = "granted"
    NO_AGREEMENT = "no-agreement"
    NOT_A_PARTY = "not-a-party"
    NOT_LISTED = "indicator-not-listed"
    WITHDRAWN = "withdrawn"
    NOT_SIGNED = "not-signed"
    NOT_YET_VALID = "not-yet-valid"
    EXPIRED = "expired"
    SUSPENDED = "suspended"
    MIN_PEERS = "min-peers"
    LEVEL_NONE = "level-none"
    PROHIBITED = "prohibited"


@dataclass(frozen=True, slots=True)
class Explanation:
    level: Level
    clause: Clause
    agreement: str | None = None
    version: int | None = None


_STATES = {
    Status.DRAFT: Clause.NOT_SIGNED,
    Status.SIGNED: Clause.NOT_YET_VALID,
    Status.SUSPENDED: Clause.SUSPENDED,
    Status.EXPIRED: Clause.EXPIRED,
    Status.WITHDRAWN: Clause.WITHDRAWN,
}
# of several agreements that deny, the one that came nearest to granting explains best
_NEARNESS = list(Clause)


def explain(
    records: Iterable[AgreementRecord],
    now: int,
    *,
    network: str,
    viewer: str,
    subject: str,
    indicator: str,
) -> Explanation:
    everything = tuple(records)
    grant = compile_index(everything, now).look_up(network, viewer, subject, indicator, now)
    if grant is not None:
        return Explanation(grant.level, Clause.GRANTED, grant.agreement, grant.version)
    states = statuses(everything, now)
    reasons = [
        Explanation(Level.NONE, _denial(record, states, viewer, subject, indicator), *record.key)
        for record in everything
        if record.document.network.id == network
    ]
    if not reasons:
        return Explanation(Level.NONE, Clause.NO_AGREEMENT)
    return max(reasons, key=lambda reason: (_NEARNESS.index(reason.clause), reason.version or 0))


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
        party = record.party(viewer)
        if record.document.network.id != network or party is None:
            continue
        state = states[record.key]
        if party.withdrawn_at is not None:
            clauses.append(Clause.WITHDRAWN)
        else:
            clauses.append(_STATES.get(state, Clause.LEVEL_NONE))
    return max(clauses, key=_NEARNESS.index, default=Clause.NO_AGREEMENT)


def _denial(
    record: AgreementRecord,
    states: dict[tuple[str, int], Status],
    viewer: str,
    subject: str,
    indicator: str,
) -> Clause:
    looks, shows = record.party(viewer), record.party(subject)
    if looks is None or shows is None or viewer == subject:
        return Clause.NOT_A_PARTY
    if indicator not in record.document.indicators:
        return Clause.NOT_LISTED
    if looks.withdrawn_at is not None or shows.withdrawn_at is not None:
        return Clause.WITHDRAWN
    if (state := states[record.key]) is not Status.ACTIVE:
        return _STATES[state]
    if level_of(record, looks, shows, indicator) is not Level.NONE:
        return Clause.PROHIBITED
    minimum = record.document.peer_identification.min_peers
    return Clause.MIN_PEERS if sharers(record, looks, indicator) < minimum else Clause.LEVEL_NONE
