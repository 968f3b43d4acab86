"""Resources in the profiles of UK Core, with all that British systems put into them."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from peerview_common import codes
from peerview_common.facts import (
    Appointment,
    AppointmentStatus,
    Coded,
    Component,
    Contact,
    Fact,
    GeneralPractice,
    Person,
    Registration,
    Sex,
    Unit,
)
from peerview_ingest.fhir import ClearKeys, Feed, HmacKeys, Outcome, Reader, Receipt
from peerview_ingest.fhir.bodies import MAPPINGS
from tests.ingest.builders import NOW, PRACTICE, bundle, day
from tests.ingest.conftest import Service
from tests.ingest.test_canaries import clean

FIXTURES = Path(__file__).parents[1] / "fixtures" / "uk_core"
RESOURCES: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted(FIXTURES.glob("*.json"))
}
GP = ClearKeys().gp("https://fhir.nhs.uk/Id/sds-user-id|999900000001")
HOUR = 3_600_000_000
MINUTE = 60_000_000


def _coded(when: str, *listed: int, hours: int = 0, minutes: int = 0, **rest: Any) -> Coded:
    others = {"value": None, "unit": Unit.ABSENT, "resolved": None, "components": (), **rest}
    return Coded(day(when), hours * HOUR + minutes * MINUTE, listed, **others)


EXPECTED = {
    "patient": Person(day("1958-07-09"), Sex.FEMALE, None, GeneralPractice.HERE, None, False),
    "patient-approximate": Person(
        day("1958-01-01"),
        Sex.UNKNOWN,
        day("2026-02-14"),
        GeneralPractice.ELSEWHERE,
        day("2026-03-02"),
        True,
    ),
    "episode-of-care": Registration(True, day("2015-03-01"), None),
    "condition": _coded("2019-11-06", 59621000),
    "condition-resolved": _coded("2012-05-01", 44054006, resolved=day("2018-06-30")),
    "observation-blood-pressure": Coded(
        day("2026-03-02"),
        9 * HOUR + 12 * MINUTE,
        (75367002, "http://loinc.org|85354-9"),
        None,
        Unit.ABSENT,
        None,
        (
            Component((72313002,), 134, Unit.MM_HG),
            Component((1091811000000102,), 82, Unit.MM_HG),
        ),
    ),
    "observation-hba1c": _coded(
        "2026-02-20", 999791000000106, hours=8, minutes=5, value=51.5, unit=Unit.MMOL_PER_MOL
    ),
    "medication-request": _coded("2026-02-27", 42206511000001102, hours=11, minutes=45),
    "medication-request-contained": _coded("2026-01-15", 703907006),
    "immunization": _coded("2026-01-20", 38598009, 13968211000001108, hours=14),
    "appointment": Appointment(
        day("2026-03-02"), day("2026-02-23"), AppointmentStatus.FULFILLED, 1
    ),
    "encounter": Contact(day("2026-03-02"), GP),
    "procedure": _coded("2025-09-04", 269957009, hours=13, minutes=20),
}


def test_every_mapped_type_has_a_variant() -> None:
    kinds = {found["resourceType"] for found in RESOURCES.values()}
    assert kinds == {*MAPPINGS, "Organization"}
    assert set(EXPECTED) == set(RESOURCES) - {"organization"}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_variant_becomes_this_fact(name: str) -> None:
    reader = Reader(codes.shipped(), Feed(PRACTICE, "demo"), ClearKeys(), Receipt(NOW))
    (read,) = reader.read(RESOURCES[name])
    assert read.outcome is Outcome.ACCEPTED
    assert not [issue for issue in read.issues if issue.severity == "error"]
    assert isinstance(read.fact, Fact)
    assert read.fact.body == EXPECTED[name]
    if read.type != "Patient":
        assert read.patients == (RESOURCES["patient"]["id"].encode(),)


def test_the_nhs_number_is_read_whatever_is_said_of_it() -> None:
    reader = Reader(
        codes.shipped(), Feed(PRACTICE, "demo"), HmacKeys(b"k" * 32, PRACTICE), Receipt(NOW)
    )
    found = [reader.read(RESOURCES[name])[0].person for name in ("patient", "patient-approximate")]
    assert None not in found
    assert len(set(found)) == 2


async def test_every_variant_is_taken_by_itself(service: Service) -> None:
    for name, document in RESOURCES.items():
        kind, id_text = document["resourceType"], document["id"]
        answer = await service.send("PUT", f"/fhir/{kind}/{id_text}", json=document)
        assert answer.status_code == 202, (name, answer.text)
        assert answer.headers["peerview-receipt"].startswith("accepted=1, rejected=0"), name
        assert answer.headers.get("etag") == (None if kind == "Organization" else 'W/"1"')


async def test_all_variants_are_taken_as_one_transaction(service: Service) -> None:
    entries = [
        {
            "fullUrl": f"https://example.org/fhir/{each['resourceType']}/{each['id']}",
            "resource": each,
            "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"},
        }
        for each in RESOURCES.values()
    ]
    answer = await service.bundle(bundle(*entries, kind="transaction"))
    assert answer.status_code == 202
    assert answer.headers["peerview-receipt"].startswith(f"accepted={len(RESOURCES)}, rejected=0")
    (record,) = service.log.records
    clean(record, "the log")
    for secret in (b"Made-up", b"9990000018", b"Nowhere", b"01632", b"desk", b"999900000001"):
        assert secret not in record


def _spoilt(name: str, place: str, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(RESOURCES[name])
    *steps, last = place.split(".")
    inner: Any = document
    for step in steps:
        inner = inner[int(step) if step.isdigit() else step]
    inner[last] = value
    return document


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("patient", "birthDate", "09/07/1958"),
        ("patient", "identifier.0.value", 9990000018),
        ("episode-of-care", "period.start", "1 March 2015"),
        ("condition", "onsetDateTime", "2019-11-31"),
        ("condition", "subject", {"identifier": {"value": "9990000018"}}),
        ("condition-resolved", "abatementDateTime", "2018-06-30T24:30:00Z"),
        ("observation-blood-pressure", "component.0.valueQuantity", 134),
        ("observation-hba1c", "code.coding.0.code", 999791000000106),
        ("medication-request", "authoredOn", "27-02-2026"),
        ("medication-request-contained", "medicationReference.reference", "#other"),
        ("immunization", "extension.0.valueCodeableConcept", "38598009"),
        ("appointment", "start", "2026-03-02T09:00:00+0000"),
        ("encounter", "period", "today"),
        ("procedure", "performedPeriod.start", "2025-09-04T13:20:00 BST"),
    ],
)
async def test_a_spoilt_variant_is_refused_by_its_place(
    service: Service, name: str, place: str, value: Any
) -> None:
    document = _spoilt(name, place, value)
    kind = document["resourceType"]
    answer = await service.send("POST", f"/fhir/{kind}", json=document)
    assert answer.status_code == 422
    (issue,) = [i for i in answer.json()["issue"] if i["severity"] == "error"]
    steps = place.removesuffix(".reference").split(".")
    wanted = "".join(f"[{step}]" if step.isdigit() else f".{step}" for step in steps)
    assert issue["expression"] == [f"{kind}{wanted}"]
    assert str(value) not in answer.text
