"""A worker that was frozen and wakes up may publish late: its figures take nobody's place."""

import msgspec
import pytest

from peerview_common.values import IndicatorValue, Position
from peerview_share.consume.live import LiveFigures

HELD = IndicatorValue(
    practice="A99001",
    indicator="dna",
    version="2025.1",
    definitions="d",
    as_of="2026-03-02",
    data_through="2026-03-02T09:00:00.000Z",
    denominator=40,
    numerator=4,
    met=4,
    miss=36,
    exception=0,
    excluded=0,
    objected=0,
    source=Position(partition=1, offset=90),
)


def put_after_held(**changes: object) -> IndicatorValue:
    figures = LiveFigures([HELD])
    figures.put(msgspec.structs.replace(HELD, numerator=5, **changes))
    return figures.of("A99001")["dna"]


def test_a_figure_that_is_behind_in_the_log_is_left_out() -> None:
    assert put_after_held(source=Position(partition=1, offset=89)) == HELD


@pytest.mark.parametrize(
    "changes",
    [
        {"source": Position(partition=1, offset=91)},
        {"source": Position(partition=1, offset=90)},
        {"source": Position(partition=1, offset=3), "data_through": "2026-03-02T10:00:00.000Z"},
        {"source": Position(partition=1, offset=3), "as_of": "2026-03-03"},
        {"source": Position(partition=0, offset=3)},
    ],
    ids=["later", "published again", "a new log", "a new day", "another partition"],
)
def test_any_other_figure_takes_its_place(changes: dict[str, object]) -> None:
    assert put_after_held(**changes).numerator == 5
