"""What the page shows, as values: a pure function of live figures, released cells and grants."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from peerview_common.catalogue import Direction, IndicatorInfo, Kind
from peerview_common.days import parse_day
from peerview_common.values import IndicatorValue
from peerview_share.delivery.derived import DerivedCell
from peerview_share.delivery.views import EpochCells, PeerCell
from peerview_share.disclosure.cell import Cell
from peerview_share.disclosure.identity import Bands
from peerview_share.web import words

_SCALES: Final = (1, 2, 5, 10, 20, 25, 50, 100)


@dataclass(frozen=True, slots=True)
class Live:
    """The own practice's live figure: exact, and standing alone."""

    figure: str | None
    counts: str
    breakdown: tuple[tuple[str, str], ...]
    as_of: str
    version: str
    awaiting: bool
    rekeying: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One practice's released cell."""

    name: str
    ods: str
    own: bool
    figure: str | None
    bar: float | None
    """Length in per cent of the scale."""
    counts: str
    state: str
    state_name: str


@dataclass(frozen=True, slots=True)
class Section:
    info: IndicatorInfo
    better: str
    live: Live | None
    rows: tuple[Row, ...]
    scale: str
    """What a full bar stands for."""
    unnamed: tuple[str, ...] = ()
    """What is shown of peers who are not named, a line each."""


def sections(
    catalogue: Mapping[str, IndicatorInfo],
    values: Mapping[str, IndicatorValue],
    epoch: EpochCells | None,
    peers: Iterable[PeerCell],
    derived: Iterable[DerivedCell] = (),
    *,
    own: str,
    names: Mapping[str, str],
) -> list[Section]:
    """One for each indicator about which there is anything to say."""
    by_indicator: dict[str, list[PeerCell]] = {}
    for cell in peers:
        by_indicator.setdefault(cell.cell.indicator, []).append(cell)
    unnamed = {cell.info.id: _unnamed(cell) for cell in derived}
    found = []
    for info in catalogue.values():
        value = values.get(info.id)
        cells = [(item.subject, item.cell) for item in by_indicator.get(info.id, [])]
        if value is None and not cells and info.id not in unnamed:
            continue
        if epoch is not None and (cells or info.id in unnamed):
            cells.append((own, epoch.of(own, info.id)))
        full = _full(info, [cell for _, cell in cells])
        found.append(
            Section(
                info,
                words.BETTER[info.direction],
                None if value is None else _live(value, info),
                tuple(_row(s, cell, info, full, own, names) for s, cell in _ordered(cells, info)),
                words.shown(full, info),
                unnamed.get(info.id, ()),
            )
        )
    return found


def _unnamed(cell: DerivedCell) -> tuple[str, ...]:
    figure, info = cell.figure, cell.info
    if figure is None:
        return ("Of peers who are not named, nothing is shown at this release.",)
    lines = [f"{figure.contributors} peers who are not named:"]
    if isinstance(figure, Bands):
        lines += [
            f"{count} {words.band_name(place, info)}" for place, count in enumerate(figure.peers)
        ]
    else:
        lines.append(f"median {words.quantile(figure.median, info)}")
        if figure.quartiles is not None:
            first, third = (words.quantile(value, info) for value in figure.quartiles)
            lines.append(f"the middle half from {first} to {third}")
        if figure.deciles is not None:
            tenths = ", ".join(words.quantile(value, info) for value in figure.deciles)
            lines.append(f"tenths: {tenths}")
    if figure.older:
        lines.append(f"{figure.older} of the figures are older than this release")
    return tuple(lines)


def _live(value: IndicatorValue, info: IndicatorInfo) -> Live:
    proportion = info.kind is Kind.PATIENTS
    labels = {
        Kind.PATIENTS: ("Met", "Not met"),
        Kind.APPOINTMENTS: ("Patients with at least one", "Patients with none"),
        Kind.RATE: ("Patients with at least one", "Patients with none"),
        Kind.MEAN: ("Patients counted", ""),
    }[info.kind]
    harmed = proportion and info.direction is Direction.LOWER
    met, miss = ("At risk", "Not at risk") if harmed else labels
    pairs = [(met, value.met), (miss, value.miss)]
    if proportion:
        pairs += [("Exceptions", value.exception), ("Excluded", value.excluded)]
    return Live(
        words.live_shown(value.numerator, value.denominator, info),
        words.counts(value.numerator, value.denominator, info),
        tuple((label, f"{count:,}") for label, count in pairs if label),
        words.day(parse_day(value.as_of)),
        value.version,
        value.state == "awaiting-backfill",
        value.state == "rekeying",
    )


def _row(
    subject: str,
    cell: Cell,
    info: IndicatorInfo,
    full: float,
    own: str,
    names: Mapping[str, str],
) -> Row:
    figure = cell.figure
    return Row(
        names.get(subject, subject),
        subject,
        subject == own,
        None if figure is None else words.shown(figure.value, info),
        None if figure is None else round(min(100.0, 100 * figure.value / full), 2),
        "" if figure is None else words.counts(figure.numerator, figure.denominator, info),
        words.state(cell),
        cell.state.value,
    )


def _ordered(cells: list[tuple[str, Cell]], info: IndicatorInfo) -> list[tuple[str, Cell]]:
    """The better figures first, those without a figure last, by code."""
    sign = -1 if info.direction is Direction.HIGHER else 1

    def key(item: tuple[str, Cell]) -> tuple[bool, float, str]:
        subject, cell = item
        return cell.figure is None, sign * cell.figure.value if cell.figure else 0.0, subject

    return sorted(cells, key=key)


def _full(info: IndicatorInfo, cells: Iterable[Cell]) -> float:
    """What a whole bar stands for: everything, or a round figure above the largest."""
    if info.kind is Kind.MEAN:
        return 1.0
    largest = max((cell.figure.value for cell in cells if cell.figure), default=0.0)
    if info.kind is not Kind.RATE and largest > _SCALES[-3]:
        return 100.0
    return float(next((scale for scale in _SCALES if scale >= largest), largest))
