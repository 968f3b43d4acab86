"""Windows and birthdays, against the sentences that define them."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerview_common.days import LONG_AGO, day_text, parse_day
from peerview_compute.model.calendar import NEVER, add_months, birthday, lapse
from tests.compute.model.histories import quick

DAYS = st.integers(min_value=parse_day("1899-01-01"), max_value=parse_day("2101-12-31"))
MONTHS = st.sampled_from((1, 3, 6, 9, 12, 16, 25, 42, 66))


@given(DAYS, MONTHS)
@quick(400)
def test_a_window_lapses_on_the_first_day_whose_start_is_not_before_the_fact(
    day: int, months: int
) -> None:
    end = lapse(day, months)
    assert add_months(end, -months) >= day
    assert add_months(end - 1, -months) < day


@given(DAYS, MONTHS)
@quick(400)
def test_the_start_of_a_window_never_moves_back(day: int, months: int) -> None:
    assert add_months(day, -months) <= add_months(day + 1, -months)
    assert lapse(day, months) <= lapse(day + 1, months)


@pytest.mark.parametrize(
    ("day", "months", "moved"),
    [
        ("2026-08-31", -6, "2026-02-28"),
        ("2024-08-31", -6, "2024-02-29"),
        ("2024-02-29", 12, "2025-02-28"),
        ("2024-02-29", -12, "2023-02-28"),
        ("2025-01-31", 1, "2025-02-28"),
        ("2025-12-15", 1, "2026-01-15"),
    ],
)
def test_a_day_that_the_other_month_lacks_becomes_its_last(
    day: str, months: int, moved: str
) -> None:
    assert day_text(add_months(parse_day(day), months)) == moved


@pytest.mark.parametrize(
    ("day", "months", "lapses"),
    [
        ("2025-08-31", 6, "2026-03-01"),
        ("2026-02-28", 6, "2026-08-28"),
        ("2025-12-31", 2, "2026-03-01"),
        ("2024-02-29", 12, "2025-03-01"),
        ("2025-06-15", 12, "2026-06-15"),
    ],
)
def test_the_day_a_window_closes(day: str, months: int, lapses: str) -> None:
    assert day_text(lapse(parse_day(day), months)) == lapses


@pytest.mark.parametrize(
    ("born", "years", "turns"),
    [
        ("2000-02-29", 18, "2018-03-01"),
        ("2000-02-29", 20, "2020-02-29"),
        ("1946-07-01", 80, "2026-07-01"),
    ],
)
def test_who_is_born_on_29_february_has_birthdays_on_1_march(
    born: str, years: int, turns: str
) -> None:
    assert day_text(birthday(parse_day(born), years)) == turns


def test_what_no_calendar_holds_stays_long_ago_or_never() -> None:
    first, last = parse_day(date.min.isoformat()), parse_day(date.max.isoformat())
    assert add_months(LONG_AGO, 12) == lapse(LONG_AGO, 12) == birthday(LONG_AGO, 1) == LONG_AGO
    assert add_months(NEVER, -1) == lapse(last, 1) == add_months(last, 1) == NEVER
    assert birthday(last, 1) == NEVER
    assert add_months(first, -1) == LONG_AGO
