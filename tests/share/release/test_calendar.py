"""When cuts are due, in Europe/London."""

from datetime import datetime

import pytest

from peerview_common.days import LONDON, millis
from peerview_share.release.calendar import Calendar


def at(*parts):
    return millis(datetime(*parts, tzinfo=LONDON))


def test_monthly_is_due_from_the_first_day_of_a_month():
    monthly = Calendar.parse("monthly")
    assert not monthly.due(at(2026, 5, 1, 0, 5), at(2026, 5, 31, 23, 59))
    assert monthly.due(at(2026, 5, 1, 0, 5), at(2026, 6, 1, 0, 0))
    assert monthly.due(at(2026, 12, 9), at(2027, 1, 1))
    assert monthly.words() == "every month"


def test_every_some_seconds():
    often = Calendar.parse("every:90")
    assert not often.due(0, 89_999)
    assert often.due(0, 90_000)
    assert often.words() == "every 90 seconds"
    assert Calendar.parse("every:60").words() == "every minute"


@pytest.mark.parametrize("text", ["weekly", "every:", "every:0", "every:-1", "every:x"])
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - float() words one of them
        Calendar.parse(text)
