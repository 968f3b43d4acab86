"""From a set of facts and a day to what each indicator counts, and until when."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple
from zlib import crc32

from peerview_common.codes import CodeList
from peerview_common.days import day_of
from peerview_common.facts import Appointment, Code, Coded, Contact, Fact, ResourceType
from peerview_compute.model.calendar import NEVER, lapse
from peerview_compute.model.counts import (
    Counted,
    count_appointments,
    count_continuity,
    count_facts,
)
from peerview_compute.model.definition import Definition, ReadingDefinition, Rule, Version
from peerview_compute.model.definitions import DefinitionSet
from peerview_compute.model.rules import Check, compile_condition, conjunction
from peerview_compute.model.state import Cell
from peerview_compute.model.status import Contribution, Status
from peerview_compute.model.uses import needed_by, uses_of
from peerview_compute.model.view import Layout, View

CONTACT_MONTHS: Final = 12
"""``Core.gps`` looks so far back, whatever the definitions."""
SLACK_MONTHS: Final = 13
"""How long after its last use a fact is kept: figures for a past day stay right so long, and a
version that arrives late finds the one that replaced it."""
PRUNE_EVERY: Final = 60
"""Days between a patient's pruning days. A fact at a time, most of what a tick writes would be
states that nothing but an old fact has left."""
_LEAST_SLACK: Final = 390
"""Fewer days than any 13 months: for so long after its stamp no fact goes."""
_DAY_MILLIS: Final = 86_400_000
_PATIENT: Final = int(ResourceType.PATIENT)
_MEMO_LIMIT: Final = 100_000
_OUT: Final = int(Status.OUT)
_NEVER_IN: Final[Counted] = (_OUT, 0, 0, NEVER)
_STATUS: Final = {
    "excluded": (int(Status.EXCLUDED), 0, 0),
    "exception": (int(Status.EXCEPTION), 0, 0),
    "miss": (int(Status.MISS), 1, 0),
    "met": (int(Status.MET), 1, 1),
}


class Evaluation(NamedTuple):
    """One indicator, one patient, one day."""

    contribution: Contribution
    next_change: int


class _Plan:
    """One version of a definition, compiled."""

    __slots__ = ("ends", "run")

    def __init__(self, version: Version, layout: Layout) -> None:
        self.ends = NEVER if version.to is None else day_of(version.to) + 1
        """The first day on which the next version holds."""
        population = tuple(compile_condition(part, layout) for part in version.population)
        self.run = _in_population(population, _body(version, layout))


def _body(version: Version, layout: Layout) -> Callable[[View], Counted]:
    if version.rules is not None:
        return _first_that_applies(version.rules, layout)
    if version.facts is not None:
        return count_facts(version.facts, layout)
    if version.appointments is not None:
        return count_appointments(version.appointments, layout)
    assert version.continuity is not None  # noqa: S101  (checked when it was loaded)
    return count_continuity(version.continuity, layout)


def _in_population(
    population: tuple[Check, ...], body: Callable[[View], Counted]
) -> Callable[[View], Counted]:
    if not population:
        return body
    belongs = conjunction(population)

    def run(view: View) -> Counted:
        holds, until = belongs(view)
        if not holds:
            return _OUT, 0, 0, until
        found = body(view)
        return found if found[3] <= until else (found[0], found[1], found[2], until)

    return run


def _first_that_applies(rules: Sequence[Rule], layout: Layout) -> Callable[[View], Counted]:
    ordered = tuple(
        (compile_condition(rule.when, layout), *_STATUS[rule.outcome])
        for rule in rules
        if rule.when is not None
    )
    last = _STATUS[rules[-1].outcome]

    def run(view: View) -> Counted:
        until = NEVER
        for check, status, denominator, numerator in ordered:
            holds, ends = check(view)
            if ends < until:
                until = ends
            if holds:
                return status, denominator, numerator, until
        return (*last, until)

    return run


def _needs(
    definition: Definition, layout: Layout, readings: Mapping[str, ReadingDefinition]
) -> frozenset[int] | None:
    """Clusters without any fact of which a patient is out on every day, whatever the version; None
    where there are no such. Most patients have most diseases not."""
    found: list[frozenset[str]] = []
    for version in definition.versions:
        each = (needed_by(condition, readings) for condition in version.population)
        needed = next((one for one in each if one is not None), None)
        if needed is None:
            return None
        found.append(needed)
    return layout.numbers(frozenset().union(*found))


class _Indicator:
    """All versions of a definition, compiled."""

    __slots__ = ("_needs", "_plans")

    def __init__(
        self, definition: Definition, layout: Layout, readings: Mapping[str, ReadingDefinition]
    ) -> None:
        self._plans = tuple(_Plan(version, layout) for version in definition.versions)
        self._needs = _needs(definition, layout, readings)

    def run(self, view: View) -> Counted:
        """As of the view's day. A patient for whom the next version says the same as this one does
        not change on the day it takes effect."""
        if self._needs is not None and not view.has_any(self._needs):
            return _NEVER_IN
        place = 0
        while self._plans[place].ends <= view.day:
            place += 1
        plan = self._plans[place]
        found = plan.run(view)
        if found[3] < plan.ends or plan.ends == NEVER:
            return found
        for earlier, later in pairwise(self._plans[place:]):
            if found[3] < earlier.ends:
                break
            then = later.run(view)
            if then[:3] != found[:3] or then[3] <= earlier.ends:
                return (*found[:3], earlier.ends)
            found = then
        return found


class Evaluator:
    """A set of definitions, compiled once. A pure function of (facts, day), and of nothing else."""

    def __init__(self, definitions: DefinitionSet) -> None:
        self._codes: CodeList = definitions.codes
        self.everything: Final = (1 << len(definitions.indicators)) - 1
        """All indicators, as bits at their places in ``DefinitionSet.indicators``."""
        self._of_person = self._of_appointments = self._of_contacts = 0
        self._masks: dict[str, int] = {}
        self._months: dict[str, int | None] = {}
        self._appointment_months: int | None = None
        self._contact_months = CONTACT_MONTHS
        for n, definition in enumerate(definitions.all):
            if definition.of_patients:
                self._of_person |= 1 << n
            for version in definition.versions:
                self._note(version, 1 << n, definitions)
        self._longest = max(
            (
                self._contact_months,
                self._appointment_months or 0,
                *(months for months in self._months.values() if months is not None),
            )
        )
        self._layout = Layout(definitions.codes, self._masks, definitions.readings)
        self._indicators = tuple(
            _Indicator(definition, self._layout, definitions.readings)
            for definition in definitions.all
        )
        self._uses: dict[tuple[Code, ...], tuple[int, int | None]] = {}

    def _note(self, version: Version, bit: int, definitions: DefinitionSet) -> None:
        for use in uses_of(version, definitions.readings):
            self._masks[use.cluster] = self._masks.get(use.cluster, 0) | bit
            known = self._months.get(use.cluster, 0)
            unlimited = known is None or use.months is None
            self._months[use.cluster] = None if unlimited else max(known or 0, use.months or 0)
        if version.appointments is not None:
            self._of_appointments |= bit
            months = version.appointments.within.longest
            self._appointment_months = max(self._appointment_months or 0, months)
        if version.continuity is not None:
            self._of_contacts |= bit
            self._contact_months = max(self._contact_months, version.continuity.within.longest)

    def evaluate(self, facts: Sequence[Fact], day: int, wanted: int) -> tuple[list[Cell], int]:
        """``(cells, evaluations)`` of the ``wanted`` indicators (bits), as of ``day``. An indicator
        that is out and stays so has no cell."""
        if not wanted:
            return [], 0
        view = View(self._layout, facts, day)
        cells = []
        for n, indicator in enumerate(self._indicators):
            if wanted >> n & 1:
                status, denominator, numerator, until = indicator.run(view)
                if status != _OUT or until != NEVER:
                    cells.append(Cell(n, status, denominator, numerator, until))
        return cells, wanted.bit_count()

    def evaluate_all(self, facts: Sequence[Fact], day: int) -> tuple[Evaluation, ...]:
        """Every indicator as of ``day``, in order. ``facts`` holds one version of each resource."""
        view = View(self._layout, facts, day)
        return tuple(
            Evaluation(found[:3], found[3])
            for found in (indicator.run(view) for indicator in self._indicators)
        )

    def touched_by(self, facts: Sequence[Fact]) -> int:
        """The indicators (bits) that these facts, coming or going, may change."""
        mask = 0
        uses = self._uses
        for fact in facts:
            body = fact.body
            if type(body) is Coded:
                known = uses.get(body.codes)
                mask |= self._use(body.codes)[0] if known is None else known[0]
            elif type(body) is Appointment:
                mask |= self._of_appointments
            elif type(body) is Contact:
                mask |= self._of_contacts
            elif body is not None or fact.type == ResourceType.PATIENT:
                mask |= self._of_person
        return mask

    def _use(self, codes: tuple[Code, ...]) -> tuple[int, int | None]:
        """``(indicators, months)``: who looks at a fact with these codes, and how far back at most;
        None where it counts, or may come to count, however old it is."""
        known = self._uses.get(codes)
        if known is None:
            if len(self._uses) >= _MEMO_LIMIT:
                self._uses.clear()
            clusters = {name for code in codes for name in self._codes.clusters_of(code)}
            mask = 0
            longest: int | None = 0 if clusters else None
            for name in clusters:
                mask |= self._masks.get(name, 0)
                months = self._months.get(name)
                longest = None if months is None or longest is None else max(longest, months)
            known = self._uses[codes] = (mask, longest)
        return known

    def prune_day(self, fact: Fact) -> int:
        """The day from which a fact may be dropped (see ``prune``): no figure for a later day, nor
        for one up to 13 months earlier, can depend on it. ``NEVER`` for what counts however old it
        is."""
        body = fact.body
        months: int | None
        if type(body) is Coded:
            months = self._use(body.codes)[1]
            for component in body.components:
                others = self._use(component.codes)[1] if component.codes else 0
                months = None if months is None or others is None else max(months, others)
        elif type(body) is Appointment:
            months = self._appointment_months
        elif type(body) is Contact:
            months = self._contact_months
        elif body is None and fact.type != ResourceType.PATIENT:
            return lapse(fact.stamp // _DAY_MILLIS, self._longest + SLACK_MONTHS)
        else:
            return NEVER
        if months is None:
            return NEVER
        return max(
            lapse(body.day, months + SLACK_MONTHS),
            lapse(fact.stamp // _DAY_MILLIS, SLACK_MONTHS),
        )

    def prune(self, facts: list[Fact], day: int) -> tuple[list[Fact], int]:
        """``(kept, next)``: the facts that must be kept on ``day``, and the day from which the next
        of them goes.

        A function of (set, day). A patient's old facts go together, on the first of their pruning
        days that is not before a fact's ``prune_day``: every 60 days, counted from a day that the
        id of their Patient decides, so that not all patients have the same. Without a Patient a
        fact waits 60 days by itself: so what goes before one is known would also go after.
        """
        phase = _phase(facts)
        reached = day - PRUNE_EVERY if phase is None else day - (day - phase) % PRUNE_EVERY
        kept = []
        soonest = NEVER
        for fact in facts:
            ends = self.prune_day(fact)
            if ends > reached:
                kept.append(fact)
                if ends < soonest:
                    soonest = ends
        return kept, _pruning_day(soonest, phase)

    def next_pruning(self, facts: list[Fact], new: Sequence[Fact], known: int) -> int:
        """The day from which the next of ``facts`` goes, where ``new`` ones came to a set of which
        it was ``known``. Zero, for "look", where the pruning days may have become others.
        """
        soonest = known
        recent = (known - _LEAST_SLACK) * _DAY_MILLIS
        for fact in new:
            if fact.type == _PATIENT:
                return 0
            if fact.stamp < recent:
                soonest = min(soonest, self.prune_day(fact))
        return known if soonest == known else min(known, _pruning_day(soonest, _phase(facts)))


def _phase(facts: list[Fact]) -> int | None:
    """One of a patient's pruning days; None without a Patient."""
    for fact in facts:
        if fact.type == _PATIENT:
            return crc32(fact.id) % PRUNE_EVERY
    return None


def _pruning_day(day: int, phase: int | None) -> int:
    """The first pruning day that is not before ``day``."""
    if day == NEVER:
        return NEVER
    return day + PRUNE_EVERY if phase is None else day + (phase - day) % PRUNE_EVERY
