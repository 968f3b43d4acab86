"""Care gaps: which rules applied to a patient, and what would change their answer. Pure.

A gap is a patient on whom an indicator asks for something to be done: a ``miss`` where a higher
figure is better, a ``met`` (that is, harmed) where a lower one is. Only indicators with rules have
gaps; the others count what happened, and no single patient stands for a figure.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from peerview_common.facts import Fact
from peerview_compute.model.definition import Condition, Definition, Rule, Version, Window
from peerview_compute.model.definitions import DefinitionSet
from peerview_compute.model.rules import Check, compile_condition, conjunction
from peerview_compute.model.status import Status
from peerview_compute.model.view import Layout, View

_STATUS = {
    "excluded": Status.EXCLUDED,
    "exception": Status.EXCEPTION,
    "miss": Status.MISS,
    "met": Status.MET,
}


class NoRulesError(ValueError):
    """An indicator that counts what happened, and says nothing about single patients."""


class RuleAnswer(NamedTuple):
    """A rule of the version that holds on the day, in the order written."""

    name: str
    outcome: str
    applied: bool
    """Its condition holds; the first that applies decides."""


class Explanation(NamedTuple):
    """One patient, one indicator, one day."""

    status: Status
    rules: tuple[RuleAnswer, ...]
    """Empty for somebody who is out."""
    gap: bool
    change: str | None
    """For a gap: the first rule that would change it, in words."""


def gap_status(definition: Definition) -> Status:
    """The status that is a gap. Raises NoRulesError."""
    if definition.kind != "proportion-of-patients":
        raise NoRulesError(f"{definition.id} counts {definition.kind}, not patients by rules")
    return Status.MISS if definition.direction == "higher" else Status.MET


class Gaps:
    """A set of definitions, ready to explain. Holds no patient."""

    def __init__(self, definitions: DefinitionSet) -> None:
        self.definitions = definitions
        clusters = {name for one in definitions.indicators for name in definitions.clusters(one)}
        self._layout = Layout(definitions.codes, clusters, definitions.readings)
        self._plans: dict[tuple[str, str], _Plan] = {}

    def explain(self, facts: Sequence[Fact], day: int, indicator: str) -> Explanation:
        """``facts`` holds one version of each resource. Raises KeyError for an unknown indicator,
        NoRulesError for one without rules."""
        definition = self.definitions[indicator]
        wanted = gap_status(definition)
        version = definition.version_on(day)
        plan = self._plans.get((indicator, version.version))
        if plan is None:
            plan = self._plans[indicator, version.version] = _Plan(version, self._layout)
        view = View(self._layout, facts, day)
        if not plan.belongs(view)[0]:
            return Explanation(Status.OUT, (), False, None)
        answers = tuple(
            RuleAnswer(rule.name, rule.outcome, check is None or check(view)[0])
            for rule, check in plan.rules
        )
        decisive = next(answer for answer in answers if answer.applied)
        status = _STATUS[decisive.outcome]
        if status != wanted:
            return Explanation(status, answers, False, None)
        change = f"No longer: {decisive.name}" if status == Status.MET else plan.to_do(view)
        return Explanation(status, answers, True, change)


class _Plan:
    """One version's rules, compiled one by one."""

    def __init__(self, version: Version, layout: Layout) -> None:
        self.belongs = conjunction(
            tuple(compile_condition(part, layout) for part in version.population)
        )
        self.rules: tuple[tuple[Rule, Check | None], ...] = tuple(
            (rule, None if rule.when is None else compile_condition(rule.when, layout))
            for rule in version.rules or ()
        )
        self._first = next(
            (
                rule
                for rule, _ in self.rules
                if rule.outcome in ("met", "exception") and rule.when is not None
            ),
            None,
        )
        parts = (self._first.when.all_ or ()) if self._first and self._first.when else ()
        self._parts = tuple((part, compile_condition(part, layout)) for part in parts)

    def to_do(self, view: View) -> str | None:
        """The first rule that would make another of a miss; of several conditions that must all
        hold, those that do not."""
        if self._first is None:
            return None
        lacking = [_words(part) for part, check in self._parts if not check(view)[0]]
        return self._first.name + (f" (lacking: {'; '.join(lacking)})" if lacking else "")


def _words(condition: Condition) -> str:
    """A part of a condition, roughly: its clusters and its window."""
    if (coded := condition.coded) is not None:
        return " or ".join(coded.any_of) + _within(coded.within)
    if condition.any_ is not None:
        return " or ".join(_words(part) for part in condition.any_)
    if condition.all_ is not None:
        return " and ".join(_words(part) for part in condition.all_)
    if condition.not_ is not None:
        return f"no {_words(condition.not_)}"
    field = next(iter(condition.model_fields_set))
    return " ".join([field.replace("_", "-").rstrip("-"), *_clusters(condition.field)])


def _within(window: Window | None) -> str:
    return "" if window is None else f" in the last {window.months} months"


def _clusters(field: object) -> Iterator[str]:
    for name in ("any_of", "among", "diagnosis", "by", "of"):
        found = getattr(field, name, None)
        if isinstance(found, tuple):
            yield "/".join(found)
        elif isinstance(found, str):
            yield found
