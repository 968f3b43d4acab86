"""All active agreements as one index: who may see what, by whom it is allowed. Deny by default.

A thousand agreements of fifty parties are 29 million answers: too many to write down. So what an
agreement allows is kept once for all viewers whom it treats alike, and the few agreements that
cover a viewer in a network are compared when the index is asked.
"""

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from peerview_share.agreements.clauses import DisclosureControl, Role
from peerview_share.agreements.level import Level, PeerMode
from peerview_share.agreements.life import (
    NO_LIMITS,
    AgreementRecord,
    PartyRecord,
    Status,
    holds_until,
    next_change,
    statuses,
)


@dataclass(frozen=True, slots=True)
class Conditions:
    """What an agreement asks of the figures shown under it, beyond who sees whom."""

    every: int = 1
    lag_days: int = 0
    disclosure_control: DisclosureControl = field(default_factory=DisclosureControl)
    version_ranges: Mapping[str, str] = field(default_factory=dict)
    """``{indicator: range of definition versions}``, those alone that are not every version."""

    def lists(self, indicator: str, version: str) -> bool:
        """Whether figures of this definition version are shown."""
        text = self.version_ranges.get(indicator)
        if text is None or not version:
            return True
        first, _, last = text.partition("-")
        return _number(first) <= _number(version) <= _number(last or first)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


NO_CONDITIONS = Conditions()


@dataclass(frozen=True, slots=True)
class Grant:
    """What one agreement allows one viewer to see of one subject's indicator."""

    level: Level
    agreement: str
    version: int
    expires: int | None
    """Milliseconds UTC from which it no longer holds."""
    conditions: Conditions = NO_CONDITIONS


Grants: TypeAlias = Mapping[str, Mapping[str, Grant]]
"""``{indicator: {subject: grant}}`` of one viewer in one network."""
Forbidden: TypeAlias = Mapping[str, frozenset[str]]
"""``{indicator: subjects}`` that one agreement forbids a viewer, in every network."""

NO_GRANTS: Grants = {}


@dataclass(frozen=True, slots=True)
class Retained:
    """What stays of a party that withdrew, under an agreement that retains past data: its cells in
    views of epochs that were published before."""

    subject: str
    withdrawn_at: int
    grants: Mapping[str, Grant]
    """By indicator."""


@dataclass(frozen=True, slots=True)
class AgreementIndex:
    """Immutable. Rights never cross networks: the first key is the network.

    Under an agreement, viewers who are treated alike share one table, in which they find themselves
    too; nobody is its own peer, so that is taken out when the index is asked.
    """

    networks: Mapping[str, Mapping[str, tuple[Grants, ...]]] = field(default_factory=dict)
    """``{network: {viewer: what each agreement allows it}}``"""
    forbidden: Mapping[str, tuple[Forbidden, ...]] = field(default_factory=dict)
    """By viewer."""
    retained: Mapping[tuple[str, str], tuple[Retained, ...]] = field(default_factory=dict)
    """By network and viewer."""
    next_change: int | None = None
    """When time alone will change it."""

    def look_up(
        self, network: str, viewer: str, subject: str, indicator: str, now: int
    ) -> Grant | None:
        """The most generous grant that holds at ``now``, None where there is none: denied."""
        try:
            tables = self.networks[network][viewer]
        except KeyError:
            return None
        best = None
        for table in tables:
            try:
                grant = table[indicator][subject]
            except KeyError:
                continue
            expires = grant.expires
            if (expires is None or now < expires) and (best is None or grant.level > best.level):
                best = grant
        if best is None or viewer == subject:
            return None
        if viewer in self.forbidden:
            for forbids in self.forbidden[viewer]:
                if subject in forbids.get(indicator, ()):
                    return None
        return best

    def of(self, network: str, viewer: str, now: int | None = None) -> Grants:
        """All that a viewer may see in a network: what `look_up` gives at ``now``; without one,
        whether or not it has expired since."""
        tables = self.networks.get(network, {}).get(viewer, ())
        found: dict[str, dict[str, Grant]] = {}
        for table in tables:
            for indicator, row in table.items():
                best = found.setdefault(indicator, {})
                for subject, grant in row.items():
                    if now is not None and grant.expires is not None and now >= grant.expires:
                        continue
                    if subject != viewer and (
                        subject not in best or grant.level > best[subject].level
                    ):
                        best[subject] = grant
        for forbids in self.forbidden.get(viewer, ()):
            for indicator, subjects in forbids.items():
                for subject in subjects & found.get(indicator, {}).keys():
                    del found[indicator][subject]
        return {indicator: row for indicator, row in found.items() if row}

    def past(self, network: str, viewer: str, published: int, now: int) -> Grants:
        """Besides `of`: what a viewer may still see, in an epoch published at that moment, of
        practices that have withdrawn since. Only what it could see by name: a derived figure loses
        whoever left."""
        found: dict[str, dict[str, Grant]] = {}
        forbidden = self.forbidden.get(viewer, ())
        for left in self.retained.get((network, viewer), ()):
            if published >= left.withdrawn_at:
                continue
            for indicator, grant in left.grants.items():
                over = grant.expires is not None and now >= grant.expires
                if not over and not any(left.subject in f.get(indicator, ()) for f in forbidden):
                    found.setdefault(indicator, {})[left.subject] = grant
        return found

    def viewers(self) -> Iterator[tuple[str, str]]:
        """Every ``(network, viewer)`` that may see something."""
        for network, viewers in self.networks.items():
            for viewer in viewers:
                if self.of(network, viewer):
                    yield network, viewer

    def networks_of(self, viewer: str) -> list[str]:
        return sorted(
            network
            for network, viewers in self.networks.items()
            if viewer in viewers and self.of(network, viewer)
        )


def compile_index(records: Iterable[AgreementRecord], now: int) -> AgreementIndex:
    everything = tuple(records)
    states = statuses(everything, now)
    versions: dict[str, list[AgreementRecord]] = defaultdict(list)
    for record in everything:
        versions[record.document.id].append(record)
    networks: dict[str, dict[str, list[Grants]]] = defaultdict(lambda: defaultdict(list))
    forbidden: dict[str, list[Forbidden]] = defaultdict(list)
    retained: dict[tuple[str, str], list[Retained]] = defaultdict(list)
    for record in sorted(everything, key=lambda record: record.key):
        if states[record.key] is not Status.ACTIVE:
            continue
        until = holds_until(record, versions[record.document.id])
        viewers = networks[sys.intern(record.document.network.id)]
        for viewer, table in _tables(record, until):
            viewers[viewer].append(table)
        for viewer, forbids in _prohibitions(record):
            forbidden[viewer].append(forbids)
        for viewer, left in _retained(record, until):
            retained[record.document.network.id, viewer].append(left)
    return AgreementIndex(
        {
            network: {viewer: tuple(tables) for viewer, tables in viewers.items()}
            for network, viewers in networks.items()
            if viewers
        },
        {viewer: tuple(found) for viewer, found in forbidden.items()},
        {key: tuple(found) for key, found in retained.items()},
        next_change(everything, now),
    )


def level_of(
    record: AgreementRecord, viewer: PartyRecord, subject: PartyRecord, indicator: str
) -> Level:
    """The least that the agreement, the subject and the viewer allow, and none where a condition
    of the agreement is not met."""
    if not may_look(record, viewer, indicator) or not shares(subject, indicator):
        return Level.NONE
    terms = record.document.peer_identification
    if sharers(record, viewer, indicator) < terms.min_peers:
        return Level.NONE
    modes = terms.of(indicator), subject.limits.of(indicator), viewer.limits.of(indicator)
    return min(mode.level for mode in modes)


def shares(party: PartyRecord, indicator: str) -> bool:
    return party.role is not Role.RECIPIENT and party.limits.of(indicator).level > Level.NONE


def may_look(record: AgreementRecord, viewer: PartyRecord, indicator: str) -> bool:
    """Whether it is in the audience, and shares where it must to see."""
    document = record.document
    if record.party(viewer.ods) is not None and not document.members_may_see:
        return False
    return not document.peer_identification.reciprocal or shares(viewer, indicator)


def sharers(record: AgreementRecord, viewer: PartyRecord, indicator: str) -> int:
    """How many practices besides the viewer share the indicator under this agreement."""
    return sum(
        party.takes_part and party.ods != viewer.ods and shares(party, indicator)
        for party in record.parties
    )


def conditions_of(record: AgreementRecord) -> Conditions:
    document = record.document
    ranges = {i.indicator_id: i.version_range for i in document.data_items}
    return Conditions(
        document.epochs.every,
        document.epochs.lag_days,
        document.disclosure_control,
        {name: text for name, text in ranges.items() if text != "*"},
    )


def _tables(record: AgreementRecord, until: int | None) -> Iterator[tuple[str, Grants]]:
    """What each viewer may see under one agreement. Viewers treated alike get the same object."""
    identity, version = record.key
    conditions = conditions_of(record)
    grants = {
        level: Grant(level, identity, version, until, conditions)
        for level in Level
        if level > Level.NONE
    }
    members = [party for party in record.parties if party.takes_part]
    viewers = members if record.document.members_may_see else []
    viewers = viewers + [party for party in record.audience if party.takes_part]
    indicators = sorted(map(sys.intern, record.document.indicators))
    shown = [_shown(party, indicators) for party in members]
    # by indicator, what each member shows of it
    columns = list(zip(*shown, strict=True)) if members else []
    counts = [len(column) - column.count(Level.NONE) for column in columns]
    rows: dict[tuple[Level, tuple[Level, ...]], Mapping[str, Grant]] = {}
    tables: dict[tuple[tuple[Level, ...], tuple[Level, ...]], Grants] = {}
    for viewer in viewers:
        own, shows = _allowed(viewer, indicators), _shown(viewer, indicators)
        table = tables.get((own, shows))
        if table is None:
            most = _most(record, indicators, own, shows, counts)
            table = tables[own, shows] = {
                name: _row(rows, level, column, members, grants)
                for name, level, column in zip(indicators, most, columns, strict=True)
                if level > Level.NONE
            }
        if table:
            yield viewer.ods, table


_EVERYTHING: Final = tuple([Level.NAMED] * 500)
_NOTHING: Final = tuple([Level.NONE] * 500)


def _allowed(party: PartyRecord, indicators: list[str]) -> tuple[Level, ...]:
    """The most that a party allows, by indicator."""
    if party.limits is NO_LIMITS:
        return _EVERYTHING[: len(indicators)]
    return tuple(party.limits.of(name).level for name in indicators)


def _shown(party: PartyRecord, indicators: list[str]) -> tuple[Level, ...]:
    """The most that it shows of itself."""
    if party.role is Role.RECIPIENT:
        return _NOTHING[: len(indicators)]
    return _allowed(party, indicators)


def _most(
    record: AgreementRecord,
    indicators: list[str],
    own: tuple[Level, ...],
    shows: tuple[Level, ...],
    counts: list[int],
) -> list[Level]:
    """The most that a viewer may see of anybody, by indicator. ``counts`` are of those who share
    an indicator, the viewer among them where it does."""
    terms = record.document.peer_identification
    found = []
    for name, allowed, shown, count in zip(indicators, own, shows, counts, strict=True):
        sharing = shown > Level.NONE
        if (terms.reciprocal and not sharing) or count - sharing < terms.min_peers:
            found.append(Level.NONE)
        else:
            found.append(min(terms.of(name).level, allowed))
    return found


def _row(
    rows: dict[tuple[Level, tuple[Level, ...]], Mapping[str, Grant]],
    most: Level,
    column: tuple[Level, ...],
    members: list[PartyRecord],
    grants: Mapping[Level, Grant],
) -> Mapping[str, Grant]:
    found = rows.get((most, column))
    if found is None:
        found = rows[most, column] = {
            party.ods: grants[min(most, level)]
            for party, level in zip(members, column, strict=True)
            if level > Level.NONE
        }
    return found


def _retained(record: AgreementRecord, until: int | None) -> Iterator[tuple[str, Retained]]:
    """Whom each viewer may still see in earlier epochs. What the party allowed last goes on."""
    gone = [p for p in record.parties if p.withdrawn_at is not None and p.signed_at is not None]
    if record.document.withdrawal.past_data != "retain" or not gone:
        return
    identity, version = record.key
    grant = Grant(Level.NAMED, identity, version, until, conditions_of(record))
    terms = record.document.peer_identification
    for viewer in (*record.parties, *record.audience):
        if not viewer.takes_part:
            continue
        for party in gone:
            seen = {
                name: grant
                for name in record.document.indicators
                if may_look(record, viewer, name)
                and shares(party, name)
                and min(
                    terms.of(name).level,
                    party.limits.of(name).level,
                    viewer.limits.of(name).level,
                )
                is Level.NAMED
            }
            if seen and party.withdrawn_at is not None:
                yield viewer.ods, Retained(party.ods, party.withdrawn_at, seen)


def _prohibitions(record: AgreementRecord) -> Iterator[tuple[str, Forbidden]]:
    """What an agreement forbids each of those whom it binds: its own word, the subject's or the
    viewer's."""
    members = [party for party in record.parties if party.takes_part]
    terms = record.document.peer_identification
    indicators = record.document.indicators
    limited = {p.ods: p.limits for p in members if p.limits is not NO_LIMITS}
    spoken = {terms.mode, *terms.per_indicator.values()}
    if not limited and PeerMode.PROHIBIT not in spoken:
        return
    subjects = frozenset(party.ods for party in members)
    general: dict[str, frozenset[str]] = {}
    for name in indicators:
        if terms.of(name) is PeerMode.PROHIBIT:
            general[name] = subjects
        elif own := frozenset(
            ods for ods, limits in limited.items() if limits.of(name) is PeerMode.PROHIBIT
        ):
            general[name] = own
    for viewer in [*members, *(party for party in record.audience if party.takes_part)]:
        said = limited.get(viewer.ods, NO_LIMITS)
        own_word = {name: subjects for name in indicators if said.of(name) is PeerMode.PROHIBIT}
        if general or own_word:
            yield viewer.ods, (general | own_word if own_word else general)
