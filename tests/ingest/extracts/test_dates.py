"""Dates as suppliers write them."""

import pytest

from peerview_ingest.extracts.dates import DateFormatError, check_format, parser


@pytest.mark.parametrize(
    ("form", "text", "meant"),
    [
        ("%d/%m/%Y", "01/02/2026", "2026-02-01"),
        ("%d/%m/%Y", "1/2/2026", "2026-02-01"),
        ("%Y%m%d", "20260201", "2026-02-01"),
        ("%d-%b-%Y %H:%M", "01-Feb-2026 09:30", "2026-02-01T09:30:00"),
        ("%d %B %Y", "1 february 2026", "2026-02-01"),
        ("%Y%m%d %H%M%S", "20260201 093015", "2026-02-01T09:30:15"),
        ("%Y-%m-%dT%H:%M:%S.%f%z", "2026-02-01T09:30:15.1234567Z", "2026-02-01T09:30:15.123456Z"),
        ("%Y-%m-%d %H:%M%z", "2026-02-01 09:30+0100", "2026-02-01T09:30:00+01:00"),
    ],
)
def test_a_text_becomes_what_fhir_would_write(form: str, text: str, meant: str) -> None:
    assert parser([form])(text) == meant


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("%d/%m/%Y", "31/02/2026"),
        ("%d/%m/%Y", "01/13/2026"),
        ("%d/%m/%Y", "01/02/26"),
        ("%d/%m/%Y", "01/02/2026 "),
        # strptime takes this for the 1st of December, or for the 11th of February
        ("%Y%m%d", "2026211"),
        ("%d-%b-%Y", "01-Fev-2026"),
        ("%Y%m%d %H%M", "20260201 2460"),
        ("%Y", "2026"),
    ],
)
def test_what_fits_no_format_is_refused_and_never_repeated(form: str, text: str) -> None:
    with pytest.raises(ValueError) as told:  # noqa: PT011 - that is what callers are promised
        parser([form])(text)
    assert text.strip() not in str(told.value)


def test_the_first_format_that_fits_decides() -> None:
    parse = parser(["%d/%m/%Y", "%m/%d/%Y"])
    assert parse("02/01/2026") == "2026-01-02"
    with pytest.raises(ValueError, match="not a possible date"):
        parse("02/13/2026")


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ("%d/%m/%y", "century"),
        ("%d/%m", "needs a day"),
        ("%d/%m/%Y %H", "hour and its minute"),
        ("%d/%m/%Y %d", "said twice"),
        ("%j %Y", "not known"),
        ("%d/%m/%Y %", "not known"),
    ],
)
def test_a_format_that_could_mean_two_things_is_a_mistake(form: str, reason: str) -> None:
    with pytest.raises(DateFormatError, match=reason):
        check_format(form)
