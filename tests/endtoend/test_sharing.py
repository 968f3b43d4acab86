"""From a submission to a figure that a peer reads, and to the moment it may no longer."""

from pathlib import Path

import pytest

from peerview_common.catalogue import catalogue
from peerview_tools.client import ServiceError
from peerview_tools.demo import actions, network
from peerview_tools.demo.network import NOT_SHARED
from peerview_tools.simulator import history
from tests.endtoend.stack import DAY, World, practice

pytestmark = pytest.mark.broker

NETWORK, AGREEMENT = "testing-network", "testing-agreement"
WITHDRAWAL_S = 5.0


def test_submit_count_cut_read_withdraw(world: World, tmp_path: Path) -> None:
    alder, beech, cedar = (
        practice(ods, size=260, seed=seed)
        for ods, seed in (("A99001", 11), ("A99002", 12), ("A99003", 13))
    )
    parties = [alder, beech, cedar]
    for who in parties:
        with world.system(who) as system, world.staff(who) as staff:
            taken = actions.bulk(system, history(who, DAY))
            assert taken.rejected == 0, taken.issues
            assert taken.accepted + taken.dropped == taken.sent
            live = actions.await_counted(staff, who.ods, taken.positions, check=world.stack.check)
        assert actions.counts_of(live) == world.evaluated(who, tmp_path)

    document = network.agreement(parties, catalogue(), DAY, identity=AGREEMENT, network=NETWORK)
    statuses = []
    for n, who in enumerate(parties):
        with world.signatory(who) as signatory:
            if n == 0:
                signatory.post("/v1/agreements", document)
            statuses.append(actions.sign(signatory, AGREEMENT)["status"])
    assert statuses == ["draft", "draft", "active"]

    with world.operator() as operator:
        asked = actions.cut(operator)
    assert asked["as_of"] == DAY.isoformat()
    with world.staff(alder) as viewer:
        view = actions.await_released(viewer, NETWORK, check=world.stack.check)
        cells = actions.cells(view)
        assert {cell["subject"] for cell in cells} == {"A99002", "A99003"}
        assert {cell["indicator"] for cell in cells} == set(catalogue()) - {NOT_SHARED}
        values = [cell for cell in cells if cell["state"] == "value"]
        assert len(values) >= 6, actions.states(cells)
        for cell in values:
            assert cell["denominator"] % 5 == 0
            assert cell["indicator"] == "upc" or cell["numerator"] % 5 == 0
        for cell in cells:
            assert not {"met", "miss", "exception", "excluded"} & set(cell)
            assert cell["state"] == "value" or cell["value"] is None

        with world.signatory(beech) as signatory:
            actions.withdraw(signatory, AGREEMENT)

        def without_beech() -> bool | None:
            found = actions.cells(actions.peer_view(viewer, NETWORK))
            return True if all(cell["subject"] != "A99002" for cell in found) else None

        actions.wait_for(
            "the cells of the practice that withdrew to go", without_beech, seconds=WITHDRAWAL_S
        )
        left = actions.cells(actions.peer_view(viewer, NETWORK))
        assert {cell["subject"] for cell in left} == {"A99003"}

    with world.staff(beech) as viewer:

        def refused() -> ServiceError | None:
            try:
                actions.peer_view(viewer, NETWORK)
            except ServiceError as error:
                return error
            return None

        error = actions.wait_for(
            "the practice that withdrew to be refused", refused, seconds=WITHDRAWAL_S
        )
        assert error.status == 403

    with world.staff(beech) as subject:
        seen = subject.get("/v1/practices/A99002/disclosures")["disclosures"]
        assert {(each["viewer"], each["agreement"]) for each in seen} == {("A99001", AGREEMENT)}


def test_a_practice_sees_no_other_practices_live_figures(world: World) -> None:
    with world.staff(practice("A99008")) as staff, pytest.raises(ServiceError) as refused:
        staff.get("/v1/practices/A99001/indicators")
    assert refused.value.status == 403


def test_without_an_agreement_nothing_is_shown(world: World) -> None:
    with world.staff(practice("A99009")) as staff, pytest.raises(ServiceError) as refused:
        actions.peer_view(staff, NETWORK)
    assert refused.value.status == 403
