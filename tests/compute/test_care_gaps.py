"""Care gaps over HTTP: who may look, what they see, page by page, and that it is logged."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from structlog.testing import capture_logs

from peerview_common import problem, topics
from peerview_common.settings import ComputeSettings
from peerview_compute import care_gaps
from peerview_compute.engine.records import Notes
from peerview_compute.model.gaps import Gaps
from peerview_tools.issuer import DevelopmentIssuer
from tests.compute.engine.feed import DAY, patient_key
from tests.compute.engine.test_partition import CORE, filled

PRACTICE = "A99090"
URL = f"/v1/practices/{PRACTICE}/care-gaps/bp-htn-u80"


class World:
    def __init__(self, folder: Path, **over: Any) -> None:
        self.issuer = DevelopmentIssuer(folder)
        settings = ComputeSettings(jwks=self.issuer.jwks, partitions=4, tick_slice_ms=1, **over)
        number = topics.practice_partition(PRACTICE, 4)
        self.partition = filled(120)
        self.worker: Any = SimpleNamespace(
            processors={number: SimpleNamespace(partition=self.partition)}
        )
        self.number = number
        app = FastAPI()
        problem.install(app)
        app.include_router(care_gaps.router(settings, self.worker, CORE))
        self.client = TestClient(app)

    def get(self, url: str = URL, **claims: Any) -> Any:
        given = {
            "subject": "dr-jones",
            "practices": [PRACTICE],
            "scope": "share:read",
            "roles": ["clinical"],
        } | claims
        token = self.issuer.token(**given)
        return self.client.get(url, headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_the_list_is_everybody_who_misses(world: World) -> None:
    answer = world.get()
    assert answer.status_code == 200, answer.text
    found = answer.json()
    place = CORE.definitions.indicators.index(CORE.definitions["bp-htn-u80"].id)
    practice = world.partition.practice(PRACTICE)
    assert 5 < len(found["patients"]) == practice.tally[place].miss
    assert (found["as_of"], found["state"], found["next"]) == ("2026-03-01", "current", None)
    keys = [one["patient"] for one in found["patients"]]
    assert keys == sorted(keys)
    explained = Gaps(CORE.definitions).explain(
        CORE.facts(practice.states.patients[bytes.fromhex(keys[0])]), DAY, "bp-htn-u80"
    )
    assert found["patients"][0] == {
        "patient": keys[0], "status": "miss", "rule": explained.change
    }  # fmt: skip


def test_pages_add_up(world: World) -> None:
    whole = world.get().json()["patients"]
    found, after = [], ""
    while True:
        page = world.get(f"{URL}?limit=3{after}").json()
        assert len(page["patients"]) <= 3
        found += page["patients"]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert found == whole


def test_patients_are_seen_as_of_the_day_even_while_a_tick_is_under_way(world: World) -> None:
    world.partition.tick(DAY + 400, 9)
    found = world.get().json()
    assert found["as_of"] == "2027-04-05"
    keys = {one["patient"] for one in found["patients"]}
    place = CORE.definitions.indicators.index(CORE.definitions["bp-htn-u80"].id)
    for n in range(120):
        stored = world.partition.practice(PRACTICE).states.patients[patient_key(n)]
        missed = CORE.refresh(stored, DAY + 400).after[place][0] == 3
        assert (patient_key(n).hex() in keys) == missed


def test_only_the_practices_own_clinical_staff_may_look(world: World) -> None:
    assert world.client.get(URL).status_code == 401
    assert world.get(roles=["signatory"]).status_code == 403
    assert world.get(practices=["A99091"]).status_code == 403
    assert world.get(scope="ingest:write").status_code == 403


def test_what_cannot_be_answered_is_a_problem(world: World) -> None:
    base = f"/v1/practices/{PRACTICE}/care-gaps"
    assert world.get(f"{base}/nothing").status_code == 404
    assert world.get(f"{base}/dna").json()["type"] == "urn:peerview:problem:no-care-gaps"
    assert world.get(f"{URL}?limit=1001").status_code == 422
    assert world.get(f"{URL}?after=xyz").status_code == 422
    del world.partition.practices[PRACTICE]
    assert world.get().status_code == 404
    world.worker.processors.clear()
    answer = world.get()
    assert answer.status_code == 421
    assert answer.json()["partition"] == world.number


def test_figures_that_wait_for_a_back_fill_say_so(world: World) -> None:
    world.partition.note(world.partition.practice(PRACTICE), Notes(first={"older": 1}))
    assert world.get().json()["state"] == "awaiting-backfill"


def test_every_look_is_logged(world: World) -> None:
    with capture_logs() as lines:
        count = len(world.get().json()["patients"])
        world.get(roles=[])
    (line,) = [line for line in lines if line["event"] == "audit"]
    assert (line["subject"], line["practice"], line["indicator"], line["patients"]) == (
        "dr-jones", PRACTICE, "bp-htn-u80", count
    )  # fmt: skip


def test_what_would_not_be_logged_is_not_shown(tmp_path: Path) -> None:
    answer = World(tmp_path, log_level="error").get()
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:peerview:problem:not-audited"
