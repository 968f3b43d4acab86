"""A whole set of files at once: every patient's facts, as ``peerview evaluate`` counts them."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from peerview_common.codes import CodeList
from peerview_common.facts import Coded, Fact, newer
from peerview_common.ids import OdsCode
from peerview_ingest.fhir.issues import Issue, Outcome
from peerview_ingest.fhir.keys import ClearKeys
from peerview_ingest.fhir.objection import Word, objects, word_of
from peerview_ingest.fhir.read import Feed, Read, Receipt
from peerview_ingest.fhir.reader import Reader
from peerview_ingest.fhir.resolver import Resolver

MAX_ISSUES: Final = 1_000


@dataclass
class Collected:
    """What a set of files holds."""

    patients: dict[str, list[Fact]] = field(default_factory=dict)
    """Facts by FHIR id, for everybody who has one and does not object. Void facts are left out."""
    objected: int = 0
    """Patients with a type 1 objection, who are not counted."""
    accepted: int = 0
    dropped: int = 0
    rejected: int = 0
    issues: list[tuple[int, Issue]] = field(default_factory=list)
    """The first thousand reasons for rejection, each with its document's number from 0."""


def collect(
    documents: Iterable[object],
    *,
    practice: OdsCode,
    codes: CodeList,
    register_all: bool = False,
) -> Collected:
    """Every patient's facts in ``documents``: parsed Bundles and resources, in any order.

    They are gone through twice (references first), so give a list, or an object whose ``__iter__``
    parses anew; an iterator is first made a list.
    """
    if iter(documents) is documents:
        documents = list(documents)
    whole = Resolver()
    for document in documents:
        _note(whole, document)
    reader = Reader(codes, Feed(practice, "", register_all), ClearKeys(), Receipt(None))
    found = Collected()
    newest: dict[tuple[str, int, bytes], tuple[Fact, tuple[bytes, ...]]] = {}
    for number, document in enumerate(documents):
        for read in reader.read(document, whole):
            _count(found, number, read)
            if read.fact is not None:
                key = read.fact.key
                version = (read.fact, read.patients)
                newest[key] = newer_version(newest[key], version) if key in newest else version
    by_patient: defaultdict[bytes, list[Fact]] = defaultdict(list)
    for fact, patients in newest.values():
        if fact.body is not None:
            for patient in patients:
                by_patient[patient].append(fact)
    for patient, facts in by_patient.items():
        words = [word for fact in facts if (word := _word(codes, fact))]
        if objects(words):
            found.objected += 1
        else:
            found.patients[patient.decode()] = facts
    return found


def newer_version(
    a: tuple[Fact, tuple[bytes, ...]], b: tuple[Fact, tuple[bytes, ...]]
) -> tuple[Fact, tuple[bytes, ...]]:
    """The version that counts, and whose it is; between two that differ in the patient alone, any
    choice that does not depend on the order of arrival."""
    if a[0] == b[0]:
        return max(a, b, key=lambda version: version[1])
    return a if newer(a[0], b[0]) is a[0] else b


def _word(codes: CodeList, fact: Fact) -> Word | None:
    return word_of(codes, fact) if isinstance(fact.body, Coded) else None


def _note(whole: Resolver, document: object) -> None:
    if not isinstance(document, dict):
        return
    if document.get("resourceType") != "Bundle":
        whole.add(document)
        return
    entries = document.get("entry")
    for entry in entries if isinstance(entries, list) else []:
        whole.add_entry(entry, document.get("timestamp"))


def _count(found: Collected, number: int, read: Read) -> None:
    if read.outcome is Outcome.ACCEPTED:
        found.accepted += 1
    elif read.outcome is Outcome.DROPPED:
        found.dropped += 1
    else:
        found.rejected += 1
        room = MAX_ISSUES - len(found.issues)
        found.issues.extend((number, issue) for issue in read.issues[:room])
