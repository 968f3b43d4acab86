"""Nothing identifying passes: canaries in every field reach no record, log, answer or table."""

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from peerview_common import logs
from peerview_common.facts import pack_id
from tests.ingest.builders import (
    appointment,
    bundle,
    condition,
    dissent,
    encounter,
    episode,
    observation,
    patient,
    prescription,
    resource,
)
from tests.ingest.conftest import Service

NAME, STREET, NUMBER = "Zebedee-Canary", "13 Canary Wharf", "9434765919"
NOTES = "Canary told me in confidence"
CANARIES = ("Zebedee", "Canary", NUMBER, "943 476 5919", "in confidence")


def planted(document: dict[str, Any]) -> dict[str, Any]:
    """A resource with a canary in every place that FHIR has for people and prose."""
    found = json.loads(json.dumps(document))
    found["text"] = {"status": "generated", "div": f"<div>{NOTES}</div>"}
    found["note"] = [{"text": NOTES}]
    found["name"] = [{"family": NAME}]
    found["address"] = [{"line": [STREET], "postalCode": "E14 Canary"}]
    found["telecom"] = [{"value": NUMBER}]
    found["identifier"] = [
        {"system": "https://fhir.nhs.uk/Id/nhs-number", "value": NUMBER},
        {"system": "x", "value": NAME},
    ]
    found["extension"] = [{"url": "urn:canary", "valueString": NOTES}]
    found["description"] = found["comment"] = NOTES
    for name in ("code", "medicationCodeableConcept", "vaccineCode"):
        if name in found:
            found[name]["text"] = NOTES
            found[name]["coding"].append({"system": NAME, "code": NOTES, "display": NAME})
    for name in ("subject", "patient"):
        if name in found:
            found[name]["display"] = NAME
    for part in found.get("participant", ()):
        part.setdefault("actor", {})["display"] = NAME
    return found


def everything() -> list[dict[str, Any]]:
    who = f"Patient/{NAME}"
    people = [patient(NAME), patient(NUMBER), patient("943 476 5919")]
    others = [
        condition(NAME, subject={"reference": who}),
        condition(f"obs-{NUMBER}", subject={"reference": f"Patient/{NUMBER}"}),
        observation(NUMBER, subject={"reference": who}, valueString=NOTES),
        prescription(f"x{NUMBER}", subject={"reference": who}),
        encounter(
            NAME,
            subject={"reference": who},
            participant=[
                {
                    "type": [{"coding": [{"code": "PPRF"}]}],
                    "individual": {"reference": f"Practitioner/{NAME}", "display": NAME},
                }
            ],
        ),
        appointment(NAME, who),
        episode(NAME, patient={"reference": who}),
        dissent(NAME) | {"subject": {"reference": f"Patient/{NUMBER}"}},
    ]
    wrong = [
        condition("w1", onsetDateTime=NOTES, subject={"reference": who}),
        condition("w2", subject={"reference": f"Patient?identifier={NUMBER}"}),
        condition("w3", code={"coding": NOTES}),
        observation("w4", meta={"lastUpdated": NAME}),
        resource(NAME),
        {"resourceType": "Patient", "id": {NAME: NUMBER}},
    ]
    return [planted(each) for each in people + others] + wrong


def clean(data: bytes | str) -> None:
    text = data.decode("latin-1") if isinstance(data, bytes) else data
    found = [canary for canary in CANARIES if canary.lower() in text.lower()]
    assert not found, (found, text[:200])


async def test_canaries_reach_nothing(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    debug = service.ingest.settings.model_copy(update={"log_level": "debug"})
    logs.configure(debug, "ingest")
    try:
        answers = [
            await service.bundle(bundle(*everything())),
            await service.send(
                "POST", "/v1/bulk", content=b"\n".join(json.dumps(e).encode() for e in everything())
            ),
            await service.send("PUT", f"/fhir/Patient/{NUMBER}", json=patient(NAME)),
            await service.send("DELETE", f"/fhir/Condition/{NAME}"),
            await service.send("GET", f"/fhir/Patient/{NUMBER}"),
            await service.send("POST", f"/fhir/{NAME}", json={}),
            await service.send("POST", "/fhir", content=f'{{"a": {NAME}}}'.encode()),
            await service.send("POST", "/v1/bulk", content=f'{{"{NAME}'.encode()),
            await service.bundle(bundle(patient()), headers={"ODS-Code": NAME}),
        ]

        def broken(*_: object) -> None:
            raise RuntimeError(NOTES)

        monkeypatch.setattr(service.ingest.store, "turn", broken)
        fault = await service.bundle(bundle(patient(NAME)))
        assert fault.status_code == 500
        answers.append(fault)
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    assert [answer.status_code for answer in answers[:2]] == [202, 202]
    assert answers[1].json()["accepted"] >= 10
    for answer in answers:
        clean(answer.content)
        clean(str(answer.headers))
    for record in service.log.records:
        clean(record)
    captured = capsys.readouterr()
    clean(re.sub(r"HTTP Request.*", "", captured.out + captured.err))
    clean((await service.client.get("/metrics")).content)
    database = service.ingest.settings.ingest_database.removeprefix("sqlite:///")
    for suffix in ("", "-wal"):
        clean(Path(database + suffix).read_bytes())  # noqa: ASYNC240 - nobody else waits


async def test_every_record_was_looked_at_by_its_packed_ids(service: Service) -> None:
    """The search above would not see an id that was packed: only technical ids are."""
    await service.bundle(bundle(*everything()))
    ids = {fact.id for each in service.log.sets() for c in each.patients for fact in c.facts}
    assert ids
    assert pack_id(NUMBER) not in ids
    assert all(re.fullmatch(rb"[0-9a-f]{32}", each) for each in ids)
