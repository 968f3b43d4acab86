"""The attacker finds what it should, and nothing where there is nothing."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerview_common.catalogue import catalogue
from peerview_share.agreements.level import Level
from peerview_share.attack.attacker import attack
from peerview_share.attack.differencing import differences
from peerview_share.attack.finding import Kind
from peerview_share.attack.log import CellLog, Derived, Release, ReleaseLog
from peerview_share.attack.words import words
from peerview_share.disclosure.columns import Columns
from peerview_share.disclosure.gate import difference
from peerview_share.store import attacks, release_log, schema
from peerview_tools.attack import run
from tests.share.support import document, patients, submit

A, B = "A99001", "A99002"
NAMES = [f"A99{n:03}" for n in range(1, 15)]


def log(*contributions, **given):
    releases = [Release(n, 20_000 + 30 * n, found) for n, found in enumerate(contributions, 1)]
    cell = CellLog(A, "bp-htn-u80", releases)
    return ReleaseLog([cell], newest_day=releases[-1].day, **given)


def kinds(report):
    return [find.kind for find in report.finds]


def test_releases_that_differ_by_enough_are_no_find():
    assert kinds(attack(log(patients(40, 100), patients(60, 100), patients(80, 100)))) == []


@pytest.mark.parametrize("changed", [1, 7])
def test_a_pair_that_is_not_adjacent_is_found(changed):
    report = attack(log(patients(40, 100), patients(60, 100), patients(40 + changed, 100)))
    (find,) = report.finds
    assert (find.kind, find.practice, find.epochs) == (Kind.PATIENTS, A, (1, 3))
    assert f"{changed} in the numerator and {changed} in the complement" in find.sentence


def stricter(*releases):
    """Of one cell: ``(numerator of 100, reach)`` of each release."""
    found = [
        Release(n, 20_000 + 30 * n, patients(numerator, 100), reach=reach)
        for n, (numerator, reach) in enumerate(releases, 1)
    ]
    return attack(ReleaseLog([CellLog(A, "bp-htn-u80", found)], newest_day=20_100))


def test_two_releases_of_a_stricter_series_that_differ_by_fewer_than_it_asks_are_found():
    (find,) = stricter((20, 100), (60, 30), (34, 15)).finds
    assert (find.kind, find.epochs) == (Kind.STRICTER, (1, 3))
    assert "minChange of 15, and differ by 14 patients" in find.sentence


def test_releases_that_no_stricter_series_shows_together_are_no_find():
    report = stricter((20, 100), (60, 30), (34, 10), (48, 15))
    assert kinds(report) == [Kind.STRICTER], "12 of the second and the fourth"
    assert kinds(stricter((20, 100), (60, 30), (34, 10), (76, 15))) == []


def test_an_ordinary_find_is_told_once():
    assert kinds(stricter((20, 100), (23, 100))) == [Kind.PATIENTS]


def test_a_change_of_complement_alone_is_found():
    # five patients leave the numerator and the denominator, ten others come to the denominator
    before = patients(50, 100)
    after = {n: pair for n, pair in before.items() if n >= 5} | patients(0, 10, start=200)
    (find,) = attack(log(before, after)).finds
    assert "5 in the numerator" in find.sentence


def test_what_was_suppressed_or_retracted_was_seen_too():
    seen = [
        Release(1, 20_000, patients(8, 100)),
        Release(2, 20_030, patients(7, 100), shown=False),
        Release(3, 20_060, patients(30, 100)),
        Release(4, 20_090, patients(32, 100), retracted=True),
    ]
    report = attack(ReleaseLog([CellLog(A, "dna", seen)], newest_day=20_090))
    assert [find.epochs for find in report.finds] == [(1, 2), (3, 4)]
    assert "retracted" in report.finds[1].sentence


def test_releases_over_36_months_apart_are_not_held_against_each_other():
    seen = [Release(1, 20_000, patients(40, 100)), Release(2, 21_200, patients(42, 100))]
    assert kinds(attack(ReleaseLog([CellLog(A, "dna", seen)], newest_day=21_200))) == []


def test_a_figure_that_rests_on_few_is_found():
    assert kinds(attack(log(patients(7, 100)))) == [Kind.SMALL]
    assert kinds(attack(log(patients(93, 100)))) == [Kind.SMALL]
    assert kinds(attack(log(patients(9, 19)))) == [Kind.SMALL]
    assert kinds(attack(log(patients(8, 100)))) == []


def test_a_release_without_its_patients_is_a_blind_spot_until_it_is_forgotten_by_rule():
    lost = [Release(1, 20_000, None), Release(2, 20_030, patients(40, 100))]
    within = attack(ReleaseLog([CellLog(A, "dna", lost)], newest_day=20_030))
    assert kinds(within) == [Kind.BLIND]
    forgotten = attack(ReleaseLog([CellLog(A, "dna", lost)], newest_day=21_200))
    assert kinds(forgotten) == []
    assert "no pair with them could be tried: 1." in forgotten.notes[0]


contribution = st.one_of(
    st.tuples(st.just(1), st.integers(0, 1)),
    st.tuples(st.integers(1, 4), st.integers(0, 4)),
    st.tuples(st.just(1), st.integers(0, 1_000_000)),
)
snapshots = st.lists(st.dictionaries(st.integers(0, 40), contribution), min_size=2, max_size=5)


@given(snapshots, st.sampled_from([1, 1_000_000]))
def test_bits_count_what_the_gate_counts(contributions, scale):
    releases = [Release(n, 20_000, found) for n, found in enumerate(contributions)]
    for pair in differences(CellLog(A, "upc", releases, scale)):
        by_patient = difference(pair.first.contributions, pair.second.contributions, scale)
        assert pair.counts == by_patient.counts


def test_columns_of_either_width_over_one_roster_count_alike():
    """As the store gives them: unsigned and narrow, with patients who contribute nothing."""
    roster = np.arange(6, dtype=np.uint64)

    def column(wholes, parts, kind):
        return Columns(roster, np.array(wholes, kind), np.array(parts, kind))

    rows = [
        ([1, 1, 1, 0, 1, 0], [0, 500_000, 9, 0, 0, 0]),
        ([1, 0, 1, 1, 1, 0], [1, 0, 9, 0, 0, 0]),
    ]
    for kind in (np.uint32, np.int64):
        releases = [Release(n, 20_000, column(*row, kind)) for n, row in enumerate(rows)]
        (pair,) = differences(CellLog(A, "upc", releases, 1_000_000))
        assert pair.counts == (2, 2, 3)


# -- derived figures


def derived(practices, epoch=1, *, network="north", released=None, **given):
    parts = frozenset((name, (released or {}).get(name, 1)) for name in practices)
    return Derived(network, "A99099", "bp-htn-u80", epoch, Level.ANONYMOUS, parts, **given)


def of(*figures, cells=()):
    return attack(ReleaseLog(cells, lambda: figures))


@pytest.mark.parametrize("joined", [1, 2])
def test_a_figure_that_gains_one_or_two_practices_is_found(joined):
    report = of(derived(NAMES[:10]), derived(NAMES[: 10 + joined], 2))
    assert kinds(report) == [Kind.MEMBERS]
    assert NAMES[10] in report.finds[0].sentence


def test_three_who_join_are_no_find_and_neither_is_the_same_figure_again():
    assert kinds(of(derived(NAMES[:10]), derived(NAMES[:10], 2), derived(NAMES[:13], 3))) == []


def test_those_whom_the_viewer_sees_by_name_are_taken_off_a_difference():
    """Two join; a third leaves the figure, because the viewer sees it by name from now on."""
    by_name = frozenset(NAMES[:1])
    before, after = derived(NAMES[:11]), derived(NAMES[1:13], 2, known=by_name)
    (find,) = of(before, after).finds
    assert find.kind is Kind.MEMBERS
    assert f"{NAMES[11]} and {NAMES[12]}" in find.sentence
    assert kinds(of(before, derived(NAMES[1:14], 2, known=by_name))) == [], "three others joined"
    # what was known at the earlier figure says nothing of a later one's practices
    once = derived(NAMES[3:13], known=frozenset(NAMES[:3]))
    assert kinds(of(once, derived(NAMES[:13], 2))) == []


def test_networks_that_differ_by_one_practice_are_found():
    report = of(derived(NAMES[:10]), derived(NAMES[:11], network="south"))
    assert kinds(report) == [Kind.MEMBERS]
    assert "between north at epoch 1 and south at epoch 1" in report.finds[0].sentence


def test_a_practice_that_the_viewer_knows_by_name_hides_nobody():
    report = of(derived(NAMES[:12], known=frozenset(NAMES[:3])))
    assert kinds(report) == [Kind.REMAINDER]
    assert "a figure of 9" in report.finds[0].sentence


def test_a_derived_figure_that_moves_by_few_patients_is_found():
    cells = [
        CellLog(
            NAMES[0],
            "bp-htn-u80",
            [Release(1, 20_000, patients(40, 100)), Release(2, 20_030, patients(44, 100))],
        )
    ]
    figures = derived(NAMES[:10]), derived(NAMES[:10], 2, released={NAMES[0]: 2})
    assert kinds(of(*figures, cells=cells)) == [Kind.PATIENTS, Kind.TOTALS]


# -- over the service's own tables


def release_all(world, *numerators):
    for numerator in numerators:
        cells = {"bp-htn-u80": patients(numerator, 100)}
        world.release({A: cells, B: cells})


def test_the_services_own_releases_hold(world, capsys):
    world.agree(document(A, B))
    release_all(world, 40, 60, 43, 80)
    assert run(str(world.share.settings.share_database), as_json=False) == 0
    text = capsys.readouterr().out
    assert "Nothing was found." in text
    assert "6 releases of 2 cells of 2 practices" in text
    assert "6 trials" in text


def test_a_release_that_the_gate_should_have_held_is_found_with_its_network(world, capsys):
    """The gate is made to forget the first release, so it lets three patients' difference pass."""
    world.agree(document(A, B))
    release_all(world, 40)
    database = world.share.database
    with database.write() as connection:
        connection.execute(schema.cells.update().values(is_release=False))
    release_all(world, 43)
    url = world.share.settings.share_database
    capsys.readouterr()
    assert run(url, as_json=True) == 1
    assert kinds_of(capsys) == ["blind", "blind"], "the forgotten release's patients are gone"
    for practice in (A, B):
        submit(database, practice, 1, {"bp-htn-u80": patients(40, 100)})
    assert run(url, as_json=True) == 1
    assert kinds_of(capsys) == ["patients", "patients"]
    assert run(url, as_json=False) == 1
    told = capsys.readouterr().out
    assert "3 in the numerator and 3 in the complement. Seen in north." in told
    assert "Tell these practices: A99001, A99002." in told
    for practice in (A, B):
        assert (
            f"peerview release retract --practice {practice} --epoch 2 --indicator bp-htn-u80 "
        ) in told
    assert "no single practice's release" not in told


def test_last_nights_report_is_read_by_whoever_answers_for_it(world, capsys):
    world.agree(document(A, B))
    release_all(world, 40)
    url = world.share.settings.share_database
    assert run(url, as_json=False, last=True) == 2
    assert "no night has ended yet" in capsys.readouterr().err

    def ask(path, scope="attacks:read", **headers):
        known = world.issuer.headers("NONE", scope=scope, roles=())
        return world.client.get(f"/v1/attacks{path}", headers=known | headers)

    assert ask("/last").status_code == 404
    with world.share.database.write() as connection:
        report = attack(release_log.read(connection, catalogue()))
        attacks.append(connection, report, at=world.clock.now, seconds=2.0)
    capsys.readouterr()
    assert run(url, as_json=False, last=True) == 0
    told = capsys.readouterr().out
    assert "21 September 2026" in told
    assert "Nothing was found." in told
    assert "What to do" not in told
    assert ask("/last", Accept="text/plain").text == told
    whole = ask("/last").json()
    assert (whole["finds"], whole["attacks"][0]["name"]) == (0, "differencing of releases")
    (night,) = ask("").json()["attacks"]
    assert night == {k: whole[k] for k in ("at", "seconds", "trials", "finds")}
    for path in ("", "/last"):
        assert ask(path, scope="share:read release:operate").status_code == 403


def kinds_of(capsys):
    found = json.loads(capsys.readouterr().out)
    finds = [find for attack in found["attacks"] for find in attack["finds"]]
    assert found["finds"] == len(finds)
    return [find["kind"] for find in finds]


def test_a_database_that_cannot_be_read_is_told(tmp_path, capsys):
    (tmp_path / "other.db").touch()
    for name in ("none/none.db", "none.db", "other.db"):
        assert run(f"sqlite:///{tmp_path}/{name}", as_json=False) == 2
        assert "cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "none.db").exists(), "it only reads"


def test_a_report_over_nothing_does_not_say_that_all_is_well():
    text = words(attack(ReleaseLog([], newest_day=20_000)), when="today", seconds=1)
    assert "There was nothing to attack" in text
    assert "Nothing was found" not in text


def test_the_report_lists_finds_and_says_what_is_left_over():
    text = words(attack(log(patients(40, 100), patients(41, 100))), when="today", seconds=1)
    assert "FOUND 1 WAY IN" in text
    assert "differ by few patients: 1 in the numerator" in text
    assert "Not covered" in text
