"""Identity, versions, deletions and times: what decides which version of a resource counts."""

import pytest

from peerview_common.facts import EARLIEST, FINAL, id_text
from peerview_ingest.fhir import Outcome
from tests.ingest.builders import (
    NOW,
    body,
    bundle,
    collected,
    condition,
    day,
    deletion,
    fact,
    meta,
    observation,
    patient,
    read,
    reader,
    refusal,
    resource,
    void,
)


def test_the_stamp_is_last_updated_in_whole_milliseconds() -> None:
    found = fact(condition(meta=meta("2026-03-01T10:00:00.1239+01:00", "12")))
    assert (found.stamp, found.version) == (1_772_355_600_123, 12)


def test_without_last_updated_it_is_the_time_of_receipt_and_the_earliest_in_evaluate() -> None:
    assert fact(condition()).stamp == NOW
    assert not read(condition()).stamped
    assert fact(condition(), None).stamp == EARLIEST


@pytest.mark.parametrize("version", ["1a", "v2", "-3", "", "٣"])
def test_a_version_that_is_not_all_digits_counts_as_minus_one(version: str) -> None:
    assert fact(condition(meta={"versionId": version})).version == -1


def test_a_stamp_over_24_hours_ahead_is_refused_by_ingest_alone() -> None:
    ahead = condition(meta=meta("2026-05-29T20:26:41Z"))
    assert refusal(ahead) == ("Condition.meta.lastUpdated", "business-rule")
    assert fact(condition(meta=meta("2026-05-29T20:26:40Z"))).stamp == NOW + 86_400_000
    assert fact(ahead, None).body is not None


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2026-01-02", ("2026-01-02", 0)),
        ("2026-01", ("2026-01-01", 0)),
        ("2026", ("2026-01-01", 0)),
        ("2026-07-01T23:30:00Z", ("2026-07-02", 1_800_000_000)),
        ("2026-01-01T23:30:00Z", ("2026-01-01", 84_600_000_000)),
        ("2026-07-01T23:30:00", ("2026-07-01", 84_600_000_000)),
        ("2026-07-01T20:00:00-05:00", ("2026-07-02", 7_200_000_000)),
        ("2026-01-01T23:59:60Z", ("2026-01-02", 0)),
    ],
)
def test_dates_are_local_days_in_london(text: str, when: tuple[str, int]) -> None:
    found = body(observation(effectiveDateTime=text))
    assert (found.day, found.elapsed) == (day(when[0]), when[1])


@pytest.mark.parametrize(
    "text",
    ["2026-02-30", "2026-13-01", "26-01-01", "yesterday", "2026-01-01T25:00:00Z", 20260101, {}],
)
def test_impossible_dates_are_refused_with_their_place(text: object) -> None:
    wrong = bundle(patient(), condition(onsetDateTime=text))
    assert refusal(wrong) == ("Bundle.entry[1].resource.onsetDateTime", "value")


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
def test_the_ends_of_the_calendar_are_no_accident(text: str) -> None:
    assert refusal(condition(onsetDateTime=text))[0] == "Condition.onsetDateTime"


def test_the_key_is_the_logical_id_else_the_first_business_identifier() -> None:
    by_id = fact(condition("abc", identifier=[{"value": "x"}]))
    assert id_text(by_id.id) == "abc"
    unnamed = condition(identifier=[{"system": "s"}, {"system": "s", "value": "x"}])
    del unnamed["id"]
    assert id_text(fact(unnamed).id) == "s|x"


def test_a_urn_alone_is_no_identity() -> None:
    unnamed = condition()
    del unnamed["id"]
    entry = {"fullUrl": "urn:uuid:1", "resource": unnamed}
    assert refusal(bundle(entry)) == ("Bundle.entry[0].resource", "required")


def test_a_deletion_takes_its_time_from_the_first_that_says_one() -> None:
    full = deletion(
        "Condition/c1",
        response={"lastModified": "2026-01-01T00:00:00Z", "etag": 'W/"7"'},
        resource=condition(meta=meta("2026-01-02T00:00:00Z", "8")),
    )
    read_full = read(bundle(full, timestamp="2026-01-03T00:00:00Z"))
    assert read_full.fact is not None
    assert read_full.fact.deleted
    assert (read_full.fact.stamp, read_full.fact.version) == (1_767_225_600_000, 7)
    del full["response"]
    assert fact(bundle(full)).version == 8
    assert fact(bundle(full)).stamp == 1_767_225_600_000 + 86_400_000
    bare = deletion("https://x/fhir/Condition/c1")
    assert fact(bundle(bare, timestamp="2026-01-03T00:00:00Z")).stamp == 1_767_398_400_000
    assert fact(bundle(bare)).stamp == NOW
    assert fact(bundle(bare), None).stamp == FINAL


def test_a_deletion_that_names_nothing_is_refused() -> None:
    assert refusal(bundle(deletion("Condition?identifier=x")))[1] == "required"


def test_a_newer_version_brings_a_deleted_resource_back() -> None:
    gone = bundle(deletion("Condition/c1"), timestamp="2026-01-02T00:00:00Z")
    old, new = (condition(meta=meta(f"2026-01-0{n}T00:00:00Z")) for n in (1, 3))
    assert "p1" not in collected(old, gone).patients
    assert len(collected(new, gone, old).patients["p1"]) == 1


def test_at_equal_versions_a_deletion_wins_in_any_order() -> None:
    version = condition(meta=meta("2026-01-02T00:00:00Z"))
    gone = bundle(deletion("Condition/c1"), timestamp="2026-01-02T00:00:00Z")
    assert collected(version, gone).patients == collected(gone, version).patients == {}


def test_the_newest_version_decides_whose_it_is() -> None:
    old = condition(meta=meta("2026-01-01T00:00:00Z"), onsetDateTime="2020-01-01")
    moved = condition(meta=meta("2026-01-02T00:00:00Z"), subject={"reference": "Patient/p2"})
    for order in ((old, moved), (moved, old)):
        assert set(collected(*order).patients) == {"p2"}


def test_equal_versions_of_two_patients_have_one_owner_in_any_order() -> None:
    a, b = condition(), condition(subject={"reference": "Patient/p2"})
    assert collected(a, b).patients == collected(b, a).patients


def test_what_no_indicator_needs_is_dropped_and_what_is_no_resource_is_refused() -> None:
    dropped = read(resource("Claim"))
    assert (dropped.outcome, dropped.fact) == (Outcome.DROPPED, None)
    assert refusal(resource("Klaim"))[1] == "not-supported"
    assert [r.outcome for r in reader().read(bundle(7))] == [Outcome.REJECTED]


def test_a_code_in_no_cluster_leaves_a_version_that_counts_nothing() -> None:
    void(condition(code="73211009000"))
    newer = condition(meta=meta("2026-01-03T00:00:00Z"), code={"text": "?"})
    older = condition(meta=meta("2026-01-02T00:00:00Z"))
    assert collected(newer, older).patients == {}


def test_no_date_is_refused_by_ingest_and_counts_nothing_in_evaluate() -> None:
    undated = condition(onsetDateTime=None, onsetString="childhood")
    assert refusal(undated) == ("Condition.onset", "required")
    found = read(undated, None)
    assert found.fact is not None
    assert found.fact.body is None
