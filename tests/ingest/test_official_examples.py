"""HL7's own examples, each posted as its publishers would: accepted, dropped, or refused with the
place and the reason; never a fault of ours."""

from pathlib import Path
from typing import Any

import pytest

from peerview_ingest.parsing import parse
from tests.ingest.conftest import Service
from tests.ingest.official import Fates, examples
from tests.ingest.test_broker import records, running

HEADERS = {"Content-Type": "application/fhir+json"}


def _address(document: dict[str, Any]) -> str:
    kind = document["resourceType"]
    return "/fhir" if kind == "Bundle" else f"/fhir/{kind}"


async def _post(service: Service, every: int) -> Fates:
    fates = Fates()
    for name, content in examples(every=every):
        document = parse(content)
        answer = await service.send("POST", _address(document), content=content, headers=HEADERS)
        assert answer.status_code in (202, 400, 413, 422), name
        fates.note(document, answer)
    return fates


async def test_the_official_examples(service: Service, closing: list[str]) -> None:
    """All that ingest looks at, and a sample of what it drops at sight."""
    fates = await _post(service, every=20)
    closing += fates.table("HL7 R4 examples, of types that are dropped one in twenty")
    assert fates.counts["Patient"]["accepted"] >= 40
    assert fates.counts["EpisodeOfCare"]["accepted"] == 1
    assert not fates.counts["ValueSet"]["rejected"]


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_every_official_example(service: Service, closing: list[str]) -> None:
    fates = await _post(service, every=1)
    closing += fates.table("HL7 R4 examples, every one")
    assert sum(fates.requests.values()) == 5_306


@pytest.mark.long
@pytest.mark.broker
@pytest.mark.timeout(900)
def test_every_official_example_through_the_broker(
    tmp_path: Path, bootstrap: str, topic_prefix: str, closing: list[str]
) -> None:
    fates = Fates()
    # they come faster than one caller should send
    unlimited = {"CALLER_REQUESTS_PER_S": "0"}
    with running(tmp_path, bootstrap, topic_prefix, **unlimited) as service:
        for name, content in examples():
            document = parse(content)
            answer = service.client.post(_address(document), content=content, headers=HEADERS)
            assert answer.status_code in (202, 400, 413, 422), name
            fates.note(document, answer)
        found = records(bootstrap, topic_prefix)
    closing += fates.table(f"HL7 R4 examples through the broker: {len(found)} records in the log")
    assert found
