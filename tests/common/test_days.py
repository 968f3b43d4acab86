"""Days are Europe/London days, and ordering by (day, elapsed) is ordering by instant."""

from datetime import UTC, date, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from peerview_common.days import (
    date_of,
    day_of,
    day_of_millis,
    from_millis,
    iso_millis,
    london,
    millis,
    parse_day,
)


def test_a_summer_evening_in_utc_is_the_next_day_in_london() -> None:
    assert london(datetime(2026, 6, 30, 23, 30, tzinfo=UTC))[0] == parse_day("2026-07-01")


def test_a_datetime_without_a_zone_is_london_time() -> None:
    assert london(datetime(2026, 7, 1, 0, 30)) == (parse_day("2026-07-01"), 30 * 60 * 1_000_000)


def test_the_repeated_hour_in_october_keeps_its_order() -> None:
    bst = datetime(2026, 10, 25, 1, 30, tzinfo=timezone(timedelta(hours=1)))
    gmt = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert london(bst) < london(gmt)


instants = st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))


@given(instants, instants)
def test_pairs_sort_as_instants_do(a: datetime, b: datetime) -> None:
    assert (london(a) < london(b)) == (a < b)


@given(instants)
def test_milliseconds_round_down_and_come_back(a: datetime) -> None:
    back = from_millis(millis(a))
    assert timedelta(0) <= a - back < timedelta(milliseconds=1)
    assert day_of_millis(millis(a)) == london(back)[0]


@given(st.dates(date(1880, 1, 1), date(2100, 1, 1)))
def test_a_date_comes_back_from_its_day(value: date) -> None:
    assert date_of(day_of(value)) == value


def test_a_moment_prints_as_iso_with_milliseconds() -> None:
    assert iso_millis(1_790_000_000_123) == "2026-09-21T14:13:20.123Z"
