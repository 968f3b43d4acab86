"""Stricter agreements over HTTP, topics and pages: what peers read under them."""

import json

import pytest

from peerview_share.delivery import topics
from peerview_share.delivery.topics import ViewPublisher
from tests.share.noninterference.running import MemoryLog
from tests.share.support import document, patients

A, B, C = "A99001", "A99002", "A99003"
HTN = "bp-htn-u80"
SERIES = (20, 32, 44, 53)


def agree(world, identity, network, parties=(A, B), **control):
    world.agree(
        document(
            *parties,
            id=identity,
            network={"id": network, "type": "pcn"},
            dataItems=[{"indicatorId": HTN}],
            disclosureControl=control,
        )
    )


def release(world, numerator, *codes, total=100):
    world.clock.pass_days(30)
    world.release({code: {HTN: patients(numerator, total)} for code in codes or (A, B)})


def told(answer):
    assert answer.status_code == 200, answer.text
    (found,) = answer.json()["cells"]
    return found["state"], found["released_epoch"], found["numerator"]


@pytest.fixture
def three(world):
    """The same two practices in a plain network, and in two stricter ones."""
    agree(world, "plain", "plain")
    agree(world, "fifteen", "fifteen", minChange=15)
    agree(world, "many", "many", minPatients=100)
    return world


def test_each_network_shows_its_own_part_of_one_series(three):
    seen = {"plain": [], "fifteen": [], "many": []}
    for numerator in SERIES:
        release(three, numerator)
        for network, found in seen.items():
            found.append(told(three.peers(A, network)))
    assert seen["plain"] == [("value", 1, 20), ("value", 2, 30), ("value", 3, 45), ("value", 4, 55)]
    assert seen["fifteen"] == [
        ("value", 1, 20), ("carried-forward", 1, 20), ("value", 3, 45), ("carried-forward", 3, 45)
    ]  # fmt: skip
    assert seen["many"] == [("suppressed", number, None) for number in range(1, 5)]
    again = three.peers(A, "fifteen", epoch=2)
    assert told(again) == ("carried-forward", 1, 20)
    for network in seen:
        text = three.peers(A, network).text
        assert not {"reach", "patients", "margin"} & set(json.loads(text)["cells"][0])


def test_a_total_is_of_what_is_shown(three):
    release(three, 20)
    release(three, 32)
    (total,) = three.peers(A, "fifteen").json()["totals"]
    assert (total["numerator"], total["denominator"]) == (20, 100)
    (total,) = three.peers(A, "many").json()["totals"]
    assert (total["numerator"], total["left_out"]) == (None, 1)


def test_enough_patients_are_shown(world):
    agree(world, "many", "many", minPatients=100)
    release(world, 20, total=103)
    assert told(world.peers(A, "many")) == ("value", 1, 20)


def test_topics_say_the_same_to_the_byte(three, monkeypatch):
    monkeypatch.setattr(topics, "create_topics", lambda *_, **__: None)
    log = MemoryLog()
    share = three.share
    publisher = ViewPublisher(
        share.database, log, share.views, bootstrap="", prefix="", replication=1, clock=three.clock
    )
    for numerator in SERIES[:2]:
        release(three, numerator)
        share.agreements.poll()
        publisher.sync(share.agreements.get())
    for network in ("plain", "fifteen", "many"):
        (cell,) = three.peers(A, network).json()["cells"]
        key, value, _ = log.records[f"peer-views.{network}.{A}"][-1]
        assert key.decode() == f"{HTN}/{B}"
        assert json.loads(value) == cell
        assert value.decode() in three.peers(A, network).text


def test_every_third_release_of_a_stricter_series(world):
    world.agree(
        document(
            A,
            B,
            dataItems=[{"indicatorId": HTN}],
            disclosureControl={"minChange": 15},
            epochs={"every": 3},
        )
    )
    seen = []
    for numerator in (20, 32, 44, 50, 55, 65):
        release(world, numerator)
        epoch = world.peers(A).json()["epoch"]
        seen.append(told(world.peers(A)) if epoch else None)
    # the third differs by 24 from the first; the fourth by 6 and the fifth by 11 from the third
    assert seen[:2] == [None, None]
    assert seen[2:5] == [("value", 3, 45)] * 3
    assert seen[5] == ("value", 6, 65)


def test_the_agreement_that_grants_it_says_what_is_shown(world):
    """Of two in one network the more generous grants, by its own figures, as with the others."""
    agree(world, "a-loose", "north")
    world.agree(
        document(
            A,
            B,
            id="b-strict",
            dataItems=[{"indicatorId": HTN}],
            peerIdentification={"mode": "anonymous"},
            disclosureControl={"minChange": 100},
        )
    )
    release(world, 20)
    release(world, 32)
    assert told(world.peers(A)) == ("value", 2, 30)
    world.act("a-loose", B, "withdraw")
    assert world.peers(A).json()["cells"] == []


def test_a_median_is_of_what_the_stricter_agreement_shows(world):
    codes = [f"A99{n:03}" for n in range(1, 14)]
    for identity, control in (("plain", {}), ("strict", {"minChange": 15})):
        world.agree(
            document(
                *codes,
                id=identity,
                network={"id": identity, "type": "pcn"},
                dataItems=[{"indicatorId": HTN}],
                peerIdentification={"mode": "distribution"},
                disclosureControl=control,
            )
        )
    release(world, 20, *codes)
    release(world, 32, *codes)

    def derived(network):
        (found,) = world.peers(codes[0], network).json()["derived"]
        return found["median"], found["older"], found["contributors"]

    assert derived("plain") == (30, 0, 12)
    assert derived("strict") == (20, 12, 12)
    release(world, 44, *codes)
    assert derived("strict") == (44, 0, 12) or derived("strict") == (45, 0, 12)


def test_a_median_leaves_out_whom_the_stricter_agreement_does_not_show(world):
    codes = [f"A99{n:03}" for n in range(1, 14)]
    world.agree(
        document(
            *codes,
            dataItems=[{"indicatorId": HTN}],
            peerIdentification={"mode": "distribution"},
            disclosureControl={"minPatients": 150},
        )
    )
    world.release(
        {code: {HTN: patients(40, 200 if n < 12 else 100)} for n, code in enumerate(codes)}
    )
    (found,) = world.peers(codes[0]).json()["derived"]
    assert (found["contributors"], found["median"]) == (11, 20)


def test_what_a_party_that_left_keeps_is_by_its_agreement_too(world):
    world.agree(
        document(
            A,
            B,
            C,
            dataItems=[{"indicatorId": HTN}],
            disclosureControl={"minChange": 15},
            withdrawal={"pastData": "retain"},
        )
    )
    for numerator in SERIES[:2]:
        release(world, numerator, A, B, C)
    world.clock.pass_days(1)
    assert world.act("north-learning", B, "withdraw").status_code == 200
    release(world, SERIES[2], A, C)
    world.share.agreements.poll()
    past = {c["subject"]: c for c in world.peers(A, epoch=2).json()["cells"]}
    assert (past[B]["state"], past[B]["released_epoch"]) == ("carried-forward", 1)
    assert B not in {c["subject"] for c in world.peers(A).json()["cells"]}
