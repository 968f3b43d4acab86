"""The attacker over the service's own tables: views that name nobody, retractions, mergers."""

import pytest

from peerview_common.catalogue import catalogue
from peerview_share.agreements.level import Level
from peerview_share.attack.attacker import attack
from peerview_share.attack.finding import Kind
from peerview_share.store import epochs as store
from peerview_share.store import release_log, schema
from tests.share.support import document, patients

CODES = [f"A99{n:03}" for n in range(1, 14)]
HTN = "bp-htn-u80"


@pytest.fixture
def unnamed(world):
    """Thirteen practices who see each other's bands, for a year."""
    mode = {"mode": "anonymous"}
    world.agree(document(*CODES, peerIdentification=mode))
    for number, day in ((0, 0), (1, 200), (2, 400)):
        world.cut = day
        cells = {
            code: {HTN: patients(20 + 3 * n + 15 * number, 100)} for n, code in enumerate(CODES)
        }
        world.release(cells)
    return world


def read(world, what):
    with world.share.database.read() as connection:
        return what(release_log.read(connection, catalogue()))


def attacked(world):
    return read(world, attack)


def of(report, name):
    (found,) = (tried for tried in report.attacks if tried.name == name)
    return found


def test_derived_figures_and_views_are_read_as_they_were_shown(unnamed):
    figures = list(read(unnamed, lambda log: list(log.derived())))
    mine = [figure for figure in figures if figure.viewer == CODES[0]]
    assert [figure.epoch for figure in mine] == [1, 2, 3]
    assert {figure.level for figure in mine} == {Level.ANONYMOUS}
    assert mine[2].parts == frozenset((code, 3) for code in CODES[1:])
    views = read(unnamed, lambda log: list(log.views()))
    assert len(views) == len(CODES)
    view = views[0]
    assert sum(view.bands) == 12
    # the newest epoch's figures, and the exact ones of the first, 400 days before
    assert {view.now[code] - view.last_year[code] for code in view.now} <= {28, 29, 30, 31, 32}


def test_nothing_is_found_in_what_the_service_showed(unnamed):
    report = attacked(unnamed)
    assert report.finds == ()
    assert of(report, "differencing of derived figures").pairs == 13 * 3
    assert of(report, "linkage").pairs == 13


def test_a_set_that_lost_one_member_is_found(unnamed):
    row = schema.derived_sets.c
    with unnamed.share.database.write() as connection:
        first = connection.execute(
            schema.derived_sets.select().where(row.viewer == CODES[0])
        ).first()
        shorter = first._asdict() | {"epoch": 3, "members": str(CODES[1:12]).replace("'", '"')}
        connection.execute(schema.derived_sets.insert(), shorter)
    finds = attacked(unnamed).finds
    assert {find.kind for find in finds} == {Kind.MEMBERS}
    assert {find.practice for find in finds} == {CODES[12]}
    assert {find.viewer for find in finds} == {CODES[0]}


def test_practices_seen_by_name_are_known_from_the_audit(unnamed):
    """Nine others are left once the viewer reads three by name, at an epoch of the past too."""
    codes = CODES[:4]
    terms = {"mode": "named"}
    unnamed.agree(document(*codes, peerIdentification=terms, id="close", network={"id": "south"}))
    assert unnamed.peers(CODES[0], "south", epoch=1).status_code == 200
    finds = [find for find in attacked(unnamed).finds if find.kind is Kind.REMAINDER]
    assert [(find.viewer, find.epochs) for find in finds] == [(CODES[0], (1,))]
    assert "knows 3 by name; less these it is a figure of 9" in finds[0].sentence


def test_a_retracted_release_is_still_held_against_the_others(unnamed):
    with unnamed.share.database.write() as connection:
        store.retract(connection, CODES[0], [HTN], 3, at=1, by="dr-jones", reason="wrong codes")
    report = attacked(unnamed)
    assert report.finds == ()
    assert "1 of them retracted" in of(report, "differencing of releases").over
    assert of(report, "differencing of releases").pairs == 13 * 3


def test_a_successor_that_differs_by_few_from_its_predecessors_together_is_found(world):
    """Two practices merge; of their patients three have left. The gate is not told of the merger,
    the attacker is."""
    one, two = patients(40, 100), patients(30, 100, start=500)
    world.release({"A99001": {HTN: one}, "A99002": {HTN: two}})
    both = {patient: pair for patient, pair in (one | two).items() if patient >= 3}
    world.release({"A99003": {HTN: both}})
    assert attacked(world).finds == ()
    with world.share.database.write() as connection:
        rows = [
            {"successor": "A99003", "predecessor": code, "day": 20_000, "at": 1, "by": "dr-jones"}
            for code in ("A99001", "A99002")
        ]
        connection.execute(schema.successions.insert(), rows)
    (find,) = attacked(world).finds
    assert (find.kind, find.practice) == (Kind.PATIENTS, "A99003")
    assert "3 in the denominator and 3 in the numerator" in find.sentence


def test_a_stricter_series_that_does_not_hold_what_its_agreement_asks_is_found(world):
    """Two releases 12 patients apart. The agreement asks for 20; the tables come to say that it
    shows both."""
    codes = CODES[:2]
    world.agree(document(*codes, disclosureControl={"minChange": 20}))
    for numerator in (20, 32):
        world.release({code: {HTN: patients(numerator, 100)} for code in codes})
    assert attacked(world).finds == ()
    with world.share.database.write() as connection:
        connection.execute(schema.cells.update().values(reach=100))
    finds = attacked(world).finds
    assert [(find.kind, find.practice, find.epochs) for find in finds] == [
        (Kind.STRICTER, code, (1, 2)) for code in codes
    ]
    assert "minChange of 20, and differ by 12 patients" in finds[0].sentence
    assert of(attacked(world), "differencing of stricter series").pairs == 2


def test_a_figure_that_a_stricter_agreement_goes_on_showing_is_in_what_is_derived(world):
    """Most agreements show that one practice is suppressed; this one shows its figure of before."""
    world.agree(
        document(
            *CODES,
            peerIdentification={"mode": "distribution"},
            dataItems=[{"indicatorId": HTN}],
            disclosureControl={"minChange": 30},
        )
    )
    cells = {code: {HTN: patients(84, 100)} for code in CODES}
    world.release(cells)
    world.release(cells | {CODES[3]: {HTN: patients(96, 100)}})
    (found,) = world.peers(CODES[0]).json()["derived"]
    assert (found["state"], found["contributors"], found["median"]) == ("value", 12, 85)
    figures = read(world, lambda log: list(log.derived()))
    assert {figure.epoch for figure in figures} == {1, 2}
    assert all(len(figure.parts) == 12 for figure in figures)
    assert attacked(world).finds == ()
