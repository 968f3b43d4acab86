"""The subject practice before a release: what will move and why; to hold, confirm, take back."""

import pytest

from tests.share.support import DAY, document, patients, submit

A, B, C = "A99001", "A99002", "A99003"


def cells_of(numerator, denominator=100, dna=20):
    return {"bp-htn-u80": patients(numerator, denominator), "dna": patients(dna, 400)}


@pytest.fixture
def resting(world):
    """A network whose releases rest for five days."""
    world.share.epochs.lag_ms = 5 * 86_400_000
    world.agree(document(A, B))
    world.release({A: cells_of(40), B: cells_of(50)})
    world.clock.pass_days(5)
    world.share.agreements.poll()
    assert world.publish()
    return world


def pass_preview(world):
    world.clock.pass_days(5)
    world.share.agreements.poll()
    assert world.publish()


def preview(world, code=B, indicator="bp-htn-u80", **claims):
    answer = world.client.get(
        f"/v1/practices/{code}/preview", headers=world.issuer.headers(code, **claims)
    )
    assert answer.status_code == 200, answer.text
    (found,) = (cell for cell in answer.json()["cells"] if cell["indicator"] == indicator)
    return answer.json()["epoch"], found


def act(world, what, code=B, indicator="bp-htn-u80", **claims):
    return world.client.post(
        f"/v1/practices/{code}/preview/{indicator}/{what}",
        headers=world.issuer.headers(code, **claims),
    )


def peer_sees(world, indicator="bp-htn-u80"):
    (found,) = world.peers(A, path=f"/{indicator}").json()["cells"]
    return found["state"], found["numerator"], found["released_epoch"]


def test_before_the_first_cut_there_is_nothing(world):
    answer = world.client.get(f"/v1/practices/{B}/preview", headers=world.issuer.headers(B))
    assert answer.json() == {"practice": B, "epoch": None, "cells": []}


def test_a_dry_run_on_what_has_come_says_what_would_move_and_why(resting):
    epoch = resting.share.epochs.open(DAY)
    resting.share.epochs.mark_sent(epoch)
    number, nothing = preview(resting)
    assert (number["state"], nothing["cause"], nothing["moves"]) == ("open", "no-snapshot", False)
    submit(resting.share.database, B, epoch.number, cells_of(53), now=resting.clock.now)
    _, held = preview(resting)
    assert (held["cause"], held["moves"]) == ("small-change", False)
    assert held["gate"] == {"epoch": 1, "denominator": 0, "numerator": 3, "complement": 3}
    assert held["counts"]["numerator"] == 53
    assert "Too few patients differ" in held["why"]
    assert held["then"]["numerator"] == held["now"]["numerator"] == 50
    assert preview(resting, indicator="dna")[1]["cause"] == "unchanged"


def test_in_preview_the_subject_alone_sees_what_peers_will_see(resting):
    resting.release({A: cells_of(40), B: cells_of(63)})
    epoch, found = preview(resting)
    assert (epoch["state"], found["moves"], found["cause"]) == ("preview", True, "released")
    assert (found["now"]["numerator"], found["then"]["numerator"]) == (50, 65)
    assert found["counts"]["numerator"] == 63
    assert peer_sees(resting) == ("value", 50, 1)
    url = f"/v1/practices/{B}/preview"
    assert resting.client.get(url, headers=resting.issuer.headers(A)).status_code == 403
    assert resting.client.get(url).status_code == 401


def test_a_suppression_says_its_reason_to_the_subject(resting):
    resting.release({A: cells_of(40), B: cells_of(3)})
    _, found = preview(resting)
    assert (found["reason"], found["then"]["state"]) == ("few-in-numerator", "suppressed")
    assert "1 to 7 patients in the numerator" in found["why"]


def test_the_subject_holds_a_cell_and_the_earlier_one_stays(resting):
    resting.release({A: cells_of(40), B: cells_of(63)})
    assert act(resting, "hold").status_code == 200
    _, found = preview(resting)
    assert [item["kind"] for item in found["held"]] == ["subject"]
    assert not found["moves"]
    pass_preview(resting)
    assert peer_sees(resting) == ("carried-forward", 50, 1)


def test_what_was_held_never_was_a_release(resting):
    """Its snapshot is no part of the gate: nobody saw the figure."""
    resting.release({A: cells_of(40), B: cells_of(63)})
    act(resting, "hold")
    pass_preview(resting)
    resting.release({A: cells_of(40), B: cells_of(60)})
    pass_preview(resting)
    assert peer_sees(resting) == ("value", 60, 3)


def test_a_hold_can_be_ended_and_held_again(resting):
    resting.release({A: cells_of(40), B: cells_of(63)})
    act(resting, "hold")
    assert act(resting, "confirm").status_code == 200
    assert not preview(resting)[1]["held"]
    act(resting, "hold")
    assert preview(resting)[1]["held"]
    act(resting, "confirm")
    pass_preview(resting)
    assert peer_sees(resting) == ("value", 65, 2)


def test_a_jump_is_held_until_it_is_confirmed(resting):
    resting.release({A: cells_of(40), B: cells_of(75)}, confirmed=False)
    _, found = preview(resting)
    assert (found["jumped"], [item["kind"] for item in found["held"]]) == (True, ["jump"])
    assert "jumped by over 20 points" in found["why"]
    assert act(resting, "confirm").status_code == 200
    pass_preview(resting)
    assert peer_sees(resting) == ("value", 75, 2)


def test_an_unconfirmed_jump_is_not_released(resting):
    resting.release({A: cells_of(40), B: cells_of(75)}, confirmed=False)
    pass_preview(resting)
    assert peer_sees(resting) == ("carried-forward", 50, 1)
    resting.release({A: cells_of(40), B: cells_of(76)}, confirmed=False)
    assert preview(resting)[1]["held"], "it jumped again, from what is shown"


def test_a_jump_confirmed_late_is_none_at_the_next_release(resting):
    resting.release({A: cells_of(40), B: cells_of(75)}, confirmed=False)
    pass_preview(resting)
    assert act(resting, "confirm").status_code == 200
    resting.release({A: cells_of(40), B: cells_of(76)}, confirmed=False)
    assert not preview(resting)[1]["held"]
    pass_preview(resting)
    assert peer_sees(resting) == ("value", 75, 3)


def test_a_denominator_that_grows_by_over_a_fifth_is_a_jump(resting):
    resting.release({A: cells_of(40), B: cells_of(65, 130)}, confirmed=False)
    assert preview(resting)[1]["jumped"]


def test_there_must_be_something_to_hold_or_confirm(resting):
    early = act(resting, "hold")
    assert (early.status_code, early.json()["detail"]) == (409, "no epoch is in preview")
    resting.release({A: cells_of(40), B: cells_of(52)})
    nothing = act(resting, "hold")
    assert nothing.status_code == 409
    assert "releases nothing new of bp-htn-u80" in nothing.json()["detail"]
    assert act(resting, "confirm").json()["detail"] == "nothing holds bp-htn-u80"
    assert act(resting, "hold", indicator="none-such").status_code == 404


def test_only_a_signatory_of_the_practice_decides(resting):
    resting.release({A: cells_of(40), B: cells_of(63)})
    assert act(resting, "hold", roles=()).status_code == 403
    url = f"/v1/practices/{B}/preview/bp-htn-u80/hold"
    assert resting.client.post(url, headers=resting.issuer.headers(A)).status_code == 403
    assert not preview(resting)[1]["held"]


class TestRetraction:
    def retract(self, world, *who, epoch=2, indicators=("bp-htn-u80",), **claims):
        return world.client.post(
            "/v1/releases/retract",
            headers=world.issuer.headers(*who, **claims),
            json={
                "practice": B,
                "epoch": epoch,
                "indicators": list(indicators),
                "reason": "a wrong extract",
            },
        )

    @pytest.fixture
    def wrong(self, resting):
        resting.release({A: cells_of(40), B: cells_of(63)})
        pass_preview(resting)
        return resting

    def test_it_is_gone_at_once_and_in_every_later_epoch(self, wrong):
        wrong.release({A: cells_of(40), B: cells_of(63)})
        pass_preview(wrong)
        assert peer_sees(wrong) == ("carried-forward", 65, 2)
        answer = self.retract(wrong, scope="release:operate", roles=())
        assert answer.json() == {"practice": B, "epoch": 2, "retracted": ["bp-htn-u80"]}
        assert peer_sees(wrong) == ("suppressed", None, 2)
        (earlier,) = wrong.peers(A, path="/bp-htn-u80", epoch=2).json()["cells"]
        assert (earlier["state"], earlier["value"]) == ("suppressed", None)
        (first,) = wrong.peers(A, path="/bp-htn-u80", epoch=1).json()["cells"]
        assert first["numerator"] == 50, "what was right stays"

    def test_its_snapshot_stays_in_the_gate(self, wrong):
        self.retract(wrong, B)
        wrong.release({A: cells_of(40), B: cells_of(60)})
        _, found = preview(wrong)
        assert (found["now"]["state"], found["then"]["state"]) == ("suppressed", "suppressed")
        assert found["gate"] == {"epoch": 2, "denominator": 0, "numerator": 3, "complement": 3}
        pass_preview(wrong)
        assert peer_sees(wrong) == ("suppressed", None, 2)
        wrong.release({A: cells_of(40), B: cells_of(72)})
        pass_preview(wrong)
        assert peer_sees(wrong) == ("value", 70, 4)

    def test_everything_of_an_epoch_at_once(self, wrong):
        answer = self.retract(wrong, B, epoch=1, indicators=())
        assert answer.json()["retracted"] == ["bp-htn-u80", "dna"]
        assert peer_sees(wrong) == ("value", 65, 2), "released anew since"
        assert peer_sees(wrong, "dna") == ("suppressed", None, 1)

    def test_only_what_was_released_then(self, wrong):
        answer = self.retract(wrong, B, indicators=("dna",))
        assert answer.status_code == 409
        assert "did not release dna at epoch 2" in answer.json()["detail"]
        assert self.retract(wrong, B, epoch=9).status_code == 409

    def test_by_the_operator_or_a_signatory_of_the_practice(self, wrong):
        assert self.retract(wrong, A).status_code == 403
        assert self.retract(wrong, B, roles=()).status_code == 403
        assert self.retract(wrong, B).status_code == 200
        assert self.retract(wrong, B).status_code == 200, "again changes nothing"


def test_the_operator_sees_when_epochs_were_and_no_counts(resting):
    url = "/v1/releases"
    answer = resting.client.get(url, headers=resting.issuer.headers(scope="release:operate"))
    (epoch,) = answer.json()["epochs"]
    assert set(epoch) == {"number", "as_of", "cut", "closed", "publishes", "published"}
    assert resting.client.get(url, headers=resting.issuer.headers(A)).status_code == 403


def test_a_retraction_during_a_preview_is_in_what_peers_will_see(resting):
    resting.release({A: cells_of(40), B: cells_of(63)})
    answer = resting.client.post(
        "/v1/releases/retract",
        headers=resting.issuer.headers(B),
        json={"practice": B, "epoch": 1, "indicators": ["dna"], "reason": "wrong"},
    )
    assert answer.status_code == 200
    _, found = preview(resting, indicator="dna")
    assert found["then"]["state"] == "suppressed"
    pass_preview(resting)
    assert peer_sees(resting, "dna") == ("suppressed", None, 1)
