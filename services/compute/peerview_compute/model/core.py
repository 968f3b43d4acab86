"""What the stream engine calls: states in, states out, as bytes.

**The contract of the tally.** A stored state *counts* the contributions in its cache, if it has one
of these definitions, and nothing otherwise; whatever the day. So the sum over all stored states of
what they count is the practice's tally, and storing ``applied.stored`` in the place of what was
passed in moves it by exactly ``after - before``: ``before`` is what the old bytes count, ``after``
what the new bytes count. The tally is *true for a day* once every stored state has a cache with
``next_change > day``; the engine therefore refreshes, at a tick, each patient whose ``next_change``
is not after the new day, and only then says that the day is reached. A change that arrives in
between is applied with the new day, and moves the tally from what was counted to what is true.

Days must not go back for a patient whose state was pruned: figures for a day more than 13 months
before the last one that it saw may lack facts.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import Final, NamedTuple, TypeAlias

import msgspec

from peerview_common.changes import PatientChange
from peerview_common.facts import Contact, Fact
from peerview_compute.model import state as states
from peerview_compute.model.calendar import NEVER, add_months
from peerview_compute.model.definitions import DefinitionSet, shipped_definitions
from peerview_compute.model.evaluate import CONTACT_MONTHS, Evaluator
from peerview_compute.model.state import Cache, Cell, PatientState
from peerview_compute.model.status import OUT, Contributions
from peerview_compute.model.tally import Counts, Tally

__all__ = [
    "NEVER",
    "Applied",
    "Core",
    "Counts",
    "DefinitionSet",
    "Peek",
    "Tally",
    "shipped_definitions",
]


Touched: TypeAlias = tuple[Sequence[Fact], Sequence[Fact]]
"""Versions that came into a set, and that went."""
_NOTHING: Final[Touched] = ((), ())


class Applied(NamedTuple):
    """What became of one stored state."""

    stored: bytes
    changed: bool
    """Whether ``stored`` differs from what was passed in, and so must be written."""
    before: Contributions
    """What the old bytes counted; all out where there were none."""
    after: Contributions
    """What ``stored`` counts."""
    next_change: int
    """The day on which ``stored`` must be refreshed; ``NEVER`` when none."""
    objected_before: bool
    objected_after: bool
    evaluations: int
    """How many indicators were evaluated."""


class Peek(NamedTuple):
    """A stored state without its facts."""

    generation: int
    objected: bool
    origins: tuple[bytes, ...]
    """Origin patient keys; empty when it is the key it is stored under."""
    empty: bool
    """No facts: nothing to count, ever."""
    cache: Cache | None
    """None as well where it was made under other definitions."""
    nothing: Contributions
    """What counts nothing."""

    @property
    def cells(self) -> tuple[Cell, ...]:
        """What it counts, for ``Tally.count``: of the indicators that are in it, in order."""
        return () if self.cache is None else self.cache.cells

    @property
    def contributions(self) -> Contributions:
        """What it counts, all indicators."""
        return _contributions(self.cells, self.nothing)

    def stale(self, day: int) -> bool:
        """Whether it must be refreshed before the tally is true for ``day``."""
        if self.empty:
            return False
        return self.cache is None or not self.cache.as_of <= day < self.cache.next_change

    @property
    def next_change(self) -> int:
        """Of the cache; ``NEVER`` where there is none (see ``stale``)."""
        return NEVER if self.cache is None else self.cache.next_change


class Core:
    """One set of definitions, ready to be applied to patients' states. Holds no patient."""

    def __init__(self, definitions: DefinitionSet) -> None:
        self.definitions = definitions
        self.evaluator: Final = Evaluator(definitions)
        self.all_out: Contributions = (OUT,) * len(definitions.indicators)

    def tally(self) -> Tally:
        """A practice's tally with nobody in it."""
        return Tally(len(self.definitions.indicators))

    def apply(self, stored: bytes | None, change: PatientChange, day: int | None) -> Applied:
        """Take in new versions of a patient's facts, and evaluate what they touch as of ``day``.

        With no day (no tick was seen yet) nothing is evaluated, pruned or counted. Raises
        ``UnreadableState``.
        """
        old = states.NOBODY if stored is None else states.decode(stored)
        left = (old.generation, old.objected)
        right = (change.generation, change.objected)
        if right < left:
            return self._settle(stored, old, old.origins, left, old.facts, _NOTHING, day)
        if right > left:
            facts = states.of_change(change).facts
            return self._settle(stored, old, old.origins, right, facts, None, day)
        if change.objected:
            return self._settle(stored, old, old.origins, right, [], _NOTHING, day)
        facts, came, went = states.unite(old.facts, change.facts)
        return self._settle(stored, old, old.origins, right, facts, (came, went), day)

    def refresh(self, stored: bytes, day: int) -> Applied:
        """Bring a state's cache to ``day``: at a tick, and after recovery. Cheap where the cache
        holds; else the indicators that may have changed are evaluated, and old facts pruned."""
        peek = self.peek(stored)
        if not peek.stale(day):
            contributions = peek.contributions
            return Applied(
                stored,
                False,
                contributions,
                contributions,
                peek.next_change,
                peek.objected,
                peek.objected,
                0,
            )
        old = states.decode(stored)
        return self._settle(
            stored, old, old.origins, (old.generation, old.objected), old.facts, _NOTHING, day
        )

    def merge(self, a: bytes, b: bytes) -> bytes:
        """Join two records of one key. Associative, commutative, idempotent; nothing is evaluated
        or pruned, so ``refresh`` the result."""
        if a == b:
            return a
        return states.encode(states.join(states.decode(a), states.decode(b)))

    def peek(self, stored: bytes) -> Peek:
        """The head of a state, its facts left undecoded."""
        header = states.decode_header(stored)
        return Peek(
            header.generation,
            header.objected,
            header.origins,
            not states.has_facts(header),
            self._own(header.cache),
            self.all_out,
        )

    def rekey(
        self,
        old: bytes | None,
        new: bytes | None,
        *,
        old_key: bytes,
        old_source: str,
        day: int | None,
    ) -> Applied:
        """Join the set under a patient's old key into the one under the new key.

        The origin of the old set stays, so that snapshots go on. Its facts that have no source get
        ``old_source``, if that is given. Generations are compared, so whoever re-keys carries a
        patient's generation and objection over to the new key. ``before`` is what ``new`` counts;
        what ``old`` counts goes with ``empty(old)``. An old set that is empty changes nothing, so
        the same event may come again.
        """
        target = states.NOBODY if new is None else states.decode(new)
        source = states.NOBODY if old is None else states.decode(old)
        if not source.facts and not source.objected:  # nobody, or moved before: the event again
            return self._settle(
                new,
                target,
                target.origins,
                (target.generation, target.objected),
                target.facts,
                _NOTHING,
                day,
            )
        facts = source.facts
        if old_source:
            facts = [
                fact if fact.source else msgspec.structs.replace(fact, source=old_source)
                for fact in facts
            ]
        moved = PatientState(
            states.FORMAT,
            source.generation,
            source.objected,
            source.origins or (old_key,),
            None,
            # renamed facts may meet others that came from there before
            states.unite([], facts).facts,
        )
        joined = moved if new is None else states.join(target, moved)
        return self._settle(
            new,
            target,
            joined.origins,
            (joined.generation, joined.objected),
            joined.facts,
            None,
            day,
        )

    def empty(self, stored: bytes) -> Applied:
        """The marker that takes a state's place: a newer generation without facts, so that no late
        record of it can come back."""
        old = states.decode(stored)
        generation = (old.generation + 1, False)
        return self._settle(stored, old, old.origins, generation, [], None, None)

    def gps(self, stored: bytes, day: int) -> frozenset[bytes]:
        """The GPs whom the patient met in the last 12 months, registered or not."""
        since = add_months(day, -CONTACT_MONTHS)
        return frozenset(
            fact.body.gp
            for fact in states.decode(stored).facts
            if type(fact.body) is Contact and since < fact.body.day <= day
        )

    def origins(self, stored: bytes) -> tuple[bytes, ...]:
        """The patient's origin keys; empty when it is the key that the state is stored under."""
        return states.decode_header(stored).origins

    def facts(self, stored: bytes) -> list[Fact]:
        """For inspection: the facts of a state, in their order."""
        return states.decode(stored).facts

    def _own(self, cache: Cache | None) -> Cache | None:
        if cache is None or cache.definitions != self.definitions.hash:
            return None
        return cache

    def _counted(self, cache: Cache | None) -> Contributions:
        return self.all_out if cache is None else _contributions(cache.cells, self.all_out)

    def _settle(
        self,
        stored: bytes | None,
        old: PatientState,
        origins: tuple[bytes, ...],
        generation: tuple[int, bool],
        facts: list[Fact],
        touched: Touched | None,
        day: int | None,
    ) -> Applied:
        """Prune and evaluate ``facts``, which stand in for ``old``. ``touched`` is None for a set
        that is another altogether."""
        known = self._own(old.cache)
        before = self._counted(known)
        evaluations = 0
        cache = None
        if facts and day is not None:
            cache, facts, evaluations = self._cache(known, facts, touched, day)
        elif touched is not None and not any(touched):
            cache = old.cache if facts else None
        after = self._counted(self._own(cache))
        made = PatientState(states.FORMAT, generation[0], generation[1], origins, cache, facts)
        data = states.encode(made)
        return Applied(
            data,
            data != stored,
            before,
            after,
            NEVER if cache is None else cache.next_change,
            old.objected,
            generation[1],
            evaluations,
        )

    def _cache(
        self, known: Cache | None, facts: list[Fact], touched: Touched | None, day: int
    ) -> tuple[Cache | None, list[Fact], int]:
        """``(cache, facts, evaluations)`` as of ``day``, the facts pruned."""
        evaluator = self.evaluator
        if touched is None or known is None or known.as_of > day:
            known = None
            prune_from, stale = 0, evaluator.everything
        elif day < known.next_change and not any(touched):
            return known, facts, 0
        else:
            came, went = touched
            stale = evaluator.touched_by(came) | evaluator.touched_by(went)
            prune_from = evaluator.next_pruning(facts, came, known.prune_from)
        if day >= prune_from:
            facts, prune_from = evaluator.prune(facts, day)
            if not facts:
                return None, facts, 0
        kept = []
        for cell in known.cells if known is not None else ():
            if cell.next_change <= day:
                stale |= 1 << cell.indicator
            elif not stale >> cell.indicator & 1:
                kept.append(cell)
        cells, evaluations = evaluator.evaluate(facts, day, stale)
        if kept:
            cells += kept
            cells.sort(key=_place)
        next_change = prune_from
        for cell in cells:
            if cell.next_change < next_change:
                next_change = cell.next_change
        return (
            Cache(self.definitions.hash, day, next_change, prune_from, tuple(cells)),
            facts,
            evaluations,
        )


_place: Final = attrgetter("indicator")


def _contributions(cells: tuple[Cell, ...], nothing: Contributions) -> Contributions:
    if not cells:
        return nothing
    found = list(nothing)
    for cell in cells:
        found[cell.indicator] = (cell.status, cell.denominator, cell.numerator)
    return tuple(found)
