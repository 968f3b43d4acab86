"""What happens at a practice after its first load: readings, prescriptions, corrections, mistakes
taken back. Each change is a small Bundle, as a clinical system would send it at once."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from peerview_common.days import LONDON
from peerview_tools.simulator import codes, resources
from peerview_tools.simulator.people import new_id, people
from peerview_tools.simulator.practices import Practice
from peerview_tools.simulator.records import gp_ids, hba1c, pressures
from peerview_tools.simulator.resources import Resource

PRESCRIBED = (codes.CO_AMOXICLAV, codes.OMEPRAZOLE, *codes.NOISE_MEDICINES * 10)
"""Mostly what no indicator needs, as in life; else an hour would hold a year's antibiotics."""


@dataclass(frozen=True)
class Change:
    kind: str
    """reading, prescription, contact, correction or deletion."""
    patient: str
    """The FHIR id."""
    bundle: Resource


@dataclass
class _Sent:
    identity: str
    patient: str
    at: datetime
    home: bool
    version: int


def stream(
    practice: Practice, clock: Callable[[], datetime], *, salt: str = ""
) -> Iterator[Change]:
    """Endless changes to the patients of `history(practice, clock().date())`.

    `clock` gives the present (with a zone) each time it is asked; every stamp comes from it.
    Streams with different `salt` are different. A patient has at most one blood pressure of the
    stream at a time: it is read, corrected, perhaps deleted and read again. More on one day would
    bring everybody to target, for a day's lowest reading counts.
    """
    rng = random.Random(f"{practice.seed}/stream/{salt}")  # noqa: S311
    day = clock().astimezone(LONDON).date()
    here = [p for p in people(practice, day) if not (p.left or p.died or p.objects)]
    raised = [p for p in here if p.hypertension]
    diabetic = [p for p in here if p.diabetes]
    gps = gp_ids(practice)
    sent: dict[str, _Sent] = {}
    while True:
        fate = rng.random()
        now = clock()
        if fate < 0.40 and raised:
            person = rng.choice(raised)
            one = sent.get(person.identity)
            kind = "correction" if one else "reading"
            if one is None:
                one = _Sent(new_id(rng), person.identity, now, rng.random() < 0.2, 0)
                sent[person.identity] = one
            one.version += 1
            well = rng.random() < practice.quality.pressure
            status = "corrected" if one.version > 1 else "final"
            yield _change(kind, one.patient, _panel(one, rng, well, now, status))
        elif fate < 0.55 and diabetic:
            person = rng.choice(diabetic)
            value = hba1c(rng, rng.random() < practice.quality.hba1c)
            reading = resources.observation(
                new_id(rng),
                now,
                patient=person.identity,
                code=codes.HBA1C,
                at=now,
                value=value,
                unit="mmol/mol",
            )
            yield _change("reading", person.identity, reading)
        elif fate < 0.75:
            person = rng.choice(here)
            code = rng.choice(PRESCRIBED)
            today = now.astimezone(LONDON).date()
            found = resources.prescription(
                new_id(rng), now, patient=person.identity, code=code, authored=today
            )
            yield _change("prescription", person.identity, found)
        elif fate < 0.88:
            person = rng.choice(here)
            gp = (
                gps[person.usual_gp]
                if rng.random() < practice.quality.usual_gp
                else rng.choice(gps)
            )
            seen = resources.encounter(new_id(rng), now, patient=person.identity, gp=gp, at=now)
            yield _change("contact", person.identity, seen)
        elif fate < 0.92 and sent:
            one = sent.pop(rng.choice(sorted(sent)))
            yield Change("deletion", one.patient, _deletion(one, now))


def _panel(
    one: _Sent, rng: random.Random, well: bool, now: datetime, status: str = "final"
) -> Resource:
    systolic, diastolic = pressures(rng, well, one.home)
    return resources.pressure(
        one.identity,
        now,
        patient=one.patient,
        at=one.at,
        systolic=systolic,
        diastolic=diastolic,
        status=status,
        version=one.version,
    )


def _change(kind: str, patient: str, resource: Resource) -> Change:
    entry = {
        "resource": resource,
        "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"},
    }
    return Change(kind, patient, {"resourceType": "Bundle", "type": "batch", "entry": [entry]})


def _deletion(one: _Sent, now: datetime) -> Resource:
    # a millisecond later, so that a deletion in the same breath as a correction still wins
    moment = resources.instant(now + timedelta(milliseconds=1))
    entry = {
        "request": {"method": "DELETE", "url": f"Observation/{one.identity}"},
        "response": {"status": "204", "lastModified": moment},
    }
    return {"resourceType": "Bundle", "type": "batch", "timestamp": moment, "entry": [entry]}
