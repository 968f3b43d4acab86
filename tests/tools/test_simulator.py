"""The simulated practices: plausible, repeatable, and made of codes that we know."""

import json
from datetime import UTC, date, datetime, timedelta
from itertools import islice

import pytest

from peerview_common.codes import shipped
from peerview_common.facts import FHIR_NAMES
from peerview_tools.simulator import PRACTICES, codes, history, roster, stream
from peerview_tools.simulator.nhs_number import check_digit, nhs_number

DAY = date(2026, 3, 31)
NOON = datetime(2026, 3, 31, 12, tzinfo=UTC)


def test_every_meant_code_is_listed_and_no_noise_is() -> None:
    listed = shipped()
    for code in codes.LISTED:
        assert listed.codes_for(code.system, code.code), code
    for code in codes.NOISE:
        assert not listed.codes_for(code.system, code.code), code


def test_nhs_numbers_are_valid_distinct_and_never_issued() -> None:
    numbers = [nhs_number(n) for n in range(5000)]
    assert len(set(numbers)) == len(numbers)
    for number in numbers:
        assert number.startswith("999")
        assert len(number) == 10
        assert int(number[9]) == check_digit(number[:9])


def test_the_check_digit_is_that_of_the_published_example() -> None:
    assert check_digit("943476591") == 9


@pytest.mark.parametrize("practice", PRACTICES, ids=lambda practice: practice.ods)
def test_a_history_is_the_same_each_time_and_lies_in_the_past(practice) -> None:
    found = list(history(practice, DAY))
    assert found == list(history(practice, DAY))
    assert {resource["resourceType"] for resource in found} <= set(FHIR_NAMES)
    assert len({(r["resourceType"], r["id"]) for r in found}) == len(found)
    assert max(resource["meta"]["lastUpdated"] for resource in found) < NOON.isoformat()


def test_a_patient_comes_before_what_refers_to_them() -> None:
    known = set()
    for resource in history(PRACTICES[0], DAY):
        if resource["resourceType"] == "Patient":
            known.add(f"Patient/{resource['id']}")
        else:
            text = json.dumps(resource)
            assert any(reference in text for reference in known)


def test_registers_are_large_enough_to_be_released() -> None:
    for practice in PRACTICES:
        assert sum(person.hypertension for person in roster(practice, DAY)) >= 80
        assert sum(person.diabetes for person in roster(practice, DAY)) >= 40


def test_a_stream_changes_patients_of_the_history_and_takes_mistakes_back() -> None:
    practice = PRACTICES[0]
    moments = (NOON + timedelta(seconds=n) for n in range(10_000))
    changes = list(islice(stream(practice, lambda: next(moments)), 1000))
    patients = {person.identity for person in roster(practice, DAY)}
    assert {change.patient for change in changes} <= patients
    kinds = {change.kind for change in changes}
    assert kinds == {"reading", "prescription", "contact", "correction", "deletion"}
    sent = set()
    for change in changes:
        (entry,) = change.bundle["entry"]
        place = entry["request"]["url"]
        if entry["request"]["method"] == "DELETE":
            assert place in sent
        elif change.kind == "correction":
            assert place in sent
            assert entry["resource"]["meta"]["versionId"] > "1"
        sent.add(place)


def test_two_salts_are_two_streams() -> None:
    def first(salt: str) -> list[object]:
        return list(islice(stream(PRACTICES[0], lambda: NOON, salt=salt), 5))

    assert first("a") == first("a")
    assert first("a") != first("b")
