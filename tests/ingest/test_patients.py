"""What a practice may ask of single patients: pseudonyms, erasure, objection."""

import json
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from peerview_ingest.fhir import HmacKeys
from peerview_ingest.main import DEMONSTRATION_KEY
from peerview_ingest.patients import MOST
from peerview_ingest.plan import Plan
from peerview_ingest.store import Turn
from peerview_ingest.tables import audit, facts, objection_words, patients
from tests.ingest.builders import (
    NHS,
    PRACTICE,
    appointment,
    bundle,
    condition,
    dissent,
    patient,
)
from tests.ingest.computing import Computed
from tests.ingest.conftest import Service
from tests.ingest.test_rekeying import NEW, Operator

KEYS = HmacKeys(DEMONSTRATION_KEY, PRACTICE)
P1, P2 = KEYS.patient("demo", "p1"), KEYS.patient("demo", "p2")
STAFF = {"scope": "pseudonyms:read", "roles": ["clinical"], "subject": "dr-a"}
KEEPER = {"scope": "patients:write", "subject": "manager"}


async def ask(
    service: Service, path: str, body: Any, claims: dict[str, Any], *practices: str, **rest: Any
) -> httpx.Response:
    token = service.token_for(*(practices or (PRACTICE,)), **{"system": "demo", **claims})
    method = "PUT" if path.endswith("objections") else "POST"
    return await service.client.request(
        method, path, json=body, headers={"Authorization": f"Bearer {token}", **rest}
    )


async def pseudonyms(service: Service, *ids: str, **rest: Any) -> httpx.Response:
    return await ask(service, "/v1/pseudonyms", {"patients": list(ids)}, STAFF, **rest)


async def erase(service: Service, *ids: str) -> httpx.Response:
    return await ask(service, "/v1/erasures", {"patients": list(ids)}, KEEPER)


async def objection(service: Service, *ids: str, objects: bool) -> httpx.Response:
    body = {"patients": list(ids), "objects": objects}
    return await ask(service, "/v1/objections", body, KEEPER)


def holders(service: Service) -> set[bytes]:
    return Computed(service.log.events()).holders(PRACTICE)


def rows(service: Service, table: Any) -> list[Any]:
    with service.ingest.store.engine.connect() as connection:
        return list(connection.execute(select(table)).all())


# -- pseudonyms


async def test_ids_become_the_pseudonyms_that_the_log_has(service: Service) -> None:
    await service.bundle(bundle(patient("p1"), condition()))
    answer = await pseudonyms(service, "p2", "p1", "p2")
    assert answer.status_code == 200
    assert answer.json() == {
        "practice": PRACTICE,
        "pseudonyms": [[P2.hex()], [P1.hex()], [P2.hex()]],
    }
    assert P1 in holders(service)


async def test_the_source_system_can_be_named(service: Service) -> None:
    body = {"patients": ["p1"], "system": "other"}
    answer = await ask(service, "/v1/pseudonyms", body, STAFF)
    assert answer.json()["pseudonyms"] == [[KEYS.patient("other", "p1").hex()]]


async def test_during_a_re_keying_both_pseudonyms_are_told(service: Service) -> None:
    operator = Operator(service)
    await service.bundle(bundle(patient("p1")))
    await operator.begin()
    both = [NEW.patient("demo", "p1").hex(), P1.hex()]
    assert (await pseudonyms(service, "p1")).json()["pseudonyms"] == [both]
    await service.bundle(bundle(patient("p1")))
    await operator.finish()
    assert (await pseudonyms(service, "p1")).json()["pseudonyms"] == [both[:1]]


@pytest.mark.parametrize(
    ("claims", "covered"),
    [
        ({"scope": "ingest:write"}, [PRACTICE]),
        ({"roles": []}, [PRACTICE]),
        ({"roles": ["operator", "signatory"]}, [PRACTICE]),
        ({"scope": "pseudonyms:read ingest:write"}, [PRACTICE]),
        ({}, [PRACTICE, "A99002"]),
        ({}, []),
        ({"scope": "patients:write ingest:operate share:read"}, [PRACTICE]),
    ],
    ids=["a feed", "no role", "other roles", "staff who send", "several", "none", "other scopes"],
)
async def test_nobody_but_a_practices_own_clinical_staff_gets_any(
    service: Service, claims: dict[str, Any], covered: list[str]
) -> None:
    token = service.token_for(*covered, **{**STAFF, **claims})
    answer = await service.client.post(
        "/v1/pseudonyms",
        json={"patients": ["p1"]},
        headers={"Authorization": f"Bearer {token}", "ODS-Code": PRACTICE},
    )
    assert answer.status_code == 403
    assert rows(service, audit) == []


async def test_of_no_other_practice(service: Service) -> None:
    assert (await pseudonyms(service, "p1", **{"ODS-Code": "A99002"})).status_code == 403


async def test_every_look_is_noted_and_never_for_whom(service: Service) -> None:
    with capture_logs() as lines:
        await pseudonyms(service, "p1", "p2", "p3")
    (line,) = (each for each in lines if each["event"] != "request")
    assert line == {
        "event": "audit",
        "log_level": "info",
        "action": "pseudonyms",
        "subject": "dr-a",
        "practice": PRACTICE,
        "patients": 3,
    }
    (kept,) = rows(service, audit)
    assert (kept.practice, kept.subject, kept.action, kept.patients) == (
        PRACTICE,
        "dr-a",
        "pseudonyms",
        3,
    )
    assert kept.at > 0
    assert service.log.records == []


async def test_a_look_that_cannot_be_noted_is_not_answered(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise OperationalError("INSERT", {}, Exception("disk"))

    monkeypatch.setattr(Turn, "note", away)
    answer = await pseudonyms(service, "p1")
    assert answer.status_code == 503
    assert P1.hex() not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"patients": []},
        {"patients": ["x"] * (MOST + 1)},
        {"patients": [""]},
        {"patients": [1]},
        {"patients": ["x" * 301]},
        {"patients": "p1"},
        {"patients": ["p1"], "system": ""},
        {"patients": ["p1"], "canary": "p1"},
        ["p1"],
        "p1",
    ],
)
async def test_a_list_is_bounded_and_nothing_of_it_is_repeated(service: Service, body: Any) -> None:
    answer = await ask(service, "/v1/pseudonyms", body, STAFF)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert "p1" not in answer.text
    assert "canary" not in answer.text
    assert rows(service, audit) == []


async def test_the_longest_list_is_answered(service: Service) -> None:
    answer = await pseudonyms(service, *(f"p{n}" for n in range(MOST)))
    assert len(answer.json()["pseudonyms"]) == MOST


# -- erasure


async def test_an_erased_patient_leaves_no_fact_and_no_row(service: Service) -> None:
    number = [{"system": NHS, "value": "9990000018"}]
    await service.bundle(bundle(patient("p1", identifier=number), condition(), patient("p2")))
    answer = await erase(service, "p1")
    assert (answer.status_code, answer.json()) == (202, {"practice": PRACTICE, "erased": 1})
    (change,) = service.log.sets()[-1].patients
    assert (change.patient, change.generation, change.objected, change.facts) == (P1, 2, False, [])
    assert holders(service) == {P2}
    assert [row.holders[:16] for row in rows(service, facts)] == [P2]
    (left,) = [row for row in rows(service, patients) if row.key == P1]
    assert (left.person, left.generation) == (None, 2)


async def test_what_two_patients_share_is_no_longer_the_erased_ones(service: Service) -> None:
    both = appointment("a1", "Patient/p1", "Patient/p2")
    await service.bundle(bundle(both))
    await erase(service, "p1")
    assert holders(service) == {P2}


async def test_what_is_sent_after_an_erasure_is_taken(service: Service) -> None:
    document = bundle(patient("p1"), condition())
    await service.bundle(document)
    await erase(service, "p1")
    again = await service.bundle(document)
    assert "unchanged=0" in again.headers["Peerview-Receipt"]
    assert holders(service) == {P1}


async def test_an_erased_patient_who_objects_goes_on_objecting(service: Service) -> None:
    await service.bundle(bundle(patient("p1"), dissent()))
    await erase(service, "p1")
    await service.bundle(bundle(condition()))
    assert holders(service) == set()


async def test_an_erasure_that_did_not_reach_the_log_is_safe_to_repeat(service: Service) -> None:
    await service.bundle(bundle(patient("p1"), condition()))
    service.log.away = "gone"
    assert (await erase(service, "p1")).status_code == 503
    service.log.away = None
    assert holders(service) == {P1}
    assert (await erase(service, "p1")).status_code == 202
    assert holders(service) == set()


async def test_an_erasure_that_is_never_repeated_keeps_nobody_out(service: Service) -> None:
    await service.bundle(bundle(patient("p1"), condition()))
    service.log.away = "gone"
    await erase(service, "p1")
    service.log.away = None
    await service.bundle(bundle(condition("c7")))
    computed = Computed(service.log.events())
    found = computed.partition.core.facts(computed.stored(PRACTICE)[P1])
    assert [fact.id for fact in found] == [b"c7"], "the newer generation takes the place of all"


async def test_erasing_during_a_re_keying_reaches_both_keys(service: Service) -> None:
    operator = Operator(service)
    await service.bundle(bundle(patient("p1"), condition(), patient("p2")))
    await operator.begin()
    await service.bundle(bundle(patient("p1"), condition(), patient("p2")))
    await erase(service, "p1")
    assert holders(service) == {P2, NEW.patient("demo", "p2")}
    done = await operator.finish()
    assert (done["joined"], done["emptied"]) == (1, 0)
    assert holders(service) == {NEW.patient("demo", "p2")}


async def test_erasing_is_for_those_who_may(service: Service) -> None:
    for claims in ({"scope": "ingest:write pseudonyms:read"}, {"scope": ""}):
        body = {"patients": ["p1"]}
        assert (await ask(service, "/v1/erasures", body, claims)).status_code == 403
        assert (await ask(service, "/v1/objections", body, claims)).status_code == 403
    assert service.log.records == []


# -- an objection by the practice's word


async def test_a_practice_sets_an_objection_and_takes_it_back(service: Service) -> None:
    everything = bundle(patient("p1"), condition())
    await service.bundle(everything)
    answer = await objection(service, "p1", "p9", objects=True)
    assert answer.json() == {"practice": PRACTICE, "objections": 2, "opted_in": 0}
    assert holders(service) == set()
    await service.bundle(everything)
    assert holders(service) == set()
    again = await objection(service, "p1", objects=True)
    assert again.json()["objections"] == 0
    back = await objection(service, "p1", objects=False)
    assert back.json()["opted_in"] == 1
    assert "send the whole records" in back.json()["resend"]
    await service.bundle(everything)
    assert holders(service) == {P1}
    assert len(rows(service, objection_words)) == 1


async def test_taking_it_back_leaves_what_the_record_says(service: Service) -> None:
    await service.bundle(bundle(patient("p1"), condition(), dissent()))
    await objection(service, "p1", objects=True)
    assert (await objection(service, "p1", objects=False)).json()["opted_in"] == 0
    await service.bundle(bundle(condition()))
    assert holders(service) == set()


async def test_a_withdrawal_in_the_record_leaves_what_the_practice_set(service: Service) -> None:
    await objection(service, "p1", objects=True)
    withdrawn = dissent("w", "2026-01-01", "TYPE1WITHDRAWN_COD")
    await service.bundle(bundle(withdrawn, patient("p1"), condition()))
    assert holders(service) == set()


async def test_a_carried_objection_is_taken_back_too(service: Service) -> None:
    operator = Operator(service)
    await service.bundle(bundle(patient("p1"), dissent(day=None)))
    await operator.begin()
    await service.bundle(bundle(patient("p1"), condition()))
    await operator.finish()
    assert holders(service) == set()
    assert (await objection(service, "p1", objects=False)).json()["opted_in"] == 1
    await service.bundle(bundle(patient("p1"), condition()))
    assert holders(service) == {NEW.patient("demo", "p1")}


async def test_set_during_a_re_keying_it_empties_the_former_set(service: Service) -> None:
    operator = Operator(service)
    await service.bundle(bundle(patient("p1"), condition()))
    await operator.begin()
    await objection(service, "p1", objects=True)
    assert holders(service) == set()
    await service.bundle(bundle(patient("p1"), condition()))
    done = await operator.finish()
    assert (done["joined"], done["emptied"]) == (1, 0)
    assert holders(service) == set()


# -- a crash between the log and the index


class Crash(Exception):
    """The process ends here."""


async def crashed(service: Service, patch: pytest.MonkeyPatch, document: Any) -> None:
    """The log has acknowledged, and nothing is remembered."""

    def dies(*_: object, **__: object) -> None:
        raise Crash

    with patch.context() as dying:
        dying.setattr(Turn, "commit", dies)
        assert (await service.bundle(document)).status_code == 500


async def test_an_objection_that_was_not_remembered_is_told_anew(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await service.bundle(bundle(patient("p1"), condition()))
    await crashed(service, monkeypatch, bundle(dissent()))
    assert (await service.bundle(bundle(dissent()))).status_code == 202
    assert holders(service) == set()
    await service.bundle(bundle(condition("c2")))
    assert holders(service) == set()


async def test_an_objection_holds_though_its_withdrawal_is_in_the_log_alone(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sender was told of an error, and sends something else instead of the same again."""
    withdrawn = dissent("w", "2025-01-01", "TYPE1WITHDRAWN_COD")
    await service.bundle(bundle(patient("p1"), dissent()))
    await crashed(service, monkeypatch, bundle(withdrawn, condition()))
    assert holders(service) == {P1}, "in the log they take part"
    await service.bundle(bundle(condition("c2")))
    assert holders(service) == set(), "by what ingest has accepted they do not"
    await service.bundle(bundle(withdrawn, condition()))
    assert holders(service) == {P1}


async def test_opting_in_is_told_above_everything_that_the_log_may_have(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    withdrawn = dissent("w", "2025-01-01", "TYPE1WITHDRAWN_COD")
    await service.bundle(bundle(patient("p1"), condition()))
    await crashed(service, monkeypatch, bundle(dissent(day="2024-12-31")))
    assert holders(service) == set(), "the log knows"
    answer = await service.bundle(bundle(dissent(day="2024-12-31"), withdrawn))
    assert answer.status_code == 202
    await service.bundle(bundle(patient("p1"), condition()))
    assert holders(service) == {P1}


async def test_the_database_is_told_of_a_generation_before_the_log(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    reserve, publish = Turn.reserve, service.log.publish

    def reserving(turn: Turn, plan: Plan) -> None:
        reserve(turn, plan)
        order.append(f"reserved {sorted(state.reserved for state in plan.patients.values())}")

    async def publishing(*args: Any) -> Any:
        order.append("sent")
        return await publish(*args)

    monkeypatch.setattr(Turn, "reserve", reserving)
    monkeypatch.setattr(service.log, "publish", publishing)
    await service.send("POST", "/v1/bulk", content=json.dumps(dissent()).encode())
    assert order == ["reserved [2]", "sent"]
