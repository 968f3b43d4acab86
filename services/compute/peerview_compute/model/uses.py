"""What a definition looks at, and how far back: the base of pruning, of "which figures may an
arriving fact touch", and of "whom can it never be about"."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from peerview_compute.model.definition import (
    BLOOD_PRESSURE,
    PANEL_CLUSTER,
    SETTINGS,
    Condition,
    ReadingDefinition,
    Version,
    Window,
)


class Use(NamedTuple):
    cluster: str
    months: int | None
    """The longest window; None where facts count however old they are."""


def pair_readings() -> tuple[tuple[str, str], ...]:
    """The names of the systolic and diastolic readings, for each of ``SETTINGS``."""
    return tuple((f"systolic-{setting}", f"diastolic-{setting}") for setting in SETTINGS)


def reading_clusters(name: str, readings: Mapping[str, ReadingDefinition]) -> set[str]:
    """The clusters behind a reading, or behind ``blood-pressure``."""
    if name != BLOOD_PRESSURE:
        return {source.cluster for source in readings[name].sources}
    parts = (part for pair in pair_readings() for part in pair)
    return {PANEL_CLUSTER}.union(*(reading_clusters(part, readings) for part in parts))


def uses_of(version: Version, readings: Mapping[str, ReadingDefinition]) -> Iterator[Use]:
    """Every cluster that a version looks at, once for each place."""
    for condition in version.population:
        yield from _uses(condition, readings)
    for rule in version.rules or ():
        if rule.when is not None:
            yield from _uses(rule.when, readings)
    if version.facts is not None:
        yield from _each(version.facts.any_of, version.facts.within)


def needed_by(
    condition: Condition, readings: Mapping[str, ReadingDefinition]
) -> frozenset[str] | None:
    """Clusters without any fact of which, of whatever day, the condition can never come to hold
    without new data. None where it may."""
    if condition.all_ is not None:
        found = (needed_by(part, readings) for part in condition.all_)
        return next((needed for needed in found if needed is not None), None)
    if condition.any_ is not None:
        parts = [needed_by(part, readings) for part in condition.any_]
        known = [needed for needed in parts if needed is not None]
        return frozenset().union(*known) if len(known) == len(parts) else None
    if condition.unresolved is not None:
        return frozenset(condition.unresolved.diagnosis)
    if condition.coded is not None:
        return frozenset(condition.coded.any_of)
    if condition.coded_at_age is not None:
        return frozenset(condition.coded_at_age.any_of)
    if condition.latest_coded is not None:
        return frozenset(condition.latest_coded.is_)
    if condition.later is not None:
        return frozenset(condition.later.any_of)
    if condition.latest_reading is not None:
        return frozenset(reading_clusters(condition.latest_reading.of, readings))
    if condition.invited is not None:
        return frozenset(condition.invited.by)
    if condition.first_diagnosis is not None:
        return frozenset(condition.first_diagnosis.of)
    return None


def _each(clusters: tuple[str, ...] | set[str], within: Window | None) -> Iterator[Use]:
    for cluster in clusters:
        yield Use(cluster, None if within is None else within.longest)


def _uses(condition: Condition, readings: Mapping[str, ReadingDefinition]) -> Iterator[Use]:
    for part in (*(condition.all_ or ()), *(condition.any_ or ())):
        yield from _uses(part, readings)
    if condition.not_ is not None:
        yield from _uses(condition.not_, readings)
    if (unresolved := condition.unresolved) is not None:
        yield from _each(unresolved.diagnosis, None)
        yield from _each(unresolved.resolved, None)
    if (coded := condition.coded) is not None:
        yield from _each(coded.any_of, coded.within)
    if (at_age := condition.coded_at_age) is not None:
        yield from _each(at_age.any_of, None)
    if (latest := condition.latest_coded) is not None:
        yield from _each(latest.among, None)
    if (later := condition.later) is not None:
        yield from _each(later.any_of, None)
        yield from _each(later.than, None)
    if (reading := condition.latest_reading) is not None:
        yield from _each(reading_clusters(reading.of, readings), reading.within)
    if (pressure := condition.blood_pressure) is not None:
        yield from _each(reading_clusters(BLOOD_PRESSURE, readings), pressure.within)
    if (invited := condition.invited) is not None:
        yield from _each(invited.by, invited.within)
        if invited.without_later is not None:
            yield from _each(reading_clusters(invited.without_later, readings), invited.within)
    if (first := condition.first_diagnosis) is not None:
        yield from _each(first.of, None)
