"""Re-keying, purely: which patient of the former keys a patient under the new ones is.

Two rules, the first before the second: the same id of the same source system; the NHS number. So a
practice that keeps its system and gets new keys, and one that moves to another system with other
ids, are re-keyed alike.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from peerview_ingest.fhir.objection import Origin, Word
from peerview_ingest.fhir.read import Read
from peerview_ingest.keyring import PairingKeys
from peerview_ingest.plan import Pair

UNDER_WAY: Final = frozenset({"open", "finishing"})


class Phase(StrEnum):
    """How far a version of a practice's keys has come."""

    BEGINNING = "beginning"
    """Announced or about to be; submissions still come under the former keys."""
    OPEN = "open"
    """Submissions come under the new keys; the former patients stay as they were."""
    FINISHING = "finishing"
    """The former patients are being joined into the new ones, or emptied."""
    DONE = "done"
    CANCELLED = "cancelled"
    """Left before anything came under the new keys: the former version goes on."""


@dataclass(frozen=True)
class Candidates:
    """What to look for under the former keys, for one submission's patients."""

    by_id: Mapping[bytes, bytes]
    """The former key that the same id of the same source would have, by the new one."""
    by_number: Mapping[bytes, bytes]
    """The former hash of the NHS number, by the new patient key."""


@dataclass
class Former:
    """What the index knows of candidates."""

    patients: set[bytes] = field(default_factory=set)
    """Keys of those who are there, and not joined or emptied yet."""
    persons: dict[bytes, set[bytes]] = field(default_factory=dict)
    """Of those, by the hash of their NHS number."""
    pairs: dict[bytes, Pair] = field(default_factory=dict)
    """Those who were recognised before, by their former key."""
    words: dict[bytes, dict[bytes, Word]] = field(default_factory=dict)
    """Of those who object: what their facts say of it, by fact key."""


def candidates(keys: PairingKeys, reads: Iterable[Read]) -> Candidates:
    by_id: dict[bytes, bytes] = {}
    by_number: dict[bytes, bytes] = {}
    for read in reads:
        for patient in read.patients:
            # of one whom an earlier drop had, and this one has no more, the id is not known
            if patient in keys.patients:
                by_id[patient] = keys.patients[patient]
        if read.person is not None:
            by_number[read.patients[0]] = keys.persons[read.person]
    return Candidates(by_id, by_number)


def match(looked_for: Candidates, former: Former) -> list[Pair]:
    """Pairs that are new. One new patient may be several former ones, who are then one; a former
    patient is one new patient: the one of the same id if there is such, else the first who came
    with the NHS number."""
    known = dict(former.pairs)
    found: dict[bytes, Pair] = {}

    def note(pair: Pair) -> None:
        known[pair.old] = found[pair.old] = pair

    for new, old in looked_for.by_id.items():
        there = known.get(old)
        if old in former.patients and not (there and there.by_id):
            note(Pair(old, new, True))
    for new, person in looked_for.by_number.items():
        for old in sorted(former.persons.get(person, ())):
            if old not in known:
                note(Pair(old, new, False))
    return list(found.values())


def carried(pairs: Iterable[Pair], former: Former) -> dict[bytes, dict[bytes, Word | None]]:
    """What was said of an objection under the former keys, said of the new patient: it holds until
    it is withdrawn there, or the practice says otherwise."""
    told: dict[bytes, dict[bytes, Word | None]] = {}
    for pair in pairs:
        for key, word in former.words.get(pair.old, {}).items():
            under = hashlib.sha256(b"carried" + pair.new + key).digest()[:16]
            told.setdefault(pair.new, {})[under] = word._replace(origin=Origin.CARRIED)
    return told
