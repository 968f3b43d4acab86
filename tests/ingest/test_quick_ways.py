"""What the reader does in a quick way comes out as the slow way would."""

import uuid
from datetime import UTC, datetime

from hypothesis import example, given
from hypothesis import strategies as st

from peerview_common.days import london, millis
from peerview_common.facts import pack_id
from peerview_ingest.fhir import ClearKeys, HmacKeys
from peerview_ingest.fhir.known_keys import KnownKeys
from peerview_ingest.fhir.times import Moment, _instant, _parse, parse_millis, parse_moment

ZONES = st.sampled_from(["Z", "+00:00", "+01:00", "-05:00", "+14:00", "-14:59", "+05:45"])
KEYS = HmacKeys(bytes(range(32)), "A99001")


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2199, 12, 31)),
    st.integers(0, 6),
    ZONES,
)
@example(datetime(1969, 10, 26, 23, 30), 0, "Z")
@example(datetime(1943, 7, 1, 22, 30), 0, "Z")
@example(datetime(2026, 3, 29, 0, 59, 59, 999_999), 6, "Z")
@example(datetime(2026, 10, 25, 1, 30), 3, "+01:00")
def test_an_instant_is_read_as_any_time_is(when: datetime, digits: int, zone: str) -> None:
    text = when.isoformat(timespec="microseconds")
    text = (text[: 20 + digits] if digits else text[:19]) + zone
    assert _instant(text) is not None, "this is the quick way"
    slow, _ = _parse(text)
    assert isinstance(slow, datetime)
    assert parse_moment(text) == Moment(*london(slow), False)
    assert parse_millis(text) == millis(slow)


@given(st.text("0123456789-T:.Z+ ", max_size=30))
@example("2026-02-30T10:00:00Z")
@example("2026-01-01T24:00:00Z")
@example("2026-01-01T23:59:60Z")
def test_what_is_no_instant_is_none_either_way(text: str) -> None:
    try:
        slow, _ = _parse(text)
    except ValueError:
        slow = None
    if slow is None:
        assert _instant(text) is None
    elif isinstance(slow, datetime) and _instant(text) is not None:
        assert parse_millis(text) == millis(slow.astimezone(UTC))


@given(
    st.uuids().map(str)
    | st.from_regex(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{0,2}[0-9]{10,12}", fullmatch=True)
    | st.text(max_size=40)
)
@example(str(uuid.UUID(int=0)))
@example("00000000-0000-4000-8000-009434765919")
@example("00000000-0000-4000-8000-a9434765919a")
@example("00000000-0000-4000-8000-9434765919ab")
@example("6F1C3F9E-58F3-4F0E-8B0A-3F6F6D0F7C11")
def test_an_id_is_kept_as_the_keys_say(text: str) -> None:
    for keys in (KEYS, ClearKeys()):
        kept = keys.fact_id(text)
        assert KnownKeys(keys, "demo").fact_id(text) == (pack_id(kept), kept == text)


@given(st.lists(st.text(max_size=5), max_size=20))
def test_keys_that_are_remembered_are_the_same(ids: list[str]) -> None:
    known = KnownKeys(KEYS, "demo")
    for text in [*ids, *ids]:
        assert known.patient(text) == KEYS.patient("demo", text)
        assert known.gp(text) == KEYS.gp(text)
