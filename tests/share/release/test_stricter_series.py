"""Agreements with a larger `minChange` or `minPatients`, over real epochs on both databases."""

import pytest
from alembic import command
from sqlalchemy import select, update

from peerview_common.catalogue import catalogue
from peerview_share.agreements.index import Conditions, Grant
from peerview_share.agreements.level import Level
from peerview_share.delivery.published import PublishedEpochs
from peerview_share.delivery.sight import Sight
from peerview_share.delivery.views import named_cells
from peerview_share.disclosure.cell import CellState
from peerview_share.store import epochs as store
from peerview_share.store import margins, previews, releases, schema
from peerview_share.store.database import _alembic
from tests.share.release.test_epochs import A, Leading
from tests.share.release.test_mergers import MERGED, Merging, people, released
from tests.share.store.test_agreement_migration import former, insert  # noqa: F401 - a fixture
from tests.share.support import patients, submit

HTN = "bp-htn-u80"


def shown(database, subject=A, number=None, **control):
    """The cell as an agreement with these stricter figures shows it at the newest epoch."""
    conditions = Conditions()
    conditions = Conditions(
        disclosure_control=conditions.disclosure_control.model_copy(update=control)
    )
    grant = Grant(Level.NAMED, "north", 1, None, conditions)
    seen = Sight("north", "A99009", {HTN: {subject: grant}}, {})
    epoch = PublishedEpochs(database).get(number)
    (found,) = named_cells(seen, epoch, catalogue())
    return found.cell


def told(cell):
    return cell.state.value, cell.epoch, cell.figure and cell.figure.numerator


@pytest.fixture
def leading(database):
    return Leading(database)


def test_a_stricter_series_shows_some_of_the_releases_with_their_dates(leading):
    series = {least: [] for least in (8, 10, 15, 20, 30)}
    for number, numerator in enumerate((20, 32, 44, 53), 1):
        leading.release(20_000 + 30 * number, numerator)
        for least, found in series.items():
            found.append(told(shown(leading.database, min_change=least)))
    # 9 patients differ from the third, 33 from the first: the series of 10 has the third
    assert series[8] == [("value", 1, 20), ("value", 2, 30), ("value", 3, 45), ("value", 4, 55)]
    assert series[10] == [*series[8][:3], ("carried-forward", 3, 45)]
    assert series[15] == [series[8][0], ("carried-forward", 1, 20), *series[10][2:]]
    assert series[20] == series[15], "24 patients differ from the first"
    assert series[30] == [series[8][0], *[("carried-forward", 1, 20)] * 3]
    with leading.database.read() as connection:
        assert margins.reaches(connection, A) == {HTN: {1: 100, 2: 10, 3: 20, 4: 8}}


def test_an_earlier_epoch_looks_as_it_did(leading):
    for number, numerator in enumerate((20, 32, 44), 1):
        leading.release(20_000 + 30 * number, numerator)
    assert told(shown(leading.database, number=2, min_change=20)) == ("carried-forward", 1, 20)
    assert told(shown(leading.database, number=3, min_change=20)) == ("value", 3, 45)


def test_a_figure_of_too_few_patients_is_not_shown(leading):
    leading.release(20_000, 40)
    assert told(shown(leading.database, min_patients=98)) == ("value", 1, 40)
    assert told(shown(leading.database, min_patients=99)) == ("suppressed", 1, None)


def test_releases_from_before_margins_are_not_shown_until_the_next_one(leading):
    leading.release(20_000, 20)
    leading.release(20_030, 38)
    with leading.database.write() as connection:
        connection.execute(update(schema.cells).values(reach=None, patients=None))
        connection.execute(update(schema.epochs).values(oldest_day=None))
    for asked in ({"min_change": 10}, {"min_patients": 25}):
        assert told(shown(leading.database, **asked)) == ("suppressed", 2, None)
    held = leading.release(20_060, 41)
    assert held.state is CellState.CARRIED_FORWARD
    for asked in ({"min_change": 10}, {"min_patients": 25}):
        assert told(shown(leading.database, **asked)) == ("suppressed", 2, None)
    leading.release(20_090, 47)
    for asked in ({"min_change": 100}, {"min_patients": 25}):
        assert told(shown(leading.database, **asked)) == ("value", 4, 45)
    assert told(shown(leading.database)) == ("value", 4, 45)


def test_what_the_gate_has_forgotten_is_not_shown_and_the_series_begins_anew(leading):
    leading.release(20_000, 20)
    leading.release(20_000 + 35 * 31, 32)
    assert told(shown(leading.database, min_change=20)) == ("carried-forward", 1, 20)
    leading.release(20_000 + 37 * 31, 35)
    assert told(shown(leading.database, min_change=20)) == ("suppressed", 1, None)
    assert told(shown(leading.database)) == ("carried-forward", 2, 30)
    # 24 patients of the second, which the series of 20 never had
    leading.release(20_000 + 38 * 31, 44)
    assert told(shown(leading.database, min_change=20)) == ("value", 4, 45)
    assert told(shown(leading.database, min_change=15)) == ("value", 4, 45)


def test_what_most_are_shown_is_remembered_however_old(leading):
    leading.release(20_000, 20)
    leading.release(20_000 + 40 * 31, 23)
    assert told(shown(leading.database, min_change=20)) == ("carried-forward", 1, 20)
    leading.release(20_000 + 41 * 31, 32)
    # compared with the first, and under the series of 20 not shown
    assert told(shown(leading.database)) == ("value", 3, 30)
    assert told(shown(leading.database, min_change=20)) == ("suppressed", 1, None)


def test_one_that_was_taken_back(leading):
    for number, numerator in enumerate((20, 40, 52), 1):
        leading.release(20_000 + 30 * number, numerator)
    assert told(shown(leading.database, min_change=20)) == ("carried-forward", 2, 40)
    with leading.database.write() as connection:
        store.retract(connection, A, [HTN], 3, at=1, by="x", reason="wrong")
    assert told(shown(leading.database)) == ("suppressed", 3, None)
    assert told(shown(leading.database, min_change=20)) == ("carried-forward", 2, 40)
    with leading.database.write() as connection:
        store.retract(connection, A, [HTN], 2, at=1, by="x", reason="wrong")
    assert told(shown(leading.database, min_change=20)) == ("suppressed", 2, None)
    leading.release(20_150, 46)
    assert told(shown(leading.database)) == ("suppressed", 3, None)
    assert told(shown(leading.database, min_change=20)) == ("suppressed", 2, None)


def test_what_was_held_leaves_no_margin(leading):
    """A jump that nobody confirmed is no release: nothing of it stays with the cell."""
    leading.release(20_000, 20)
    epoch = leading.epochs.open(20_030)
    leading.epochs.mark_sent(epoch)
    submit(leading.database, A, epoch.number, {HTN: patients(90, 100)}, now=leading.clock.now)
    leading.close()
    with leading.database.write() as connection:
        held = store.of_practice(connection, A, epoch.number)[HTN][0]
        previews.hold(connection, epoch.number, A, held, at=1, by="x", note="")
    leading.epochs.publish_if_due(leading.epochs.current(), lambda connection: None)
    with leading.database.read() as connection:
        assert margins.reaches(connection, A) == {HTN: {1: 100}}
        rows = connection.execute(schema.cells.select().where(schema.cells.c.epoch == 2)).all()
    assert [(row.reach, row.patients) for row in rows if row.indicator == HTN] == [(None, None)]


def test_the_log_of_releases_says_nothing_of_it(leading):
    """A digest over small numbers is soon tried: it is of what peers see."""
    leading.release(20_000, 20)
    with leading.database.write() as connection:
        before = connection.execute(schema.releases.select()).all()
        connection.execute(update(schema.cells).values(reach=8, patients=20))
        assert releases.verify(connection) == []
    assert before


class TestMergers:
    def reach(self, merging, **cells):
        merging.cut(20_100, **cells)
        with merging.database.read() as connection:
            return margins.reaches(connection, MERGED)[HTN]

    def test_every_sum_of_what_stricter_agreements_showed_counts(self, database):
        merging = Merging(database)
        released(merging)  # the left at 40, then 55; the right at 30
        enough = people(0, 68, 100) | people(1000, 30, 60)
        # 13 patients from the second sum, 28 from the first; the second reached 15
        assert self.reach(merging, A99003=enough) == {3: 10}

    def test_a_sum_that_no_stricter_agreement_showed_does_not(self, database):
        merging = Merging(database)
        merging.cut(20_000, A99001=people(0, 40, 100), A99002=people(1000, 30, 60))
        merging.cut(20_030, A99001=people(0, 52, 100), A99002=people(1000, 30, 60))
        merging.merge()
        # 12 from the newest sum, which no series of 15 has; 24 from the first
        enough = people(0, 64, 100) | people(1000, 30, 60)
        assert self.reach(merging, A99003=enough) == {3: 20}


def test_a_database_from_before_goes_on(former):  # noqa: F811
    kept = {
        "epoch": 1, "practice": A, "indicator": HTN, "state": "value", "version": "2026.1",
        "numerator": 40, "denominator": 100, "value": 40.0, "as_of": 20_000, "released_epoch": 1,
        "released_day": 20_000, "is_release": True,
    }  # fmt: skip
    config = _alembic()
    with former.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0006")
        insert(
            connection, "epochs", number=1, cut_id="c", day=20_000, opened_at=1, deadline=2,
            sent_at=1, closed_at=1, publish_at=1, published_at=1, rules="1",
        )  # fmt: skip
        insert(connection, "cells", **kept)
    digest = releases.digest_of([kept])
    former.migrate()
    assert told(shown(former)) == ("value", 1, 40)
    assert told(shown(former, min_change=10)) == ("suppressed", 1, None)
    with former.write() as connection:
        releases.record(connection, 1, 1)
        assert connection.execute(select(schema.releases.c.digest)).scalars().all() == [digest]
