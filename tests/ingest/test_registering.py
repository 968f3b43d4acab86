"""Organisations that come after what refers to them: sending the same again makes it right."""

import pytest

from tests.ingest.builders import PRACTICE, Json, bundle, episode, meta, patient
from tests.ingest.conftest import Service
from tests.ingest.test_submission import KEYS, P1, state

EPISODES = range(24)
"""As many as make it certain that some would have lost to their former reading by their hashes."""
STAMP = meta("2026-01-01T00:00:00Z", "1")
HERE = {"reference": "Organization/our-own-id"}


def organisation(code: str = "A99001") -> Json:
    return {
        "resourceType": "Organization",
        "id": "our-own-id",
        "identifier": [{"system": "https://fhir.nhs.uk/Id/ods-organization-code", "value": code}],
    }


def episodes() -> Json:
    return bundle(*(episode(f"{n}", managingOrganization=HERE, meta=STAMP) for n in EPISODES))


def here(service: Service) -> list[bool]:
    return [fact.body.here for fact in state(service)[P1].values()]  # type: ignore[union-attr]


async def test_episodes_sent_again_after_their_organisation_are_read_anew(
    service: Service,
) -> None:
    await service.bundle(episodes())
    assert here(service) == [False] * len(EPISODES)
    await service.bundle(bundle(organisation()))
    answer = await service.bundle(episodes())
    assert "unchanged=0" in answer.headers["Peerview-Receipt"]
    assert here(service) == [True] * len(EPISODES)
    again = await service.bundle(episodes())
    assert f"unchanged={len(EPISODES)}" in again.headers["Peerview-Receipt"]
    await service.bundle(bundle(organisation("A99002")))
    await service.bundle(episodes())
    assert here(service) == [False] * len(EPISODES)


async def test_a_general_practitioner_is_read_anew_too(service: Service) -> None:
    listed = [f"a{n}" for n in EPISODES]
    people = bundle(*(patient(each, generalPractitioner=[HERE], meta=STAMP) for each in listed))
    await service.bundle(people)
    await service.bundle(bundle(organisation()))
    await service.bundle(people)
    held = [fact for facts in state(service).values() for fact in facts.values()]
    assert [fact.body.practice for fact in held] == [1] * len(EPISODES)  # type: ignore[union-attr]


async def test_patients_sent_again_once_their_source_registers_all_are_registered(
    service: Service,
) -> None:
    people = bundle(*(patient(f"a{n}", meta=STAMP) for n in EPISODES))
    await service.bundle(people)
    chosen = service.ingest.settings.model_copy(update={"register_all": ["demo"]})
    service.ingest.settings = chosen
    await service.bundle(people)
    held = [fact for facts in state(service).values() for fact in facts.values()]
    assert [fact.body.practice for fact in held] == [1] * len(EPISODES)  # type: ignore[union-attr]


@pytest.mark.parametrize("number", range(4))
async def test_versions_that_contradict_each_other_end_alike_in_any_order(
    service: Service, number: int
) -> None:
    here = {"identifier": {"value": "A99001"}}
    either = [
        bundle(episode(f"{number}", managingOrganization=here, status=status, meta=STAMP))
        for status in ("active", "planned")
    ]
    ends = set()
    for source, sent in (("one", either), ("other", either[::-1])):
        service.token = service.token_for(PRACTICE, system=source)
        for document in (*sent, *sent):
            await service.bundle(document)
        (fact,) = state(service)[KEYS.patient(source, "p1")].values()
        ends.add(fact.body.here)  # type: ignore[union-attr]
    assert len(ends) == 1
