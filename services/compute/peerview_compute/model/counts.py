"""The three kinds that count other things than patients: facts, appointments, contacts.

Each is ``count(view) -> (status, denominator, numerator, until)`` for a patient in the population.
"""

from bisect import bisect_right
from collections.abc import Callable
from typing import TypeAlias

from peerview_common.facts import Appointment
from peerview_compute.model.calendar import NEVER, add_months, lapse
from peerview_compute.model.definition import (
    APPOINTMENT_STATUSES,
    AppointmentTest,
    Continuity,
    CountAppointments,
    CountFacts,
)
from peerview_compute.model.rules import window_months
from peerview_compute.model.status import Status
from peerview_compute.model.view import Layout, View

Counted: TypeAlias = tuple[int, int, int, int]
Count: TypeAlias = Callable[[View], Counted]

_MET, _MISS, _OUT = int(Status.MET), int(Status.MISS), int(Status.OUT)


def count_facts(wanted: CountFacts, layout: Layout) -> Count:
    """A rate: the patient once in the denominator, each distinct fact in the numerator."""
    selection = layout.select(wanted.any_of)
    length = window_months(wanted.within)

    def count(view: View) -> Counted:
        days = view.days(selection)
        if not days:
            return _MISS, 1, 0, NEVER
        months, until = length(view)
        first = bisect_right(days, add_months(view.day, -months))
        last = bisect_right(days, view.day)
        if last < len(days):
            until = min(until, days[last])
        if first == last:
            return _MISS, 1, 0, until
        return _MET, 1, last - first, min(until, lapse(days[first], months))

    return count


def count_appointments(wanted: CountAppointments, layout: Layout) -> Count:
    """The patient's appointments in the denominator, and those of them in the numerator."""
    in_denominator = appointment_test(wanted.denominator)
    in_numerator = appointment_test(wanted.numerator)
    length = window_months(wanted.within)

    def count(view: View) -> Counted:
        if not view.appointments:
            return _OUT, 0, 0, NEVER
        months, until = length(view)
        today = view.day
        since = add_months(today, -months)
        denominator = numerator = 0
        first = NEVER
        for found in view.appointments:
            when = found.day
            if when <= since or not in_denominator(found):
                continue
            if when > today:
                until = min(until, when)
                continue
            first = min(first, when)
            denominator += 1
            numerator += in_numerator(found)
        if not denominator:
            return _OUT, 0, 0, until
        status = _MET if numerator else _MISS
        return status, denominator, numerator, min(until, lapse(first, months))

    return count


def appointment_test(test: AppointmentTest) -> Callable[[Appointment], bool]:
    statuses = frozenset(
        int(status)
        for name, status in APPOINTMENT_STATUSES.items()
        if test.status is None or name in test.status
    )
    categorised, booked, ahead = test.national_category, test.booked, test.booked_days_ahead

    def holds(found: Appointment) -> bool:
        if found.status not in statuses or (categorised and found.category is None):
            return False
        if found.booked is None:
            return not booked and ahead is None
        if booked and found.booked > found.day:
            return False
        return ahead is None or found.day - found.booked <= ahead

    return holds


def count_continuity(wanted: Continuity, layout: Layout) -> Count:
    """The patient once in the denominator; in the numerator the share of contacts with the GP seen
    most, in parts of ``scale``, halves to even."""
    length = window_months(wanted.within)
    at_least, scale = wanted.at_least, wanted.scale

    def count(view: View) -> Counted:
        if not view.contacts:
            return _OUT, 0, 0, NEVER
        months, until = length(view)
        since = add_months(view.day, -months)
        days, gps = [], []
        for found in view.contacts:
            if found.day > view.day:
                until = min(until, found.day)
            elif found.day > since:
                days.append(found.day)
                gps.append(found.gp)
        if len(gps) < at_least:
            return _OUT, 0, 0, until
        most = max(map(gps.count, set(gps)))
        if most < len(gps):
            ends = min(days)
        else:  # one GP alone: nothing changes before too few contacts are left
            days.sort()
            ends = days[-at_least]
        share = divide_half_even(scale * most, len(gps))
        return _MET, 1, share, min(until, lapse(ends, months))

    return count


def divide_half_even(numerator: int, denominator: int) -> int:
    """The nearest whole number, halves to the even one. Exact."""
    whole, rest = divmod(numerator, denominator)
    return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1))
