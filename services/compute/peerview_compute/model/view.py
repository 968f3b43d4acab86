"""One patient's facts on one day, laid out for the rules: by cluster, each part only on demand.

A ``Layout`` numbers what the definitions look at, once; a ``View`` is made for each evaluation.
"""

from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from peerview_common.codes import CodeList
from peerview_common.days import LONG_AGO
from peerview_common.facts import (
    Appointment,
    Code,
    Coded,
    Contact,
    Fact,
    GeneralPractice,
    Person,
    Registration,
    ResourceType,
    Unit,
    id_text,
)
from peerview_compute.model.calendar import NEVER
from peerview_compute.model.definition import PANEL_CLUSTER, UNITS, ReadingDefinition
from peerview_compute.model.uses import pair_readings

_MEMO_LIMIT: Final = 100_000


class Source:
    """A cluster whose facts give a reading, numbered."""

    __slots__ = ("cluster", "convert", "plus", "times", "unit")

    def __init__(self, cluster: int, unit: int | None, times: float, plus: float) -> None:
        self.cluster = cluster
        self.unit = unit
        self.times = times
        self.plus = plus
        self.convert = times != 1 or plus != 0


class Layout:
    """Clusters, selections of clusters and readings, as small numbers."""

    def __init__(
        self, codes: CodeList, clusters: Iterable[str], readings: Mapping[str, ReadingDefinition]
    ) -> None:
        self._codes = codes
        self._numbers = {name: n for n, name in enumerate(sorted(clusters))}
        self.memo: dict[tuple[Code, ...], tuple[int, ...]] = {}
        """What ``clusters_of`` has answered lately."""
        self._places: dict[tuple[int, ...], tuple[int, ...]] = {}
        self.selections: list[tuple[int, ...]] = []
        self.readings: list[tuple[Source, ...]] = []
        self.reading_selections: list[int] = []
        self.plausible: list[tuple[float, float] | None] = []
        self._reading_numbers: dict[str, int] = {}
        for name, found in readings.items():
            used = [source for source in found.sources if source.cluster in self._numbers]
            self._reading_numbers[name] = len(self.readings)
            self.readings.append(
                tuple(
                    Source(
                        self._numbers[source.cluster],
                        None if source.unit is None else int(UNITS[source.unit]),
                        source.times,
                        source.plus,
                    )
                    for source in used
                )
            )
            self.reading_selections.append(self.select(source.cluster for source in used))
            self.plausible.append(found.plausible)
        self.panels = self.select({PANEL_CLUSTER} & self._numbers.keys())
        self.pairs: tuple[int, ...] = tuple(
            self._reading_numbers[part]
            for pair in pair_readings()
            for part in pair
            if part in self._reading_numbers
        )

    def select(self, clusters: Iterable[str]) -> int:
        """The number of a selection of clusters, for ``View.facts`` and ``View.days``."""
        wanted = tuple(sorted({self._numbers[name] for name in clusters}))
        if wanted not in self.selections:
            self.selections.append(wanted)
        return self.selections.index(wanted)

    def numbers(self, clusters: Iterable[str]) -> frozenset[int]:
        """For ``View.has_any``."""
        return frozenset(self._numbers[name] for name in clusters)

    def reading(self, name: str) -> int:
        return self._reading_numbers[name]

    def clusters_of(self, codes: tuple[Code, ...]) -> tuple[int, ...]:
        """The numbers of the clusters that any of ``codes`` is in."""
        known = self.memo.get(codes)
        if known is None:
            if len(self.memo) >= _MEMO_LIMIT:
                self.memo.clear()
            names = {name for code in codes for name in self._codes.clusters_of(code)}
            known = tuple(sorted(self._numbers[name] for name in names if name in self._numbers))
            self.memo[codes] = known
        return known

    def places_of(self, clusters: tuple[int, ...]) -> tuple[int, ...]:
        """Which of ``pairs`` a value in these clusters may be."""
        known = self._places.get(clusters)
        if known is None:
            if len(self._places) >= _MEMO_LIMIT:
                self._places.clear()
            known = self._places[clusters] = tuple(
                place
                for place, reading in enumerate(self.pairs)
                if any(source.cluster in clusters for source in self.readings[reading])
            )
        return known

    def value(
        self, reading: int, clusters: tuple[int, ...], value: float | None, unit: int
    ) -> float | None:
        """What a value in these clusters reads as; None where it is no reading."""
        if value is None:
            return None
        for source in self.readings[reading]:
            if source.cluster in clusters and (
                source.unit is None or unit == source.unit or unit == Unit.ABSENT
            ):
                read = source.times * value + source.plus if source.convert else value
                limits = self.plausible[reading]
                if limits is not None and not limits[0] <= read <= limits[1]:
                    return None
                return read
        return None


def order(fact: Fact) -> tuple[int, int, int, int, str, int, str]:
    """What "latest" goes by: instant, last updated, version, id as text, resource type. Of a coded
    fact; its day comes first, and is worth comparing alone before all of this is put together."""
    body = fact.body
    assert isinstance(body, Coded)  # noqa: S101
    return (
        body.day,
        body.elapsed,
        fact.stamp,
        fact.version,
        id_text(fact.id),
        fact.type,
        fact.source,
    )


class View:
    """A set of facts on a day. Holds what was asked for before; never outlives its evaluation."""

    __slots__ = (
        "_coded", "_days", "_groups", "_layout", "_pairs", "_readings", "_resolved", "appointments",
        "contacts", "day", "person", "registered", "registered_until", "registrations", "start",
    )  # fmt: skip

    def __init__(self, layout: Layout, facts: Sequence[Fact], day: int) -> None:
        self.day = day
        self._layout = layout
        self._groups: dict[int, list[Fact]] | None = None
        self._days: dict[int, list[int]] = {}
        self._readings: dict[int, list[tuple[Fact, Coded, float]]] = {}
        self._resolved: dict[tuple[int, int], list[int]] = {}
        self._pairs: tuple[list[int], dict[int, list[float | None]]] | None = None
        self.appointments: list[Appointment] = []
        self.contacts: list[Contact] = []
        self.registrations: list[Registration] = []
        self.person: Person | None = None
        patient: Fact | None = None
        self._coded: list[Fact] = []
        for fact in facts:
            body = fact.body
            kind = type(body)
            if kind is Coded:
                self._coded.append(fact)
            elif kind is Appointment:
                self.appointments.append(body)  # type: ignore[arg-type]
            elif kind is Contact:
                self.contacts.append(body)  # type: ignore[arg-type]
            elif kind is Registration:
                self.registrations.append(body)  # type: ignore[arg-type]
            elif fact.type == _PATIENT and (patient is None or _rank(fact) > _rank(patient)):
                patient = fact
        if patient is not None and isinstance(patient.body, Person):
            self.person = patient.body
        self._register()

    def _register(self) -> None:
        """Whether registered on the day, since when, and until when both stay so."""
        self.registered, self.start, self.registered_until = False, int(LONG_AGO), NEVER
        person = self.person
        if person is None:
            return
        limit = NEVER if person.died is None else person.died
        if person.inactive_from is not None and person.inactive_from < limit:
            limit = person.inactive_from
        if self.registrations:
            periods = [
                (found.start, limit if found.end is None else min(found.end, limit))
                for found in self.registrations
                if found.here
            ]
        elif person.practice == GeneralPractice.HERE:
            periods = [(int(LONG_AGO), limit)]
        else:
            return
        current = [(start, end) for start, end in periods if start <= self.day < end]
        if current:
            self.registered = True
            self.start = start = min(current)[0]
            self.registered_until = max(end for begun, end in current if begun == start)
        else:
            self.registered_until = min(
                (start for start, end in periods if self.day < start < end), default=NEVER
            )

    def _group(self) -> dict[int, list[Fact]]:
        """The coded facts by cluster, those of several in each; of all days. Not made before it is
        asked for: much of a tick's work is about appointments alone."""
        groups: dict[int, list[Fact]] = {}
        self._groups = groups
        known, clusters_of = self._layout.memo, self._layout.clusters_of
        for fact in self._coded:
            codes = fact.body.codes  # type: ignore[union-attr]
            for number in known.get(codes) or clusters_of(codes):
                group = groups.get(number)
                if group is None:
                    groups[number] = [fact]
                else:
                    group.append(fact)
        return groups

    def has_any(self, clusters: frozenset[int]) -> bool:
        """Whether there is a fact of any of these clusters, of whatever day."""
        groups = self._groups
        if groups is None:
            groups = self._group()
        return not groups.keys().isdisjoint(clusters)

    def facts(self, selection: int) -> list[Fact]:
        """The coded facts of a selection, each once, in no order; of all days."""
        clusters = self._layout.selections[selection]
        groups = self._groups
        if groups is None:
            groups = self._group()
        if len(clusters) == 1:
            return groups.get(clusters[0], _NONE)
        found: list[Fact] = []
        several = 0
        for cluster in clusters:
            group = groups.get(cluster)
            if group is not None:
                found = group if not several else found + group
                several += 1
        if several > 1:
            return list({id(fact): fact for fact in found}.values())
        return found

    def days(self, selection: int) -> list[int]:
        """The days of the facts of a selection, ascending."""
        days = self._days.get(selection)
        if days is None:
            facts = self.facts(selection)
            if facts:
                days = [fact.body.day for fact in facts]  # type: ignore[union-attr]
                days.sort()
            else:
                days = _NO_DAYS
            self._days[selection] = days
        return days

    def resolved_days(self, diagnosis: int, resolved: int) -> list[int]:
        """The days of resolved codes, and on which diagnoses of the selection were resolved."""
        days = self._resolved.get((diagnosis, resolved))
        if days is None:
            days = self.days(resolved)
            for fact in self.facts(diagnosis):
                ended = fact.body.resolved  # type: ignore[union-attr]
                if ended is not None:
                    days = list(days)
                    insort(days, ended)
            self._resolved[diagnosis, resolved] = days
        return days

    def readings(self, reading: int) -> list[tuple[Fact, Coded, float]]:
        """The facts that are such a reading, with the value as read; of all days, in no order."""
        found = self._readings.get(reading)
        if found is None:
            layout = self._layout
            found = []
            for fact in self.facts(layout.reading_selections[reading]):
                body = fact.body
                assert isinstance(body, Coded)  # noqa: S101
                value = layout.value(reading, layout.clusters_of(body.codes), body.value, body.unit)
                if value is not None:
                    found.append((fact, body, value))
            self._readings[reading] = found
        return found

    def pairs(self) -> tuple[list[int], dict[int, list[float | None]]]:
        """Blood pressure: the days with a complete setting, ascending, and for each day the lowest
        ``[clinic systolic, clinic diastolic, home systolic, home diastolic]``."""
        if self._pairs is not None:
            return self._pairs
        layout = self._layout
        lowest: dict[int, list[float | None]] = {}

        def pool(day: int, place: int, value: float) -> None:
            pools = lowest.setdefault(day, [None, None, None, None])
            least = pools[place]
            if least is None or value < least:
                pools[place] = value

        for place, reading in enumerate(layout.pairs):
            for _, body, value in self.readings(reading):
                pool(body.day, place, value)
        for fact in self.facts(layout.panels):
            panel = fact.body
            assert isinstance(panel, Coded)  # noqa: S101
            for component in panel.components:
                clusters = layout.clusters_of(component.codes)
                for place in layout.places_of(clusters):
                    read = layout.value(
                        layout.pairs[place], clusters, component.value, component.unit
                    )
                    if read is not None:
                        pool(panel.day, place, read)
        complete = sorted(
            day
            for day, (a, b, c, d) in lowest.items()
            if (a is not None and b is not None) or (c is not None and d is not None)
        )
        self._pairs = (complete, lowest)
        return self._pairs


_NONE: Final[list[Fact]] = []
_NO_DAYS: Final[list[int]] = []
_PATIENT: Final = int(ResourceType.PATIENT)


def _rank(fact: Fact) -> tuple[bool, int, int, str]:
    """Of several Patient resources (after a change of system) the current system's is the person,
    then the newest."""
    return (not fact.source, fact.stamp, fact.version, id_text(fact.id) + fact.source)
