"""The type 1 objection: one rule, for the service and for evaluation alike.

A patient whose latest TYPE1DISSENT is not followed by a TYPE1WITHDRAWN on a later local date takes
part in nothing. A dissent without a date stands until a deletion removes it. What a practice sets
for a patient is such a dissent.
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import Final, NamedTuple

from peerview_common.codes import OBJECTION, OBJECTION_WITHDRAWN, CodeList
from peerview_common.facts import Coded, Fact

UNDATED: Final = 2**31 - 1
"""The day of a dissent that has none: no withdrawal is later."""


class Origin(IntEnum):
    """Where a word comes from."""

    SAID = 0
    """A resource says it, and may be deleted."""
    SET = 1
    """The practice has set it for the patient."""
    CARRIED = 2
    """It was said under the practice's former keys."""


class Word(NamedTuple):
    """What one fact says of the objection."""

    day: int
    dissent: bool
    withdrawn: bool
    origin: int = Origin.SAID


A_SETTING: Final = Word(UNDATED, True, False, Origin.SET)


def word_of(codes: CodeList, fact: Fact) -> Word | None:
    """What a fact says of the objection; None where it says nothing."""
    body = fact.body
    if not isinstance(body, Coded):
        return None
    clusters = [codes.clusters_of(code) for code in body.codes]
    dissent = any(OBJECTION in found for found in clusters)
    withdrawn = any(OBJECTION_WITHDRAWN in found for found in clusters)
    return Word(body.day, dissent, withdrawn) if dissent or withdrawn else None


def objects(words: Iterable[Word]) -> bool:
    """Whether a patient of whom these are the newest words objects."""
    heard = list(words)
    last = max((word.day for word in heard if word.dissent), default=None)
    if last is None:
        return False
    return not any(word.withdrawn and word.day > last for word in heard)


def without_objection_codes(codes: CodeList, fact: Fact) -> Fact:
    """The fact as it may be published: the words of an objection concern nobody downstream."""
    body = fact.body
    if not isinstance(body, Coded):
        return fact
    kept = tuple(
        code for code in body.codes if codes.clusters_of(code) - {OBJECTION, OBJECTION_WITHDRAWN}
    )
    if kept == body.codes:
        return fact
    changed = None
    if kept and body.day != UNDATED:
        changed = Coded(
            body.day, body.elapsed, kept, body.value, body.unit, body.resolved, body.components
        )
    return Fact(fact.type, fact.id, fact.stamp, fact.version, fact.source, fact.deleted, changed)
