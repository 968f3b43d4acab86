"""How fresh a figure is: from the 202 that ingest answered to the live figure that share shows.

Each sample toggles one patient's blood pressure between target and above it, by a new version of
one reading, so that every submission changes `bp-htn-u80`. The clock starts when the 202 has been
read, and stops when an answer of share's own-practice page has been read in which the figure's
source position has reached the one that the receipt named. Only one submission is open at a time.
"""

import json
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from peerview_tools.client import Answer, Client, refusal
from peerview_tools.simulator import codes, resources
from peerview_tools.simulator.people import new_id

INDICATOR: Final = "bp-htn-u80"
DEADLINE_S: Final = 15.0
POLL_GAP_S: Final = 0.001
"""Between two looks: enough to let the services have the processor on a machine of two cores."""


class NotSeenError(RuntimeError):
    """A submission that was accepted did not show in the live figure in time."""


@dataclass(frozen=True)
class Freshness:
    """Milliseconds, one a sample: from the 202 until visible, and from sending until the 202."""

    visible: list[float]
    accepted: list[float]

    def quantile(self, share: float) -> float:
        return quantile(self.visible, share)


def quantile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered) - 1e-9) - 1)]


def measure(
    ingest: Client,
    share: Client,
    *,
    practice: str,
    patients: list[str],
    samples: int = 200,
    progress: Callable[[int], None] = lambda done: None,
    seed: int = 1,
) -> Freshness:
    """Submit `samples` changes of `patients` (FHIR ids, with hypertension) and time each."""
    rng = random.Random(seed)  # noqa: S311
    readings = {patient: new_id(rng) for patient in patients}
    versions = dict.fromkeys(patients, 0)
    visible: list[float] = []
    accepted: list[float] = []
    for n in range(samples + len(patients)):
        patient = patients[n % len(patients)]
        versions[patient] += 1
        body = _reading(patient, readings[patient], versions[patient], rng)
        sent = time.perf_counter()
        answer = ingest.request("POST", "/fhir", body, {"Content-Type": "application/fhir+json"})
        taken = time.perf_counter()
        if answer.status != 202:
            raise refusal("POST", f"{ingest.url}/fhir", answer)
        position = _position(answer)
        seen = _await(share, practice, position, taken)
        # the first reading of each patient may leave the figure as it was; the others all move it
        if n >= len(patients):
            accepted.append((taken - sent) * 1000)
            visible.append((seen - taken) * 1000)
            progress(len(visible))
        # an uneven pause, so that samples do not fall into step with anybody's timer
        time.sleep(rng.uniform(0.0, 0.03))
    return Freshness(visible, accepted)


def _await(share: Client, practice: str, position: tuple[int, int], since: float) -> float:
    partition, offset = position
    while True:
        figure = _figure(share.get(f"/v1/practices/{practice}/indicators"))
        now = time.perf_counter()
        source = (figure or {}).get("source") or {}
        if source.get("partition") == partition and source.get("offset", -1) >= offset:
            return now
        if now - since > DEADLINE_S:
            raise NotSeenError(
                f"a change accepted at partition {partition}, offset {offset} was not in the live "
                f"figure after {DEADLINE_S:.0f} s; it shows {source or 'nothing'}"
            )
        time.sleep(POLL_GAP_S)


def _figure(live: Any) -> dict[str, Any] | None:
    found: dict[str, Any] | None = live.get("indicators", {}).get(INDICATOR)
    return found


def _position(answer: Answer) -> tuple[int, int]:
    """The last record that the receipt names: `Peerview-Positions: 3@17, 3@18`."""
    last = answer.headers["peerview-positions"].rpartition(",")[2]
    partition, _, offset = last.partition("@")
    return int(partition), int(offset)


def _reading(patient: str, identity: str, version: int, rng: random.Random) -> bytes:
    well = version % 2 == 0
    now = datetime.now(UTC)
    systolic = rng.randint(118, 138) if well else rng.randint(145, 170)
    panel = resources.pressure(
        identity,
        now,
        patient=patient,
        at=now,
        systolic=(codes.SYSTOLIC, systolic),
        diastolic=(codes.DIASTOLIC, 78),
        status="final" if version == 1 else "corrected",
        version=version,
    )
    entry = {"resource": panel, "request": {"method": "PUT", "url": f"Observation/{identity}"}}
    return json.dumps({"resourceType": "Bundle", "type": "batch", "entry": [entry]}).encode()
