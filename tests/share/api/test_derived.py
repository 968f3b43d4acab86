"""Views that name nobody, over HTTP and real epochs: rules 7 and 8 with their memory."""

import pytest

from peerview_share.store import schema
from tests.share.support import document, patients

BP = "bp-htn-u80"
ME = "A99000"


def codes(*numbers):
    return [f"A99{n:03}" for n in numbers]


def figures(numbers, shift=0):
    """Practice n is at 50 + n per cent, of 200."""
    return {
        code: {BP: patients(2 * (50 + int(code[-3:])) + shift, 200)} for code in codes(*numbers)
    }


def agreement(numbers, mode="anonymous", **clauses):
    terms = {"mode": mode, "reciprocal": False}
    return document(
        *codes(*numbers),
        dataItems=[{"indicatorId": BP}],
        peerIdentification=terms,
        **clauses,
    )


def derived(world, viewer=ME, **query):
    answer = world.peers(viewer, **query)
    assert answer.status_code == 200, answer.text
    assert answer.json()["cells"] == []
    (found,) = answer.json()["derived"]
    return found


def counts(found):
    return [band["practices"] for band in found["bands"]]


@pytest.fixture
def thirteen(world):
    """The viewer and twelve others at 51 to 62 per cent, none of whom is named."""
    world.agree(agreement(range(13)))
    world.release(figures(range(13)))
    return world


def test_bands_of_twelve_without_the_viewer(thirteen):
    found = derived(thirteen)
    assert found == {
        "network": "north",
        "epoch": 1,
        "indicator": BP,
        "level": "anonymous",
        "state": "value",
        "contributors": 12,
        "older": 0,
        "unit": "%",
        "demonstration_only": False,
        "cells_epoch": 1,
        "bands": [
            # of rounded pairs: 118 of 200 is 120 of 200, and in the second band
            {"from": None, "below": 60, "practices": 8},
            {"from": 60, "below": 70, "practices": 4},
            {"from": 70, "below": 80, "practices": 0},
            {"from": 80, "below": None, "practices": 0},
        ],
    }


def test_no_single_practice_is_in_the_answer(thirteen):
    text = thirteen.peers(ME).text
    assert not any(code in text for code in codes(*range(1, 13)))
    assert "denominator" not in text.split('"totals"')[0]


def test_quantiles_at_the_level_of_distribution(world):
    world.agree(agreement(range(22), "distribution"))
    world.release(figures(range(22)))
    found = derived(world)
    assert (found["level"], found["contributors"]) == ("distribution", 21)
    # of 102, 104 ... 142 of 200, each rounded to 5: the 11th is 120, the 6th 110, the 16th 130
    assert (found["median"], found["quartiles"], found["deciles"]) == (60.0, [55.0, 65.0], None)


def test_fewer_than_ten_are_shown_nothing(world):
    world.agree(agreement(range(10)))
    world.release(figures(range(10)))
    found = derived(world)
    assert (found["state"], found["contributors"], found["median"]) == ("suppressed", None, None)


def test_who_allows_less_is_in_the_quantiles_alone(world):
    world.agree(agreement(range(13)))
    for code in codes(1, 2, 3):
        answer = world.client.put(
            "/v1/agreements/north-learning/limits",
            headers=world.issuer.headers(code),
            json={"mode": "distribution"},
        )
        assert answer.status_code == 200, answer.text
    world.release(figures(range(13)))
    found = derived(world)
    assert (found["level"], found["contributors"]) == ("distribution", 12)


def test_two_newcomers_wait_and_a_third_lets_them_in(thirteen):
    thirteen.agree(agreement(range(15), version=2, supersedes=1))
    thirteen.release(figures(range(15)))
    assert derived(thirteen)["contributors"] == 12
    thirteen.agree(agreement(range(16), version=3, supersedes=2))
    thirteen.release(figures(range(16)))
    assert derived(thirteen)["contributors"] == 15


def test_a_withdrawal_tombstones_at_once_and_until_three_have_changed(thirteen):
    before = derived(thirteen, epoch=1)
    assert thirteen.act("north-learning", "A99005", "withdraw").status_code == 200
    gone = derived(thirteen)
    assert (gone["state"], gone["bands"]) == ("suppressed", None)
    thirteen.release(figures(n for n in range(13) if n != 5))
    assert derived(thirteen)["state"] == "suppressed", "not computed without it"
    assert derived(thirteen, epoch=1)["state"] == "suppressed", "nor in an earlier epoch"
    assert before["state"] == "value"
    for code in ("A99006", "A99007"):
        thirteen.act("north-learning", code, "withdraw")
    assert derived(thirteen)["state"] == "suppressed"


def test_after_three_withdrawals_ten_others_are_shown_again(world):
    world.agree(agreement(range(14)))
    world.release(figures(range(14)))
    for code in codes(4, 5, 6):
        world.act("north-learning", code, "withdraw")
    assert derived(world)["state"] == "suppressed", "not before the next epoch"
    world.release(figures(n for n in range(14) if n not in (4, 5, 6)))
    found = derived(world)
    assert (found["state"], found["contributors"]) == ("value", 10)


def test_one_without_a_value_leaves_the_figure_as_it_was_shown(thirteen):
    changed = figures(range(13), shift=20) | {"A99005": {BP: patients(3, 200)}}
    thirteen.release(changed)
    found = derived(thirteen)
    assert (found["state"], found["cells_epoch"], found["epoch"]) == ("carried-forward", 1, 2)
    assert (counts(found), found["older"]) == ([8, 4, 0, 0], 12)
    thirteen.release(figures(range(13), shift=40))
    found = derived(thirteen)
    assert (found["state"], found["cells_epoch"], found["contributors"]) == ("value", 3, 12)
    assert derived(thirteen, epoch=2)["state"] == "carried-forward", "an epoch stays as it was"


def test_one_line_says_how_many_are_older(thirteen):
    thirteen.release(figures([0, 1, 2, 3], shift=20) | figures(range(4, 13)))
    found = derived(thirteen)
    assert (found["state"], found["older"]) == ("value", 9)


def test_a_retracted_figure_takes_the_derived_one_with_it(thirteen):
    assert derived(thirteen)["state"] == "value"
    answer = thirteen.client.post(
        "/v1/releases/retract",
        headers=thirteen.issuer.headers("A99003"),
        json={"practice": "A99003", "epoch": 1, "reason": "wrong"},
    )
    assert answer.status_code == 200
    assert derived(thirteen)["state"] == "suppressed"
    assert derived(thirteen, "A99003")["state"] == "value", "it was not in its own view"


def test_whoever_is_named_in_another_network_does_not_contribute(world):
    world.agree(agreement(range(14)))
    friends = agreement([0, 13], "named", id="friends", network={"id": "south"})
    world.agree(friends)
    world.release(figures(range(14)))
    assert derived(world)["contributors"] == 12
    assert derived(world, "A99001")["contributors"] == 13


def test_being_named_later_tombstones_what_it_was_in(thirteen):
    thirteen.agree(agreement([0, 5], "named", id="friends", network={"id": "south"}))
    assert derived(thirteen)["state"] == "suppressed"
    assert derived(thirteen, "A99001")["state"] == "value"


def test_almost_the_same_members_in_another_network_are_not_shown(world):
    world.agree(agreement(range(13)))
    world.agree(agreement(range(14), id="wider", network={"id": "south"}))
    world.release(figures(range(14)))
    shown = derived(world)
    other = world.peers(ME, "south").json()["derived"][0]
    assert (shown["state"], other["state"]) == ("value", "suppressed")


def test_what_is_shown_is_remembered_only_when_it_changes(thirteen):
    for shift in (20, 40):
        thirteen.release(figures(range(13), shift=shift))
    with thirteen.share.database.read() as connection:
        rows = connection.execute(schema.derived_sets.select()).all()
    assert {row.epoch for row in rows} == {1}
    assert len(rows) == 13


def test_reads_are_the_same_bytes_for_as_long_as_the_epoch_lasts(thirteen):
    first = thirteen.peers(ME)
    thirteen.clock.pass_days(3)
    thirteen.share.agreements.poll()
    again = thirteen.peers(ME)
    assert (again.content, again.headers["etag"]) == (first.content, first.headers["etag"])


def test_a_look_at_a_derived_figure_is_logged_for_every_contributor(thirteen):
    thirteen.peers(ME)
    answer = thirteen.client.get(
        "/v1/practices/A99007/disclosures", headers=thirteen.issuer.headers("A99007")
    )
    (entry,) = answer.json()["disclosures"]
    assert (entry["viewer"], entry["level"], entry["indicators"]) == (ME, "anonymous", [BP])


def test_totals_of_named_peers_leave_out_cells_without_a_value(world):
    world.agree(agreement(range(4), "named"))
    world.release(figures([0, 1, 2]) | {"A99003": {BP: patients(3, 200)}})
    answer = world.peers(ME).json()
    assert answer["totals"] == [
        {
            "indicator": BP,
            "unit": "%",
            # 102 and 104 of 200, rounded to 100 and 105
            "numerator": 205,
            "denominator": 400,
            "value": 51.3,
            "practices": 2,
            "left_out": 1,
        }
    ]


class TestPace:
    def test_every_third_release(self, world):
        world.agree(agreement(range(3), "named", epochs={"every": 3}))
        for turn in range(1, 5):
            world.release(figures(range(3), shift=20 * turn))
            epoch = world.peers(ME).json()["epoch"]
            assert epoch is None if turn < 3 else epoch["number"] == 3
        assert world.peers(ME, epoch=4).status_code == 404
        assert {c["released_epoch"] for c in world.peers(ME).json()["cells"]} == {3}

    def test_a_longer_rest_in_one_network(self, world):
        world.agree(agreement(range(3), "named", epochs={"lagDays": 4}))
        world.agree(agreement(range(3), "named", id="quick", network={"id": "south"}))
        world.release(figures(range(3)))
        assert world.peers(ME, "south").json()["epoch"]["number"] == 1
        assert world.peers(ME).json()["epoch"] is None
        world.clock.pass_days(4)
        world.share.agreements.poll()
        assert world.peers(ME).json()["epoch"]["number"] == 1


def test_a_stricter_base_rounds_what_is_rounded(world):
    world.agree(agreement(range(3), "named", disclosureControl={"roundingBase": 25}))
    world.release(figures([0]) | {"A99001": {BP: patients(92, 183)}} | figures([2]))
    (found, _) = world.peers(ME).json()["cells"]
    # 90 of 185, then to multiples of 25
    assert (found["numerator"], found["denominator"], found["value"]) == (100, 175, 57.1)
