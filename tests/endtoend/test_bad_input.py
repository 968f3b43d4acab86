"""Whatever is sent, the answer says what is wrong and where, nothing of it reaches the log, and the
service goes on."""

import json
from pathlib import Path
from typing import Any

import pytest

from peerview_tools.broker import BrokerUnavailableError, JvmBroker
from peerview_tools.client import Answer, Client
from peerview_tools.demo import actions
from peerview_tools.issuer import DevelopmentIssuer
from peerview_tools.simulator import history
from tests.endtoend.stack import DAY, World, practice, running

pytestmark = pytest.mark.broker

FHIR = {"Content-Type": "application/fhir+json"}
WHO = practice("A99050", size=30, seed=50)


def reading(**changed: Any) -> dict:
    found = next(
        r for r in history(WHO, DAY) if r["resourceType"] == "Observation" and "component" in r
    )
    return found | changed


def bundle(*resources: object) -> dict:
    return {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"resource": resource} for resource in resources],
    }


BAD = {
    "not JSON": ("/fhir", b"{this is not JSON", 400, "not JSON at byte 1"),
    "half a Bundle": ("/fhir", b'{"resourceType": "Bundle", "entry": [', 400, "not JSON"),
    "no Bundle": ("/fhir", {"resourceType": "Patient", "id": "p"}, 400, "takes a Bundle"),
    "a list": ("/fhir", [1, 2], 400, "JSON object"),
    "another type than the address says": (
        "/fhir/Observation",
        {"resourceType": "Patient", "id": "p"},
        400,
        "resourceType is not Observation",
    ),
    "no type of FHIR": ("/fhir/Nonsense", {"resourceType": "Nonsense"}, 404, "not a resource type"),
    "an impossible date": (
        "/fhir/Observation",
        reading(effectiveDateTime="2026-02-31"),
        422,
        "Observation.effectiveDateTime",
    ),
    "a stamp in the far future": (
        "/fhir/Observation",
        reading(meta={"lastUpdated": "2999-01-01T00:00:00Z"}),
        422,
        "Observation.meta.lastUpdated",
    ),
    "lines that are not JSON": ("/v1/bulk", b"", 400, "no line"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_with_its_place(world: World, name: str) -> None:
    path, body, status, words = BAD[name]
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with world.system(WHO) as system:
        answer = system.request("POST", path, data, FHIR)
    assert answer.status == status, answer.data[:500]
    assert words in told(answer)
    untouched(world)


def test_one_bad_line_is_named_and_the_others_are_taken(world: World) -> None:
    who = practice("A99051", size=30, seed=51)
    records = list(history(who, DAY))
    wrong = records[5] | {"resourceType": "Condition", "id": "wrong", "onsetDateTime": "yesterday"}
    lines = [json.dumps(record) for record in records]
    lines[2:2] = ["{broken", json.dumps(wrong | {"subject": {"reference": "Patient/x"}})]
    with world.system(who) as system:
        answer = system.request("POST", "/v1/bulk", "\n".join(lines).encode(), FHIR)
    assert answer.status == 202
    found = answer.json()
    assert found["rejected"] == 2
    assert [each["line"] for each in found["rejections"]] == [3, 4]
    assert "not JSON" in found["rejections"][0]["reason"]
    assert found["rejections"][1]["place"] == "Condition.onsetDateTime"
    with world.staff(who) as staff:
        taken = actions.receipt(found, len(lines))
        live = actions.await_counted(staff, who.ods, taken.positions, check=world.stack.check)
    assert live["broad-abx"]["denominator"] > 0


def test_an_entry_of_a_batch_is_refused_alone(world: World) -> None:
    who = practice("A99052", size=30, seed=51)
    good, bad = reading(id="good"), reading(id="bad", effectiveDateTime="2026-13-01")
    with world.system(who) as system:
        answer = system.request("POST", "/fhir", json.dumps(bundle(good, bad)).encode(), FHIR)
    assert answer.status == 202
    entries = [entry["response"] for entry in answer.json()["entry"]]
    assert [entry["status"][:3] for entry in entries] == ["202", "422"]
    (issue,) = entries[1]["outcome"]["issue"]
    assert issue["expression"] == ["Bundle.entry[1].resource.effectiveDateTime"]


def test_a_transaction_with_one_bad_entry_changes_nothing(world: World) -> None:
    good, bad = reading(id="good"), reading(id="bad", effectiveDateTime="2026-13-01")
    body = bundle(good, bad) | {"type": "transaction"}
    with world.system(WHO) as system:
        answer = system.request("POST", "/fhir", json.dumps(body).encode(), FHIR)
    assert answer.status == 422
    assert "Bundle.entry[1].resource.effectiveDateTime" in told(answer)
    untouched(world)


def test_a_practice_that_the_token_does_not_cover(world: World) -> None:
    body = json.dumps(bundle(reading())).encode()
    with world.system(WHO) as system:
        answer = system.request("POST", "/fhir", body, FHIR | {"ODS-Code": "A99777"})
        assert answer.status == 403
        assert "does not cover" in told(answer)
        answer = system.request("POST", "/fhir", body, FHIR | {"ODS-Code": "no such code"})
        assert answer.status == 400
        assert "ODS" in told(answer)
    assert world.change_sets("A99777") == []
    untouched(world)


@pytest.mark.parametrize("kind", ["forged", "expired", "other audience", "none", "nonsense"])
def test_a_token_that_does_not_hold(world: World, tmp_path: Path, kind: str) -> None:
    say = {"subject": "x", "practices": [WHO.ods], "scope": "ingest:write"}
    token = {
        # another key under the same name
        "forged": lambda: DevelopmentIssuer(tmp_path).token(**say),
        "expired": lambda: world.issuer.token(**say, expires_in=-3600),
        "other audience": lambda: world.issuer.token(**say, aud="somebody else"),
        "none": lambda: "",
        "nonsense": lambda: "abc.def.ghi",
    }[kind]()
    with Client(world.stack.ingest.url, lambda: token) as stranger:
        answer = stranger.request("POST", "/fhir", json.dumps(bundle(reading())).encode(), FHIR)
    assert answer.status == 401
    assert "token" in told(answer)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    untouched(world)


def test_a_token_without_the_scope(world: World) -> None:
    with Client(world.stack.ingest.url, lambda: world.tokens.staff(WHO)) as staff:
        answer = staff.request("POST", "/fhir", json.dumps(bundle(reading())).encode(), FHIR)
    assert answer.status == 403
    assert "ingest:write" in told(answer)
    untouched(world)


@pytest.mark.parametrize("way", ["announced", "streamed"])
def test_fifty_megabytes_are_refused(world: World, way: str) -> None:
    body = b'{"resourceType": "Bundle", "type": "batch", "pad": "' + b"x" * 50_000_000 + b'"}'
    pieces = [body[start : start + 1_000_000] for start in range(0, len(body), 1_000_000)]
    with world.system(WHO) as system:
        sent = body if way == "announced" else iter(pieces)
        answer = system.request("POST", "/fhir", sent, FHIR)
    assert answer.status == 413
    assert "20000000 bytes" in told(answer)
    untouched(world)


def told(answer: Answer) -> str:
    """The reason with its place, out of an OperationOutcome or a problem document."""
    body = answer.json()
    if body.get("resourceType") == "OperationOutcome":
        return "; ".join(
            f"{', '.join(issue.get('expression', []))}: {issue['diagnostics']}"
            for issue in body["issue"]
        )
    return f"{body['title']}: {body['detail']}"


def untouched(world: World) -> None:
    """No fact of the practice is in the log (a sign of life may be), and ingest is well."""
    world.stack.check()
    assert world.stack.ingest.not_ready() is None
    assert [found for found in world.change_sets(WHO.ods) if found.patients] == []


def test_a_broker_that_is_away_is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    who = practice("A99060", size=40, seed=60)
    records = list(history(who, DAY))
    first, second = records[: len(records) // 2], records[len(records) // 2 :]
    try:
        broker = JvmBroker(tmp_path / "broker")
    except BrokerUnavailableError as reason:
        pytest.skip(str(reason))
    settings = {"DELIVERY_TIMEOUT_MS": "3000"}
    with broker, running(tmp_path, broker.bootstrap, "", settings=settings) as world:
        with world.system(who) as system:
            taken = actions.bulk(system, first)
            broker.kill9()
            # it would end by itself, once it cannot be sure of its partitions, to be started again
            world.stack.compute.kill()
            data = "\n".join(json.dumps(record) for record in second).encode()
            answer = system.request("POST", "/v1/bulk", data, FHIR)
            assert answer.status == 503, answer.data[:500]
            assert "sending it again is safe" in told(answer)
            assert int(answer.headers["retry-after"]) > 0
            world.stack.check()
            actions.wait_for(
                "ingest to say that the broker is away",
                lambda: "broker" in (world.stack.ingest.not_ready() or "") or None,
                seconds=20,
            )
            broker.start()
            world.stack.wait_ready("ingest", seconds=60)
            taken.add(actions.bulk(system, second))
        world.stack.compute.start()
        world.stack.wait_ready(seconds=60)
        with world.staff(who) as staff:
            live = actions.await_counted(staff, who.ods, taken.positions, check=world.stack.check)
        assert actions.counts_of(live) == world.evaluated(who, tmp_path)
