"""Small cases, each for one sentence of the page, whose answers were worked out by hand.

A case's resources are FHIR with three abbreviations, which `expand` undoes: a text in place of a
CodeableConcept is the first code of that cluster, `CASE` is the patient's id, and a resource
without id or subject gets them.
"""

import csv
import json
from datetime import date
from pathlib import Path

import pytest

from .evaluator import evaluate
from .product import peerview_evaluate, write_ndjson
from .reading import CLUSTERS_CSV, ODS_SYSTEM, load

FOLDER = Path(__file__).parent / "cases"
PRACTICE = "A99001"
PERSON = {
    "resourceType": "Patient",
    "id": "CASE",
    "gender": "female",
    "birthDate": "1960-01-01",
    "generalPractitioner": [{"identifier": {"system": ODS_SYSTEM, "value": PRACTICE}}],
}
CONCEPTS = ("code", "medicationCodeableConcept", "vaccineCode", "valueCodeableConcept")


def first_codes():
    with CLUSTERS_CSV.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["system"] != "bnf-prefix"]
    codes = {row["cluster"]: row for row in reversed(rows)}
    return {
        cluster: {"coding": [{"system": row["system"], "code": row["code"]}]}
        for cluster, row in codes.items()
    }


FIRST_CODES = first_codes()


def spelled_out(value, patient):
    if isinstance(value, str):
        return value.replace("CASE", patient)
    if isinstance(value, list):
        return [spelled_out(item, patient) for item in value]
    if not isinstance(value, dict):
        return value
    spelled = {name: spelled_out(item, patient) for name, item in value.items()}
    for name in CONCEPTS:
        if isinstance(spelled.get(name), str):
            spelled[name] = FIRST_CODES.get(spelled[name], spelled[name])
    return spelled


def expand(case):
    """The FHIR documents of a case."""
    patient = case["name"]
    person = {**PERSON, **case.get("person", {})}
    documents = [{name: value for name, value in person.items() if value is not None}]
    for number, resource in enumerate(case["resources"]):
        subject = {"subject": {"reference": "Patient/CASE"}}
        if resource["resourceType"] in ("Immunization", "EpisodeOfCare"):
            subject = {"patient": {"reference": "Patient/CASE"}}
        elif resource["resourceType"] == "Appointment":
            subject = {"participant": [{"actor": {"reference": "Patient/CASE"}}]}
        elif resource["resourceType"] == "Medication":
            subject = {}
        documents.append({"id": f"CASE-{number}", **subject, **resource})
    return spelled_out(documents + case.get("bundles", []), patient)


CASES = [case for path in sorted(FOLDER.glob("*.json")) for case in load(path)[0]]


def differences(case, patients):
    """What the answer says of the case's patient and indicators, where it is not as expected."""
    answer = patients.get(case["name"], {})
    return {
        indicator: answer.get(indicator, ["out", 0, 0])
        for indicator, expected in case["expect"].items()
        if answer.get(indicator, ["out", 0, 0]) != expected
    }


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_reference_answers_as_worked_out_by_hand(case):
    as_of = date.fromisoformat(case.get("as_of", "2026-03-31"))
    answer = evaluate(expand(case), PRACTICE, as_of)
    assert differences(case, answer["patients"]) == {}, case["why"]


def test_the_product_answers_as_worked_out_by_hand(tmp_path):
    wrong = {}
    for as_of in sorted({case.get("as_of", "2026-03-31") for case in CASES}):
        cases = [case for case in CASES if case.get("as_of", "2026-03-31") == as_of]
        documents = json.loads(json.dumps([expand(case) for case in cases], default=float))
        loose = [d for ds in documents for d in ds if d["resourceType"] != "Bundle"]
        files = [write_ndjson(tmp_path / f"{as_of}.ndjson", loose)]
        bundles = [d for ds in documents for d in ds if d["resourceType"] == "Bundle"]
        for number, bundle in enumerate(bundles):
            path = tmp_path / f"{as_of}-{number}.json"
            path.write_text(json.dumps(bundle))
            files.append(path)
        answer = peerview_evaluate(files, PRACTICE, as_of)
        for case in cases:
            found = differences(case, answer["patients"])
            if found:
                wrong[case["name"]] = {"said": found, "by hand": case["expect"], "why": case["why"]}
    assert wrong == {}
