"""Events sent now and then, and how long after its append each is in the values."""

import random
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from peerview_common import topics
from peerview_compute.engine.records import MARKER_SIGN, decode_notes
from peerview_tools.bench import load
from peerview_tools.bench.surroundings import Feed, Topics


class Wait(NamedTuple):
    """One event's way: appended to ``practice.changes``, then counted in ``indicator.values``."""

    appended: float
    seconds: float


def send(
    place: Topics,
    feed: Feed,
    patients: int,
    rate: float,
    go_on: Callable[[], bool],
    practices: list[str] | None = None,
) -> int:
    """Changes of one patient each, ``rate`` a second, while asked to; returns how many."""
    rng = random.Random(7)  # noqa: S311
    begun = time.perf_counter()
    sent = 0
    known = load.templates(min(500, patients))
    while go_on():
        practice = rng.choice(practices or place.practices)
        number = rng.choice(place.patients_of(practice, patients))
        facts = known[number % len(known)].change(sent)
        feed.change(practice, [(load.patient_key(number), facts)])
        sent += 1
        time.sleep(max(0.0, begun + sent / rate - time.perf_counter()))
    feed.flush()
    return sent


def waits(place: Topics, since: float = 0.0) -> list[Wait]:
    """Of the change sets appended after a moment, by the broker's stamps. An event that no value
    counts yet has waited for ever."""
    return _waits(place, since, ((s.practice, s.offset, s.at) for s in place.values("upc")))


def written(place: Topics, since: float) -> list[Wait]:
    """The same until the patient's new state is in the log, with the practice's notes, which say
    how far they are."""
    return _waits(
        place,
        since,
        (
            (record.key[:-1].decode(), decode_notes(record.value).position, record.timestamp / 1000)
            for record in place.records(place.name(topics.STATE), since)
            if record.key.endswith(MARKER_SIGN)
        ),
    )


def _waits(place: Topics, since: float, seen: Iterable[tuple[str, int, float]]) -> list[Wait]:
    reached: dict[str, list[tuple[int, float]]] = {}
    for practice, offset, at in seen:
        reached.setdefault(practice, []).append((offset, at))
    found = []
    for _, offset, appended, practice in place.changes():
        if appended >= since:
            there = [at for upto, at in reached.get(practice, []) if upto >= offset]
            found.append(Wait(appended, min(there, default=float("inf")) - appended))
    return found
