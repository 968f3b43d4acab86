"""All active agreements as one index: who may see what, by whom it is allowed. Deny by default."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from peerview_share.agreements.document import Role
from peerview_share.agreements.level import Level, PeerMode
from peerview_share.agreements.life import (
    AgreementRecord,
    PartyRecord,
    Status,
    next_change,
    statuses,
)


@dataclass(frozen=True, slots=True)
class Grant:
    """What one agreement allows one viewer to see of one subject's indicator."""

    level: Level
    agreement: str
    version: int
    expires: int | None
    """Milliseconds UTC from which it no longer holds."""


Grants: TypeAlias = Mapping[str, Mapping[str, Grant]]
"""``{indicator: {subject: grant}}`` of one viewer in one network."""

NO_GRANTS: Grants = {}


@dataclass(frozen=True, slots=True)
class AgreementIndex:
    """Immutable. Rights never cross networks: the key holds the network."""

    grants: Mapping[tuple[str, str], Grants] = field(default_factory=dict)
    next_change: int | None = None
    """When time alone will change it."""

    def of(self, network: str, viewer: str) -> Grants:
        return self.grants.get((network, viewer), NO_GRANTS)

    def look_up(
        self, network: str, viewer: str, subject: str, indicator: str, now: int
    ) -> Grant | None:
        """The grant that holds at ``now``, None where there is none: denied."""
        grant = self.of(network, viewer).get(indicator, {}).get(subject)
        if grant is None or (grant.expires is not None and now >= grant.expires):
            return None
        return grant

    def networks_of(self, viewer: str) -> list[str]:
        return sorted(network for network, who in self.grants if who == viewer)


def compile_index(records: Iterable[AgreementRecord], now: int) -> AgreementIndex:
    everything = tuple(records)
    states = statuses(everything, now)
    active = [record for record in everything if states[record.key] is Status.ACTIVE]
    forbidden = {pair for record in active for pair in _prohibitions(record)}
    grants: dict[tuple[str, str], dict[str, dict[str, Grant]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for record in sorted(active, key=lambda record: record.key):
        network = record.document.network.id
        for viewer, subject, indicator, grant in _grants(record):
            if (viewer, subject, indicator) in forbidden:
                continue
            row = grants[network, viewer][indicator]
            if subject not in row or grant.level > row[subject].level:
                row[subject] = grant
    frozen = {
        key: {name: dict(row) for name, row in found.items()} for key, found in grants.items()
    }
    return AgreementIndex(frozen, next_change(everything, now))


def level_of(
    record: AgreementRecord, viewer: PartyRecord, subject: PartyRecord, indicator: str
) -> Level:
    """The least that the agreement, the subject and the viewer allow."""
    if subject.role is Role.RECIPIENT:
        return Level.NONE
    terms = record.document.peer_identification
    if terms.reciprocal and viewer.role is Role.RECIPIENT:
        return Level.NONE
    if sharers(record, viewer, indicator) < terms.min_peers:
        return Level.NONE
    modes = terms.of(indicator), subject.limits.of(indicator), viewer.limits.of(indicator)
    return min(mode.level for mode in modes)


def sharers(record: AgreementRecord, viewer: PartyRecord, indicator: str) -> int:
    """How many practices besides the viewer share the indicator under this agreement."""
    return sum(
        party.takes_part
        and party.role is not Role.RECIPIENT
        and party.ods != viewer.ods
        and party.limits.of(indicator).level > Level.NONE
        for party in record.parties
    )


def _grants(record: AgreementRecord) -> Iterable[tuple[str, str, str, Grant]]:
    identity, version = record.key
    members = [party for party in record.parties if party.takes_part]
    for viewer in members:
        for subject in members:
            if subject.ods == viewer.ods:
                continue
            for indicator in record.document.indicators:
                level = level_of(record, viewer, subject, indicator)
                if level > Level.NONE:
                    grant = Grant(level, identity, version, record.ends)
                    yield viewer.ods, subject.ods, indicator, grant


def _prohibitions(record: AgreementRecord) -> Iterable[tuple[str, str, str]]:
    members = [party for party in record.parties if party.takes_part]
    for indicator in record.document.indicators:
        everybody = record.document.peer_identification.of(indicator) is PeerMode.PROHIBIT
        for viewer in members:
            for subject in members:
                own = subject.limits.of(indicator) is PeerMode.PROHIBIT
                if everybody or own:
                    yield viewer.ods, subject.ods, indicator
