"""A practice gets new pseudonyms, and its figures and its patients' origins stay what they were."""

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from peerview_common import changes
from peerview_common.changes import PatientRekeyed, PracticeRekeying
from peerview_ingest import key_versions, rekeying_operation
from peerview_ingest.fhir import HmacKeys
from peerview_ingest.keyring import Keyring
from peerview_ingest.main import DEMONSTRATION_KEY
from peerview_ingest.publisher import BrokerAwayError, Position
from peerview_ingest.store import Turn
from peerview_tools.simulator import PRACTICES, history
from tests.ingest.builders import (
    NHS,
    NOW,
    PRACTICE,
    bundle,
    condition,
    dissent,
    meta,
    patient,
    prescription,
)
from tests.ingest.computing import Computed, hashes
from tests.ingest.conftest import Service

Json = dict[str, Any]
SIMULATED = replace(PRACTICES[0], ods=PRACTICE, size=24, objections=0.15)
TODAY = datetime.fromtimestamp(NOW / 1000, UTC).date()
OLD = HmacKeys(DEMONSTRATION_KEY, PRACTICE)
NEW = HmacKeys(DEMONSTRATION_KEY, PRACTICE, 2)
HISTORY = list(history(SIMULATED, TODAY))


def renamed(resources: list[Json], rename: Callable[[str], str]) -> list[Json]:
    """The same records with other ids, as another system gives them."""
    ids = {each["id"]: rename(each["id"]) for each in resources}
    text = json.dumps(resources)
    for old, new in ids.items():
        text = text.replace(old, new)
    found: list[Json] = json.loads(text)
    return found


def elsewhere(identity: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, identity))


def named(identity: str) -> str:
    """An id that does not look made by a machine, and is kept as a keyed hash alone."""
    return f"record {identity}"


class Operator:
    def __init__(self, service: Service) -> None:
        self.service = service
        self.token = service.issuer.token(subject="operator", scope="ingest:operate")

    async def call(self, method: str, rest: str = "", **more: Any) -> httpx.Response:
        return await self.service.client.request(
            method,
            f"/v1/rekeyings/{PRACTICE}{rest}",
            headers={"Authorization": f"Bearer {self.token}"},
            **more,
        )

    async def begin(self) -> Json:
        answer = await self.call("POST")
        assert answer.status_code == 202, answer.text
        found: Json = answer.json()
        return found

    async def status(self) -> Json:
        found: Json = (await self.call("GET")).json()
        return found

    async def finish(self, unmatched: str = "refuse") -> Json:
        while True:
            answer = await self.call("POST", "/finish", json={"unmatched": unmatched})
            assert answer.status_code == 200, answer.text
            found: Json = answer.json()
            if found["phase"] == "done":
                return found


@pytest.fixture
def operator(service: Service) -> Operator:
    return Operator(service)


async def load(
    service: Service, resources: Sequence[Json], system: str = "demo", group: int = 10_000
) -> None:
    headers = {"Authorization": f"Bearer {service.token_for(PRACTICE, system=system)}"}
    for start in range(0, len(resources), group):
        lines = b"\n".join(json.dumps(each).encode() for each in resources[start : start + group])
        answer = await service.client.post("/v1/bulk", content=lines, headers=headers)
        assert answer.status_code == 202, answer.text
        assert answer.json()["rejected"] == 0


def computed(service: Service) -> Computed:
    return Computed(service.log.events())


def number(text: str) -> list[Json]:
    return [{"system": NHS, "value": text}]


@pytest.mark.parametrize("rename", [str, named], ids=["machine-made ids", "other ids"])
@pytest.mark.parametrize("group", [10_000, 97], ids=["at once", "in many parts"])
async def test_new_keys_after_a_compromise_change_no_figure(
    service: Service, operator: Operator, rename: Callable[[str], str], group: int
) -> None:
    sent = renamed(HISTORY, rename)
    await load(service, sent)
    before = computed(service)
    figures, snapshot = before.figures(PRACTICE), before.snapshot(PRACTICE)
    assert sum(counts[0] for counts in figures.values()) > 100
    assert figures["bp-htn-u80"][-1] > 0, "somebody objects"
    assert (await operator.begin())["phase"] == "open"
    assert computed(service).values(PRACTICE) == (figures, {"rekeying"}), "held from now on"
    await load(service, sent, group=group)
    under_way = computed(service)
    assert under_way.values(PRACTICE)[1] == {"rekeying"}
    assert set(under_way.snapshot(PRACTICE)[1].values()) == {"rekeying"}
    assert len(under_way.snapshot(PRACTICE)[1]) == 12, "no cell may be released"
    status = await operator.status()
    assert (status["matched"], status["unmatched"]) == (status["patients"], 0)
    assert (await operator.finish())["phase"] == "done"
    after = computed(service)
    assert after.values(PRACTICE) == (figures, {"current"})
    assert after.snapshot(PRACTICE) == snapshot, "patient by patient under the same origins"
    ids = [each["id"] for each in sent if each["resourceType"] == "Patient"]
    assert after.holders(PRACTICE) <= {NEW.patient("demo", one) for one in ids}


async def test_moving_to_another_system_changes_no_figure(
    service: Service, operator: Operator
) -> None:
    await load(service, HISTORY, "old system")
    before = computed(service)
    figures, snapshot = before.figures(PRACTICE), before.snapshot(PRACTICE)
    await operator.begin()
    await load(service, renamed(HISTORY, elsewhere), "new system", group=500)
    status = await operator.status()
    assert (status["unmatched"], status["matched"]) == (0, status["patients"])
    await operator.finish()
    after = computed(service)
    assert after.values(PRACTICE) == (figures, {"current"})
    assert after.snapshot(PRACTICE) == snapshot


async def test_nobody_counts_twice_at_any_moment_after_the_end(
    service: Service, operator: Operator
) -> None:
    """Every value that a worker could publish: held, or exactly the figure."""
    await load(service, HISTORY)
    begun = len(service.log.events())
    figures = computed(service).figures(PRACTICE)
    await operator.begin()
    await load(service, HISTORY, group=400)
    await operator.finish()
    events = service.log.events()
    worker = Computed(events[:begun])
    seen = 0
    for event in events[begun:]:
        worker.take(event)
        found, states = worker.values(PRACTICE)
        if states != {"rekeying"}:
            assert found == figures
            seen += 1
    assert seen == 1, "the last event alone lets go"


async def test_whatever_is_sent_twice_or_lost_in_between_the_end_is_the_same(
    service: Service, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is away, or the service dies between the log and its database, at every step."""
    monkeypatch.setattr(rekeying_operation, "BATCH", 2)
    monkeypatch.setattr(key_versions, "RANGES", 2)
    await load(service, HISTORY)
    before = computed(service)
    figures, snapshot = before.figures(PRACTICE), before.snapshot(PRACTICE)
    failing = Failing(service, monkeypatch)
    faults = 0
    steps: list[Callable[[], Any]] = [
        lambda: operator.call("POST"),
        lambda: operator.call("POST", "/finish", json={"unmatched": "empty"}),
    ]
    for step in steps:
        for turn in range(1, 400):
            # at the first thing to be done, or the second ...: from where the last attempt came to
            failing.at(1 + turn % 11)
            answer = await step()
            struck = failing.struck
            failing.stop()
            faults += struck
            if answer.status_code < 300 and not struck:
                break
            assert answer.status_code in (202, 200, 409, 500, 503), answer.text
        assert answer.status_code < 300
        if step is steps[0]:
            await load(service, HISTORY)
    assert (await operator.status())["phase"] == "done"
    after = computed(service)
    assert after.values(PRACTICE) == (figures, {"current"})
    assert after.snapshot(PRACTICE) == snapshot
    assert faults > 15, "it was struck again and again"


class Failing:
    """Strikes at the n-th step, a write or a publication: before it, or behind it."""

    def __init__(self, service: Service, patch: pytest.MonkeyPatch) -> None:
        self.left: float = float("inf")
        self.struck = False
        log = service.log
        publish, writing = log.publish, Turn.writing

        async def publishing(*args: Any) -> list[Position]:
            if self._now():
                raise BrokerAwayError("before", 0, sent=False)
            found: list[Position] = await publish(*args)
            if self._now():
                raise BrokerAwayError("behind", len(found), sent=True)
            return found

        def write(turn: Turn) -> Any:
            if self._now():
                raise RuntimeError("the process ends here")
            return writing(turn)

        patch.setattr(log, "publish", publishing)
        patch.setattr(Turn, "writing", write)

    def at(self, point: int) -> None:
        self.left, self.struck = point, False

    def stop(self) -> None:
        self.left = float("inf")

    def _now(self) -> bool:
        self.left -= 1
        if self.left == 0:
            self.struck = True
        return self.left == 0


# -- who is whom


async def test_the_same_id_comes_before_the_same_number(
    service: Service, operator: Operator
) -> None:
    shared = "9990000018"
    await load(service, [patient("p1", identifier=number(shared)), condition(), patient("p2")])
    await operator.begin()
    await load(service, [patient("copy", identifier=number(shared))])
    await load(service, [patient("p1", identifier=number(shared)), patient("p2"), condition()])
    assert (await operator.status())["unmatched"] == 0
    await operator.finish()
    pairs = {
        (event.old, event.new)
        for event in service.log.events()
        if isinstance(event, PatientRekeyed)
    }
    assert pairs == {
        (OLD.patient("demo", name), NEW.patient("demo", name)) for name in ("p1", "p2")
    }


async def test_two_who_were_merged_are_one_with_both_origins(
    service: Service, operator: Operator
) -> None:
    shared = number("9990000018")
    for name in ("p1", "p2"):
        await load(service, [patient(name, identifier=shared)], "old")
    await operator.begin()
    await load(service, [patient("one", identifier=shared), condition(patient="one")], "new")
    await operator.finish()
    after = computed(service)
    new = NEW.patient("new", "one")
    assert after.holders(PRACTICE) == {new}
    assert set(after.partition.core.origins(after.stored(PRACTICE)[new])) == {
        OLD.patient("old", name) for name in ("p1", "p2")
    }


async def test_who_is_not_matched_is_asked_for_and_then_emptied(
    service: Service, operator: Operator
) -> None:
    await load(
        service, [patient("p1"), condition(), patient("gone"), condition("c2", patient="gone")]
    )
    await operator.begin()
    await load(service, [patient("p1"), condition(), patient("fresh")])
    answer = await operator.call("POST", "/finish", json={})
    assert answer.status_code == 409
    assert (answer.json()["unmatched"], answer.json()["patients"]) == (1, 2)
    assert (await operator.status())["phase"] == "open"
    done = await operator.finish("empty")
    assert (done["joined"], done["emptied"]) == (1, 1)
    assert computed(service).holders(PRACTICE) == {
        NEW.patient("demo", name) for name in ("p1", "fresh")
    }


async def test_a_second_re_keying_keeps_the_first_origin(
    service: Service, operator: Operator
) -> None:
    await load(service, HISTORY)
    before = computed(service)
    for version in (2, 3):
        assert (await operator.begin())["version"] == version
        await load(service, HISTORY)
        await operator.finish()
    after = computed(service)
    assert after.figures(PRACTICE) == before.figures(PRACTICE)
    assert after.snapshot(PRACTICE) == before.snapshot(PRACTICE)


async def test_after_the_end_nothing_is_left_of_the_former_keys(
    service: Service, operator: Operator
) -> None:
    await load(service, HISTORY)
    await operator.begin()
    await load(service, HISTORY)
    await operator.finish()
    with service.ingest.store.turn(PRACTICE, "demo") as turn:
        key_versions.keys_of(turn, service.ingest.keyring.fingerprint, 1)
        assert turn.keys.former is None
        assert not key_versions.anything_under(turn, 1)
        assert key_versions.counts(turn, 1) == (0, 0)
    records = len(service.log.records)
    await load(service, HISTORY)
    assert len(service.log.records) == records, "and what is sent again is known"


# -- objections and generations go over


async def test_an_objection_goes_over_before_its_code_has_come_again(
    service: Service, operator: Operator
) -> None:
    await load(service, [patient("p1"), condition(), dissent()])
    await operator.begin()
    begun = len(service.log.events())
    await load(service, [condition("c9")])
    new = NEW.patient("demo", "p1")
    sent = [change for each in service.log.sets()[begun - 1 :] for change in each.patients]
    assert [(each.patient, each.objected, each.facts) for each in sent] == [(new, True, [])]
    await operator.finish()
    assert computed(service).holders(PRACTICE) == set()
    await load(service, [condition("c10")])
    assert computed(service).holders(PRACTICE) == set()
    await load(service, [dissent("w", "2025-01-01", "TYPE1WITHDRAWN_COD"), condition("c11")])
    assert computed(service).holders(PRACTICE) == {new}


async def test_an_objection_goes_over_by_the_number_too(
    service: Service, operator: Operator
) -> None:
    who = number("9990000018")
    await load(service, [patient("p1", identifier=who), dissent(day=None)], "old")
    await operator.begin()
    await load(service, [patient("x", identifier=who), condition(patient="x")], "new")
    await operator.finish()
    after = computed(service)
    assert after.holders(PRACTICE) == set()
    assert after.figures(PRACTICE)["bp-htn-u80"][-1] == 1, "and counts once among those who object"


async def test_what_the_new_system_says_of_an_objection_counts(
    service: Service, operator: Operator
) -> None:
    await load(service, [patient("p1"), condition(), dissent(day="2024-01-01")])
    await operator.begin()
    withdrawn = dissent("w", "2025-01-01", "TYPE1WITHDRAWN_COD")
    await load(service, [patient("p1"), dissent(day="2024-01-01"), withdrawn, condition()])
    await operator.finish()
    assert computed(service).holders(PRACTICE) == {NEW.patient("demo", "p1")}


async def test_an_objection_in_between_empties_the_former_set_at_once(
    service: Service, operator: Operator
) -> None:
    await load(service, [patient("p1"), condition()])
    await operator.begin()
    await load(service, [dissent()])
    assert computed(service).holders(PRACTICE) == set()
    await operator.finish()
    assert computed(service).holders(PRACTICE) == set()


async def test_generations_begin_above_all_former_ones(
    service: Service, operator: Operator
) -> None:
    withdrawn = dissent("w", "2025-01-01", "TYPE1WITHDRAWN_COD")
    await load(service, [dissent()])
    await load(service, [withdrawn])
    await load(service, [patient("p1"), condition()])
    await operator.begin()
    await load(service, [dissent(), withdrawn, patient("p1"), condition("c9")])
    await operator.finish()
    found = computed(service)
    stored = found.stored(PRACTICE)[NEW.patient("demo", "p1")]
    assert {fact.id for fact in found.partition.core.facts(stored)} == {b"p1", b"c9"}


# -- what may be done when


async def test_begin_and_finish_may_be_called_again(service: Service, operator: Operator) -> None:
    await load(service, [patient("p1")])
    assert (await operator.call("POST", "/finish", json={})).status_code == 409
    await operator.begin()
    assert (await operator.call("POST")).status_code == 409
    await load(service, [patient("p1")])
    await operator.finish()
    records = len(service.log.records)
    assert (await operator.finish())["phase"] == "done"
    assert len(service.log.records) == records
    assert (await operator.begin())["version"] == 3


async def test_it_can_be_left_as_long_as_nothing_has_come(
    service: Service, operator: Operator
) -> None:
    await load(service, [patient("p1"), condition()])
    figures = computed(service).figures(PRACTICE)
    assert (await operator.call("DELETE")).status_code == 409
    await operator.begin()
    left = await operator.call("DELETE")
    assert (left.status_code, left.json()["phase"]) == (200, "cancelled")
    records = len(service.log.records)
    await load(service, [patient("p1"), condition()])
    assert len(service.log.records) == records, "under the keys of before"
    assert computed(service).values(PRACTICE) == (figures, {"current"})
    assert (await operator.begin())["version"] == 3
    assert computed(service).values(PRACTICE)[1] == {"rekeying"}
    await load(service, [patient("p1"), condition()])
    assert (await operator.call("DELETE")).status_code == 409
    await operator.finish()
    assert computed(service).values(PRACTICE) == (figures, {"current"})


async def test_it_is_for_the_operator_alone(service: Service, operator: Operator) -> None:
    operator.token = service.token_for(
        PRACTICE, scope="ingest:write patients:write pseudonyms:read release:operate"
    )
    for method, rest in (("POST", ""), ("GET", ""), ("DELETE", ""), ("POST", "/finish")):
        assert (await operator.call(method, rest)).status_code == 403
    operator.token = "none"
    assert (await operator.call("POST")).status_code == 401


async def test_a_practice_that_is_not_known_is_not_found(
    service: Service, operator: Operator
) -> None:
    for method, rest in (("GET", ""), ("POST", ""), ("DELETE", ""), ("POST", "/finish")):
        assert (await operator.call(method, rest)).status_code == 404
    assert service.log.records == []


async def test_the_events_say_what_is_done(service: Service, operator: Operator) -> None:
    await load(service, [patient("p1")])
    await operator.begin()
    await load(service, [patient("p1")])
    await operator.finish()
    found = [
        event
        for event in service.log.events()
        if isinstance(event, PracticeRekeying | PatientRekeyed)
    ]
    begun, moved, ended = found
    assert isinstance(begun, PracticeRekeying)
    assert isinstance(moved, PatientRekeyed)
    assert isinstance(ended, PracticeRekeying)
    assert (begun.version, begun.ended, ended.version, ended.ended) == (2, False, 2, True)
    assert (moved.practice, moved.old_source) == (PRACTICE, "")
    assert service.log.kinds[-1] == changes.event_type(ended)


# -- the operator's master keys


async def test_with_another_master_key_nothing_is_taken(service: Service) -> None:
    await load(service, [patient("p1")])
    records = len(service.log.records)
    service.ingest.keyring = Keyring(b"x" * 32)
    for answer in (
        await service.bundle(bundle(patient("p2"))),
        await service.send("POST", "/v1/bulk", content=json.dumps(patient("p2")).encode()),
    ):
        assert answer.status_code == 503
        assert "master key" in answer.text
    assert len(service.log.records) == records


async def test_a_practice_goes_over_to_a_new_master_key(
    service: Service, operator: Operator
) -> None:
    await load(service, HISTORY)
    figures = computed(service).figures(PRACTICE)
    service.ingest.keyring = Keyring(b"x" * 32, DEMONSTRATION_KEY)
    records = len(service.log.records)
    await load(service, HISTORY)
    assert len(service.log.records) == records, "until it is re-keyed nothing changes"
    await operator.begin()
    await load(service, HISTORY)
    await operator.finish()
    assert computed(service).values(PRACTICE) == (figures, {"current"})
    service.ingest.keyring = Keyring(b"x" * 32)
    await load(service, HISTORY)
    holders = computed(service).holders(PRACTICE)
    under = HmacKeys(b"x" * 32, PRACTICE, 2)
    ids = [each["id"] for each in HISTORY if each["resourceType"] == "Patient"]
    assert holders <= {under.patient("demo", one) for one in ids}


async def test_other_practices_are_not_concerned(service: Service, operator: Operator) -> None:
    other = "A99002"
    token = service.token_for(other)
    headers = {"Authorization": f"Bearer {token}"}
    document = bundle(patient("p1"), condition(meta=meta("2026-01-01T00:00:00Z")))
    await service.client.post("/fhir", json=document, headers=headers)
    await load(service, [patient("p1"), prescription()])
    await operator.begin()
    await load(service, [patient("p1"), prescription()])
    await operator.finish()
    records = len(service.log.records)
    await service.client.post("/fhir", json=document, headers=headers)
    assert len(service.log.records) == records
    assert hashes(computed(service).holders(other)) == hashes(
        {HmacKeys(DEMONSTRATION_KEY, other).patient("demo", "p1")}
    )
