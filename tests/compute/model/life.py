"""Patients lived through day by day, as the engine does it: a tick first, then what arrives."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time

from peerview_common.changes import PatientChange
from peerview_common.codes import shipped
from peerview_common.days import LONDON, date_of, day_of
from peerview_common.facts import Fact
from peerview_compute.model.core import Core
from peerview_compute.model.state import unite
from peerview_ingest.fhir import Feed, Reader, Receipt
from peerview_ingest.fhir.collect import collect
from peerview_ingest.fhir.keys import ClearKeys
from peerview_ingest.fhir.resolver import Resolver
from peerview_tools.simulator import Practice, history, stream

Arrivals = Mapping[str, list[Fact]]
"""New versions by patient."""


@dataclass
class Ticks:
    """What ticks cost, and what came of it. A patient whom data reaches on a day was ticked before
    it came, so nothing in here is caused by data of the day."""

    patient_days: int = 0
    evaluations: Counter[str] = field(default_factory=Counter)
    """By indicator: once for each patient for whom ``Core.refresh`` evaluated it."""
    changes: Counter[str] = field(default_factory=Counter)
    """By indicator: those of which status, denominator or numerator came to be another."""
    written: int = 0
    """Patients refreshed, on all days together: each is a state written anew."""
    moved: int = 0
    """Those of them of whom a contribution changed."""
    pruned: int = 0
    """Those of them of whom nothing was evaluated: old facts went."""

    @property
    def per_change(self) -> float:
        return self.evaluations.total() / self.changes.total()

    def a_day(self, count: int) -> float:
        """Of 1,000 patients, on a day."""
        return 1000 * count / self.patient_days

    def __str__(self) -> str:
        return (
            f"{self.evaluations.total():,} evaluations by ticks for {self.changes.total():,} "
            f"changes ({self.per_change:.3f} each); of 1,000 patients a tick wrote "
            f"{self.a_day(self.written):.1f}, {self.a_day(self.pruned):.1f} of them to prune alone"
        )


class Life:
    """Patients' stored states, and how much ticks cost for them."""

    def __init__(self, core: Core, patients: Arrivals, day: int) -> None:
        self.ticks = Ticks()
        self._core = core
        self._stored: dict[str, bytes] = {}
        self._due: dict[str, int] = {}
        self._arrived: dict[str, list[Fact]] = {}
        self._take(patients, day)

    def through(self, days: Iterable[int], arrivals: Callable[[int], Arrivals]) -> None:
        for day in days:
            self._tick(day)
            self._take(arrivals(day), day)

    def check(self, day: int) -> None:
        """Whoever was not refreshed in time counts otherwise than all that arrived."""
        core = self._core
        for patient, facts in self._arrived.items():
            found = tuple(one.contribution for one in core.evaluator.evaluate_all(facts, day))
            assert core.peek(self._stored[patient]).contributions == found, (patient, day)

    def _tick(self, day: int) -> None:
        core, ticks = self._core, self.ticks
        names = core.definitions.indicators
        ticks.patient_days += len(self._stored)
        for patient in [patient for patient, due in self._due.items() if due <= day]:
            stored = self._stored[patient]
            cache = core.peek(stored).cache
            assert cache is not None
            evaluated = [cell.indicator for cell in cache.cells if cell.next_change <= day]
            applied = core.refresh(stored, day)
            assert applied.evaluations in (len(evaluated), 0), (patient, day)
            ticks.written += applied.changed
            ticks.moved += applied.before != applied.after
            ticks.pruned += not applied.evaluations
            if applied.evaluations:
                ticks.evaluations.update(names[n] for n in evaluated)
            ticks.changes.update(
                name
                for name, before, after in zip(names, applied.before, applied.after, strict=True)
                if before != after
            )
            self._stored[patient], self._due[patient] = applied.stored, applied.next_change

    def _take(self, arrivals: Arrivals, day: int) -> None:
        for patient, facts in arrivals.items():
            change = PatientChange(patient.encode(), 1, False, facts)
            applied = self._core.apply(self._stored.get(patient), change, day)
            self._stored[patient], self._due[patient] = applied.stored, applied.next_change
            self._arrived[patient] = unite(self._arrived.get(patient, []), facts)[0]


def live(
    core: Core, practice: Practice, start: date, days: int, *, daily: float, check_every: int
) -> Ticks:
    """A simulated practice: its whole history arrives on ``start``, then the stream of its changes,
    ``daily`` a patient and day (the demonstration's kinds, in its proportions)."""
    codes = shipped()
    loaded = collect(list(history(practice, start)), practice=practice.ods, codes=codes)
    first = day_of(start)
    life = Life(core, loaded.patients, first)
    reader = Reader(codes, Feed(practice.ods, "", False), ClearKeys(), Receipt(None))
    now = datetime.combine(start, time(12), LONDON)
    changes = stream(practice, lambda: now)
    owed = 0.0

    def arrivals(day: int) -> Arrivals:
        nonlocal now, owed
        now = datetime.combine(date_of(day), time(12), LONDON)
        found: defaultdict[str, list[Fact]] = defaultdict(list)
        owed += daily * len(loaded.patients)
        while owed >= 1:
            owed -= 1
            change = next(changes)
            for read in reader.read(change.bundle, Resolver()):
                if read.fact is not None:
                    found[change.patient].append(read.fact)
        return found

    for begin in range(first + 1, first + days + 1, check_every):
        end = min(begin + check_every, first + days + 1)
        life.through(range(begin, end), arrivals)
        life.check(end - 1)
    return life.ticks


def together(several: Iterable[Ticks]) -> Ticks:
    """The sum of several practices' ticks."""
    found = Ticks()
    for one in several:
        found.patient_days += one.patient_days
        found.evaluations += one.evaluations
        found.changes += one.changes
        found.written += one.written
        found.moved += one.moved
        found.pruned += one.pruned
    return found
