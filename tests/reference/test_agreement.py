"""The product against the reference, patient by patient, on boundary days and the days beside them.

A difference is shown with the fewest resources of its patient that still show it. Which of the two
is right, the page of the twelve indicators decides.
"""

import json
from datetime import date, timedelta

import pytest

from .evaluator import Practice
from .patients import ANCHORS, OTHER_PRACTICE, PRACTICE, documents, make_patients, shared_documents
from .product import peerview_evaluate, write_files, write_ndjson

DAYS = [anchor + timedelta(days=shift) for anchor in ANCHORS for shift in (-1, 0, 1)]
BIRTHDAYS = date(2025, 2, 28)  # of a common year: who was born on 29 February waits for March


def disagreements(said, expected):
    """{patient: {indicator: (product, reference)}} where the two are not the same."""
    found = {}
    for ident in {*said, *expected}:
        one, other = said.get(ident, {}), expected.get(ident, {})
        for indicator in {*one, *other}:
            if one.get(indicator) != other.get(indicator):
                pair = (one.get(indicator, "out"), other.get(indicator, "out"))
                found.setdefault(ident, {})[indicator] = pair
    return found


def pieces_of(patient):
    """Everything sent of one patient, each piece by itself: resources, entries, deletions."""
    alone = [("resource", None, resource) for resource in patient.loose]
    alone += [("entry", None, entry) for entry in patient.entries]
    for stamp, entries in patient.deletions.items():
        alone += [("deletion", stamp, entry) for entry in entries]
    return alone


def documents_of(pieces):
    made = shared_documents() + [piece for kind, _, piece in pieces if kind == "resource"]
    entries = [piece for kind, _, piece in pieces if kind == "entry"]
    if entries:
        made.append({"resourceType": "Bundle", "type": "collection", "entry": entries})
    for kind, stamp, piece in pieces:
        if kind == "deletion":
            bundle = {"resourceType": "Bundle", "type": "batch", "entry": [piece]}
            made.append(bundle | ({"timestamp": stamp} if stamp else {}))
    return made


def smallest(patient, day, folder, practice, register_all, runs=60):
    """The fewest pieces that still differ: drop one at a time while the difference stays."""

    def differs(pieces):
        made = documents_of(pieces)
        for old in folder.glob("small*"):
            old.unlink()
        loose = [document for document in made if document["resourceType"] != "Bundle"]
        files = [write_ndjson(folder / "small.ndjson", loose)]
        for number, bundle in enumerate(d for d in made if d["resourceType"] == "Bundle"):
            files.append(folder / f"small-{number}.json")
            files[-1].write_text(json.dumps(bundle))
        said = peerview_evaluate(files, practice, day, register_all)["patients"]
        return disagreements(said, Practice(made, practice, register_all).at(day)["patients"])

    pieces, size = pieces_of(patient), max(1, len(pieces_of(patient)) // 2)
    while size and runs:
        start = 0
        while start < len(pieces) and runs:
            runs -= 1
            fewer = pieces[:start] + pieces[start + size :]
            if differs(fewer):
                pieces = fewer
            else:
                start += size
        size //= 2
    shown = "\n".join(f"  {stamp or ''} {json.dumps(piece)}" for _, stamp, piece in pieces)
    return f"{differs(pieces)} on {day}\n{shown}"


def agree(count, seed, folder, days, practice=PRACTICE, register_all=False):
    patients = make_patients(count, seed)
    files = write_files(folder, patients)
    reference = Practice(documents(patients), practice, register_all)
    by_id, reports, number = {patient.id: patient for patient in patients}, {}, 0
    for day in days:
        said = peerview_evaluate(files, practice, day, register_all)
        expected = reference.at(day)
        wrong = disagreements(said["patients"], expected["patients"])
        number += len(wrong)
        for ident, indicators in sorted(wrong.items()):
            for indicator in indicators:
                if indicator not in reports and len(reports) < 5 and ident in by_id:
                    reports[indicator] = smallest(by_id[ident], day, folder, practice, register_all)
        if not wrong:
            assert said == expected
    text = "\n\n".join(f"{indicator}: {report}" for indicator, report in reports.items())
    assert number == 0, f"{number} patient-days differ (product, reference):\n{text}"


def test_the_product_and_the_reference_agree(tmp_path):
    agree(300, 1, tmp_path, [*DAYS[::2], BIRTHDAYS])


@pytest.mark.parametrize(("practice", "register_all"), [(PRACTICE, True), (OTHER_PRACTICE, False)])
def test_they_agree_for_another_sender_or_with_all_registered(tmp_path, practice, register_all):
    agree(300, 2, tmp_path, DAYS[1::6], practice, register_all)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(101, 105))
def test_the_product_and_the_reference_agree_on_many(tmp_path, seed):
    agree(500, seed, tmp_path, [*DAYS, BIRTHDAYS, *map(end, ANCHORS)])


def end(anchor):
    """The last day of the month after an anchor's, where lengths of months differ."""
    following = (anchor.replace(day=1) + timedelta(days=63)).replace(day=1)
    return following - timedelta(days=1)
