"""What each viewer would see of a practice if an agreement were in force: from its own cells alone.

Made by the same functions as what peers read. Other practices' cells do not come in.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from peerview_common.catalogue import IndicatorInfo
from peerview_share.agreements.index import Grant, compile_index
from peerview_share.agreements.level import Level
from peerview_share.agreements.life import AgreementRecord, PartyRecord
from peerview_share.delivery.sight import Sight, sight
from peerview_share.delivery.views import EpochCells, named_cells
from peerview_share.disclosure.cell import Cell
from peerview_share.disclosure.identity import MIN_CONTRIBUTORS
from peerview_share.web import words


@dataclass(frozen=True, slots=True)
class Shown:
    """One indicator of the practice, as one viewer would get it."""

    info: IndicatorInfo
    level: Level
    how: str
    """In words, with what the viewer would get."""
    figure: str | None
    """Of a cell seen by name."""
    counts: str
    state: str
    agreement: str | None
    """Which agreement would allow it."""


@dataclass(frozen=True, slots=True)
class Viewer:
    ods: str
    name: str
    indicators: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class AtLevel:
    """One indicator of the practice, as it would look at each level."""

    info: IndicatorInfo
    named: str
    anonymous: str
    distribution: str


def in_force(record: AgreementRecord, now: int) -> AgreementRecord:
    """The same agreement, as if everybody had signed and its first day had come."""

    def signed(members: Iterable[PartyRecord]) -> tuple[PartyRecord, ...]:
        return tuple(
            member
            if member.withdrawn_at is not None
            else replace(member, signed_at=member.signed_at or now, suspended_at=None)
            for member in members
        )

    today = min(record.document.valid_from, words.date_at(now))
    document = record.document.model_copy(update={"valid_from": today, "valid_to": None})
    return replace(
        record,
        document=document,
        parties=signed(record.parties),
        audience=signed(record.audience),
        complete_since=record.complete_since or now,
    )


def viewers(
    records: Iterable[AgreementRecord],
    record: AgreementRecord,
    epoch_of: Callable[[Sight], EpochCells | None],
    catalogue: Mapping[str, IndicatorInfo],
    *,
    own: str,
    now: int,
) -> list[Viewer]:
    """Every other party and audience, with the practice's indicators as each would see them in
    this network: by this agreement, and by the others of the practice that are in force."""
    others = [
        each
        for each in records
        if each.document.id != record.document.id and each.participant(own) is not None
    ]
    index = compile_index([*others, in_force(record, now)], now)
    network = record.document.network.id
    listed = [info for info in catalogue.values() if info.id in record.document.indicators]
    found = []
    for party in (*record.remaining, *record.audience):
        if party.ods == own or party.withdrawn_at is not None:
            continue
        seen = sight(index, network, party.ods, now)
        epoch = epoch_of(seen)
        cells = {}
        if epoch is not None:
            alone = replace(epoch, cells={own: epoch.cells.get(own, {})})
            cells = {
                item.cell.indicator: item.cell
                for item in named_cells(seen, alone, catalogue)
                if item.subject == own
            }
        rows = []
        for info in listed:
            grant = index.look_up(network, party.ods, own, info.id, now)
            rows.append(
                _shown(
                    info,
                    Level.NONE if grant is None else grant.level,
                    _how(seen, grant, info, own),
                    cells.get(info.id),
                    None if grant is None else grant.agreement,
                )
            )
        found.append(Viewer(party.ods, party.name, tuple(rows)))
    return found


def at_each_level(
    epoch: EpochCells, catalogue: Mapping[str, IndicatorInfo], indicators: Iterable[str], own: str
) -> list[AtLevel]:
    """What the practice's own cells of a release are at each level."""
    wanted = set(indicators)
    found = []
    for info in catalogue.values():
        if info.id not in wanted:
            continue
        cell = epoch.of(own, info.id)
        figure = cell.figure
        if figure is None:
            alone = f"nothing ({words.state(cell)})"
            found.append(AtLevel(info, words.state(cell), alone, alone))
            continue
        counts = words.counts(figure.numerator, figure.denominator, info)
        named = f"{words.shown(figure.value, info)}, {counts}, {words.state(cell)}"
        band = words.band_name(words.band(figure.value, info), info)
        found.append(
            AtLevel(
                info,
                named,
                f"one of the practices {band}, if there are enough",
                "one of the figures behind the median, if there are enough",
            )
        )
    return found


def _how(seen: Sight, grant: Grant | None, info: IndicatorInfo, own: str) -> str:
    """Counted by the practice's own agreements in this network alone. Whom else the viewer sees, by
    name in other networks and so not here, or under agreements of others, is not its business."""
    if grant is None:
        return "not at all"
    if grant.level is Level.NAMED:
        return "by name"
    if own in seen.named_elsewhere.get(info.id, frozenset()):
        return "not here: the viewer sees your practice by name in another network"
    may = seen.unnamed(info.id)
    in_bands = sum(each.level is Level.ANONYMOUS for each in may.values())
    if len(may) < MIN_CONTRIBUTORS:
        return (
            f"not at all: {len(may)} practices may contribute, and a figure of several needs "
            f"{MIN_CONTRIBUTORS}"
        )
    if in_bands < MIN_CONTRIBUTORS:
        return f"as one of about {len(may)} practices behind a median"
    if grant.level is Level.ANONYMOUS:
        return f"as one of about {in_bands} practices, counted in bands"
    return (
        f"not at all, or as one of about {len(may)} practices behind a median: "
        f"{in_bands} others allow bands"
    )


def _shown(
    info: IndicatorInfo, level: Level, how: str, cell: Cell | None, agreement: str | None
) -> Shown:
    figure = None if cell is None else cell.figure
    return Shown(
        info,
        level,
        how,
        None if figure is None else words.shown(figure.value, info),
        "" if figure is None else words.counts(figure.numerator, figure.denominator, info),
        "" if cell is None else words.state(cell),
        agreement,
    )
