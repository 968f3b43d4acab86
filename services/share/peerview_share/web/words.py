"""Figures, days and states as people read them. Pure."""

from datetime import date, datetime
from typing import Final

from peerview_common.catalogue import Direction, IndicatorInfo, Kind
from peerview_common.days import LONDON, date_of, from_millis
from peerview_share.disclosure.cell import Cell, CellState

BETTER: Final = {Direction.HIGHER: "Higher is better", Direction.LOWER: "Lower is better"}

STATE_MEANINGS: Final = {
    CellState.VALUE: "the figure of this release",
    CellState.CARRIED_FORWARD: (
        "the figure of an earlier release, kept until enough has changed for a new one"
    ),
    CellState.SUPPRESSED: "not shown, to protect patients",
    CellState.NOT_SUBMITTED: "nothing came from the practice in time",
    CellState.NOT_APPLICABLE: "the indicator does not apply to the practice yet",
    CellState.NOT_SHARED: "the practice does not share this indicator",
}


def shown(value: float, info: IndicatorInfo) -> str:
    """68%, 4.2%, 7.5 per 1,000, 0.61"""
    if info.kind is Kind.MEAN:
        return f"{value:.2f}"
    if info.kind is Kind.RATE:
        return f"{value:,.1f}"
    return f"{value:.1f}%" if 0 < value < 10 else f"{value:.0f}%"


def live_shown(numerator: int, denominator: int, info: IndicatorInfo) -> str | None:
    """The own practice's figure from its exact counts; None where there is nothing to divide by."""
    if denominator == 0:
        return None
    value = info.per * numerator / denominator / info.scale
    if info.kind is Kind.MEAN:
        return f"{value:.2f}"
    return f"{value:,.1f}" if info.kind is Kind.RATE else f"{value:.1f}%"


def counted(count: int, noun: str) -> str:
    """1,024 patients"""
    return f"{count:,} {noun.removesuffix('s') if count == 1 else noun}"


def counts(numerator: int | None, denominator: int, info: IndicatorInfo) -> str:
    """682 of 1,000 patients; of a mean, its patients alone."""
    if info.kind is Kind.MEAN or numerator is None:
        return counted(denominator, info.counted)
    if info.kind is Kind.RATE:
        return f"{counted(numerator, 'items')}, {counted(denominator, info.counted)}"
    return f"{numerator:,} of {counted(denominator, info.counted)}"


def day(value: int) -> str:
    """1 April 2026"""
    found = date_of(value)
    return f"{found.day} {found:%B %Y}"


def short_day(value: int) -> str:
    """1 Apr 2026, held together where lines break."""
    found = date_of(value)
    return f"{found.day}\u00a0{found:%b}\u00a0{found.year}"


def moment(millis: int) -> str:
    """1 April 2026, 14:05"""
    found = from_millis(millis).astimezone(LONDON)
    return f"{found.day} {found:%B %Y, %H:%M}"


def date_at(millis: int) -> date:
    """The day in Europe/London."""
    return from_millis(millis).astimezone(LONDON).date()


def band(value: float, info: IndicatorInfo) -> int:
    """Which of the four fixed bands a figure lies in, from 0."""
    return sum(value >= edge for edge in info.bands)


def band_name(place: int, info: IndicatorInfo) -> str:
    """from 60% to under 75%"""
    edges = [shown(edge, info) for edge in info.bands]
    if place == 0:
        return f"under {edges[0]}"
    if place == len(edges):
        return f"at {edges[-1]} or more"
    return f"from {edges[place - 1]} to under {edges[place]}"


def quantile(value: float, info: IndicatorInfo) -> str:
    """Whole per cent, or hundredths of a mean: no finer than it was made."""
    if info.kind is Kind.MEAN:
        return f"{value:.2f}"
    return f"{value:.0f}" if info.kind is Kind.RATE else f"{value:.0f}%"


def ago(millis: int, now: int) -> str:
    """How long ago, roughly: just now, 3 minutes ago, 2 days ago."""
    seconds = max(0, (now - millis) // 1000)
    if seconds < 60:
        return "just now"
    for size, noun in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            count = seconds // size
            return f"{count:,} {noun}{'' if count == 1 else 's'} ago"
    return "just now"


def iso_to_millis(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def state_word(name: CellState) -> str:
    return "released" if name is CellState.VALUE else name.value.replace("-", " ")


def state(cell: Cell) -> str:
    """A cell's state as a short phrase, with its date where it has one."""
    word = state_word(cell.state)
    if cell.released is None or cell.state is CellState.SUPPRESSED:
        return word
    joined = "from " if cell.state is CellState.CARRIED_FORWARD else ""
    return f"{word} {joined}{short_day(cell.released)}"
