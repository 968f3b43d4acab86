"""Conditions as functions: ``check(view) -> (holds, until)``.

``until`` is the next day on which the answer may be another, with no new data: never late, and
early only where being exact would cost more than the evaluation it saves. A window is left on
``lapse`` days, and a fact dated after the day comes into reach on its own day.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import Any, TypeAlias

from peerview_common.facts import Coded, Fact, Sex
from peerview_compute.model.calendar import NEVER, add_months, birthday, lapse
from peerview_compute.model.definition import (
    BLOOD_PRESSURE,
    Age,
    BloodPressure,
    CodedAtAge,
    Condition,
    FirstDiagnosis,
    Invited,
    Later,
    LatestCoded,
    LatestReading,
    Turned,
    Unresolved,
    Window,
)
from peerview_compute.model.definition import (
    Coded as CodedCondition,
)
from peerview_compute.model.view import Layout, View, order

Answer: TypeAlias = tuple[bool, int]
Check: TypeAlias = Callable[[View], Answer]

_NO: Answer = (False, NEVER)
_YES: Answer = (True, NEVER)


def compile_condition(condition: Condition, layout: Layout) -> Check:
    """The condition as a function."""
    name = next(iter(condition.model_fields_set))
    return _COMPILERS[name](condition.field, layout)


def conjunction(checks: tuple[Check, ...]) -> Check:
    if len(checks) == 1:
        return checks[0]

    def check(view: View) -> Answer:
        until = NEVER
        for part in checks:
            answer = part(view)
            if not answer[0]:
                return answer
            if answer[1] < until:
                until = answer[1]
        return True, until

    return check


def _all(parts: tuple[Condition, ...], layout: Layout) -> Check:
    return conjunction(tuple(compile_condition(part, layout) for part in parts))


def _any(parts: tuple[Condition, ...], layout: Layout) -> Check:
    checks = tuple(compile_condition(part, layout) for part in parts)

    def check(view: View) -> Answer:
        until = NEVER
        for part in checks:
            answer = part(view)
            if answer[0]:
                return answer
            if answer[1] < until:
                until = answer[1]
        return False, until

    return check


def _not(part: Condition, layout: Layout) -> Check:
    inner = compile_condition(part, layout)

    def check(view: View) -> Answer:
        holds, until = inner(view)
        return not holds, until

    return check


def window_months(window: Window) -> Callable[[View], tuple[int, int]]:
    """``(months, until)``: the window's length for the patient on the day."""
    months, from_age, then = window.months, window.from_age, window.months_from_age
    if from_age is None or then is None:
        fixed = (months, NEVER)
        return lambda view: fixed

    def length(view: View) -> tuple[int, int]:
        if view.person is None or view.person.birth is None:
            return months, NEVER
        changes = birthday(view.person.birth, from_age)
        return (then, NEVER) if changes <= view.day else (months, changes)

    return length


def _in_window(days: list[int], day: int, months: int) -> Answer:
    """Whether one of ``days`` (ascending) is in the window. Exact."""
    if not days:
        return _NO
    place = bisect_right(days, day)
    if place:
        until = lapse(days[place - 1], months)
        if until > day:
            while place < len(days) and days[place] <= until:
                until = lapse(days[place], months)
                place += 1
            return True, until
    return False, days[place] if place < len(days) else NEVER


def _registered(_: bool, layout: Layout) -> Check:
    return lambda view: (view.registered, view.registered_until)


def _registered_within(within: Window, layout: Layout) -> Check:
    length = window_months(within)

    def check(view: View) -> Answer:
        if not view.registered:
            return False, view.registered_until
        months, changes = length(view)
        until = lapse(view.start, months)
        if until > view.day:
            return True, min(until, changes, view.registered_until)
        return False, min(changes, view.registered_until)

    return check


def _registered_after_age(months: int, layout: Layout) -> Check:
    def check(view: View) -> Answer:
        if not view.registered or view.person is None or view.person.birth is None:
            return False, view.registered_until
        return view.start > add_months(view.person.birth, months), view.registered_until

    return check


def _age(age: Age, layout: Layout) -> Check:
    youngest = age.from_ or 0
    over = None if age.to is None else age.to + 1

    def check(view: View) -> Answer:
        if view.person is None or view.person.birth is None:
            return _NO
        begins = birthday(view.person.birth, youngest)
        if view.day < begins:
            return False, begins
        if over is None:
            return _YES
        ends = birthday(view.person.birth, over)
        return (True, ends) if view.day < ends else _NO

    return check


def _sex(name: str, layout: Layout) -> Check:
    wanted = {"female": int(Sex.FEMALE), "male": int(Sex.MALE)}[name]
    return lambda view: (view.person is not None and view.person.sex == wanted, NEVER)


def _turned(turned: Turned, layout: Layout) -> Check:
    length = window_months(turned.within)
    age = turned.months_old

    def check(view: View) -> Answer:
        if view.person is None or view.person.birth is None:
            return _NO
        months, changes = length(view)
        holds, until = _in_window([add_months(view.person.birth, age)], view.day, months)
        return holds, min(until, changes)

    return check


def _unresolved(unresolved: Unresolved, layout: Layout) -> Check:
    diagnosis = layout.select(unresolved.diagnosis)
    resolution = layout.select(unresolved.resolved)

    def check(view: View) -> Answer:
        days = view.days(diagnosis)
        if not days:
            return _NO
        place = bisect_right(days, view.day)
        if not place:
            return False, days[0]
        until = days[place] if place < len(days) else NEVER
        ended = view.resolved_days(diagnosis, resolution)
        if not ended:
            return True, until
        last = bisect_right(ended, view.day)
        if last < len(ended):
            until = min(until, ended[last])
        return last == 0 or ended[last - 1] <= days[place - 1], until

    return check


def _coded(coded: CodedCondition, layout: Layout) -> Check:
    selection = layout.select(coded.any_of)
    if coded.within is None:

        def ever(view: View) -> Answer:
            days = view.days(selection)
            if not days:
                return _NO
            return _YES if days[0] <= view.day else (False, days[0])

        return ever

    length = window_months(coded.within)

    def check(view: View) -> Answer:
        days = view.days(selection)
        if not days:
            return _NO
        months, changes = length(view)
        holds, until = _in_window(days, view.day, months)
        return holds, min(until, changes)

    return check


def _coded_at_age(coded: CodedAtAge, layout: Layout) -> Check:
    selection = layout.select(coded.any_of)

    def check(view: View) -> Answer:
        days = view.days(selection)
        if not days or view.person is None or view.person.birth is None:
            return _NO
        first = add_months(view.person.birth, coded.from_months)
        last = add_months(view.person.birth, coded.to_months)
        place = bisect_left(days, first)
        if place == len(days) or days[place] > last:
            return _NO
        return _YES if days[place] <= view.day else (False, days[place])

    return check


def _latest(facts: list[Fact], day: int) -> tuple[Fact | None, int]:
    """The latest fact up to ``day``, and the day of the next one."""
    best: Fact | None = None
    latest, coming = -NEVER, NEVER
    for fact in facts:
        when = fact.body.day  # type: ignore[union-attr]
        if when > day:
            coming = min(coming, when)
        elif best is None or when > latest or (when == latest and order(fact) > order(best)):
            best, latest = fact, when
    return best, coming


def _latest_coded(latest: LatestCoded, layout: Layout) -> Check:
    among = layout.select(latest.among)
    wanted = frozenset(layout.selections[layout.select(latest.is_)])

    def check(view: View) -> Answer:
        facts = view.facts(among)
        if not facts:
            return _NO
        best, coming = _latest(facts, view.day)
        if best is None:
            return False, coming
        assert isinstance(best.body, Coded)  # noqa: S101
        return not wanted.isdisjoint(layout.clusters_of(best.body.codes)), coming

    return check


def _later(later: Later, layout: Layout) -> Check:
    these, others = layout.select(later.any_of), layout.select(later.than)

    def check(view: View) -> Answer:
        days = view.days(these)
        if not days:
            return _NO
        place = bisect_right(days, view.day)
        until = days[place] if place < len(days) else NEVER
        if not place:
            return False, until
        ended = view.days(others)
        last = bisect_right(ended, view.day)
        if last < len(ended):
            until = min(until, ended[last])
        return last == 0 or days[place - 1] > ended[last - 1], until

    return check


def _latest_reading(wanted: LatestReading, layout: Layout) -> Check:
    reading = layout.reading(wanted.of)
    least = float("-inf") if wanted.at_least is None else wanted.at_least
    most = float("inf") if wanted.at_most is None else wanted.at_most
    length = None if wanted.within is None else window_months(wanted.within)

    def check(view: View) -> Answer:
        readings = view.readings(reading)
        if not readings:
            return _NO
        best: Fact | None = None
        best_value, latest, coming = 0.0, -NEVER, NEVER
        for fact, body, value in readings:
            when = body.day
            if when > view.day:
                coming = min(coming, when)
            elif best is None or when > latest or (when == latest and order(fact) > order(best)):
                best, best_value, latest = fact, value, when
        if best is None:
            return False, coming
        within_limits = least <= best_value <= most
        if length is None:
            return within_limits, coming
        if not within_limits:
            return False, coming
        months, changes = length(view)
        until = lapse(latest, months)
        if until > view.day:
            return True, min(until, coming, changes)
        return False, min(coming, changes)

    return check


def _blood_pressure(wanted: BloodPressure, layout: Layout) -> Check:
    length = window_months(wanted.within)
    clinic, home = wanted.clinic, wanted.home

    def check(view: View) -> Answer:
        complete, lowest = view.pairs()
        if not complete:
            return _NO
        place = bisect_right(complete, view.day)
        coming = complete[place] if place < len(complete) else NEVER
        if not place:
            return False, coming
        a, b, c, d = lowest[complete[place - 1]]
        at_target = (
            a is not None and b is not None and a <= clinic.systolic and b <= clinic.diastolic
        ) or (c is not None and d is not None and c <= home.systolic and d <= home.diastolic)
        if not at_target:
            return False, coming
        months, changes = length(view)
        until = lapse(complete[place - 1], months)
        if until > view.day:
            return True, min(until, coming, changes)
        return False, min(coming, changes)

    return check


def _apart(days: list[int], times: int, gap: int) -> bool:
    """Whether ``times`` of ``days`` (ascending) follow each other at least ``gap`` days apart."""
    found, last = 0, -NEVER
    for day in days:
        if day - last >= gap:
            found, last = found + 1, day
            if found == times:
                return True
    return False


def _invited(invited: Invited, layout: Layout) -> Check:
    selection = layout.select(invited.by)
    length = window_months(invited.within)
    times, gap = invited.times, invited.days_apart
    undone_by: Callable[[View], list[int]]
    if invited.without_later is None:
        undone_by = lambda view: []  # noqa: E731
    elif invited.without_later == BLOOD_PRESSURE:
        undone_by = lambda view: view.pairs()[0]  # noqa: E731
    else:
        reading = layout.reading(invited.without_later)
        undone_by = lambda view: sorted(  # noqa: E731
            body.day for _, body, _ in view.readings(reading)
        )

    def check(view: View) -> Answer:
        days = view.days(selection)
        if not days:
            return _NO
        months, changes = length(view)
        place = bisect_right(days, view.day)
        coming = min(days[place] if place < len(days) else NEVER, changes)
        inside = days[bisect_right(days, add_months(view.day, -months)) : place]
        if not _apart(inside, times, gap):
            return False, coming
        readings = undone_by(view)
        read = bisect_right(readings, view.day)
        if read and readings[read - 1] >= inside[0]:
            # It can only come to hold once no invitation up to the reading is left in the window.
            after = bisect_right(inside, readings[read - 1])
            if _apart(inside[after:], times, gap):
                return False, min(coming, lapse(inside[after - 1], months))
            return False, coming
        start = 0
        while _apart(inside[start + 1 :], times, gap):
            start += 1
        until = lapse(inside[start], months)
        return True, min(until, changes, readings[read] if read < len(readings) else NEVER)

    return check


def _first_diagnosis(first: FirstDiagnosis, layout: Layout) -> Check:
    selection = layout.select(first.of)
    length = window_months(first.within)

    def check(view: View) -> Answer:
        days = view.days(selection)
        if not days:
            return _NO
        months, changes = length(view)
        holds, until = _in_window(days[:1], view.day, months)
        return holds, min(until, changes)

    return check


_COMPILERS: dict[str, Callable[[Any, Layout], Check]] = {
    "all_": _all,
    "any_": _any,
    "not_": _not,
    "registered": _registered,
    "registered_within": _registered_within,
    "registered_after_age": _registered_after_age,
    "age": _age,
    "sex": _sex,
    "turned": _turned,
    "unresolved": _unresolved,
    "coded": _coded,
    "coded_at_age": _coded_at_age,
    "latest_coded": _latest_coded,
    "later": _later,
    "latest_reading": _latest_reading,
    "blood_pressure": _blood_pressure,
    "invited": _invited,
    "first_diagnosis": _first_diagnosis,
}
