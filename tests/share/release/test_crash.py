"""A crash at any statement of a close or a publication leaves the old epoch or the new one.

The process that works is really killed: no handler runs, nothing is rolled back by us.
"""

import os

import pytest
from sqlalchemy import event

from peerview_common.catalogue import catalogue
from peerview_share.disclosure.cell import CellState
from peerview_share.release.epochs import Epochs
from peerview_share.store import epochs as store
from peerview_share.store import kept, schema
from peerview_share.store.database import Database
from tests.share.support import Clock, patients, submit

PRACTICES = ("A99001", "A99002")
BP = "bp-htn-u80"
KILLED = 9


def nothing(*_):
    pass


class Turn:
    """What the leader does at one epoch, over a database that others can open too."""

    def __init__(self, url, on_publish=nothing):
        self.database = Database(url)
        self.clock = Clock()
        self.epochs = Epochs(
            self.database,
            catalogue(),
            clock=self.clock,
            deadline_s=60,
            lag_days=0,
            snapshot_months=36,
            on_publish=on_publish,
        )

    def cut(self, numerator):
        epoch = self.epochs.open(20_000)
        self.epochs.mark_sent(epoch)
        for code in PRACTICES:
            cells = {BP: patients(numerator, 100), "dna": patients(numerator, 300)}
            submit(self.database, code, epoch.number, cells, now=self.clock.now)

    def work(self):
        """Close, publish and tidy, from wherever a crash left it."""
        current = self.epochs.current()
        if current is not None and current.closed_at is None:
            self.epochs.close(current, frozenset(PRACTICES), alive=nothing, guard=nothing)
            current = self.epochs.current()
        if current is not None:
            self.epochs.publish_if_due(current, nothing)
        self.epochs.tidy(nothing, nothing)

    def progress(self):
        """How far the work has come, as far as it is kept."""
        newest = self.epochs.last()
        with self.database.read() as connection:
            forms = [row.form for row in connection.execute(schema.snapshots.select())]
        return newest.closed_at, newest.published_at, sorted(forms)

    def shown(self):
        """Of each practice, what peers see; and whether the gate has all that was released."""
        with self.database.read() as connection:
            newest = store.published(connection)
            cells = store.cells(connection, newest.number)
            for code in PRACTICES:
                found = store.release_epochs(connection, code, before=newest.number + 1)
                for name, numbers in found.items():
                    past = kept.read(connection, code, numbers)
                    for number in numbers:
                        assert past.columns(number, name).denominator.sum() in (100, 300)
            return newest.number, [cells[code][BP].figure.numerator for code in PRACTICES]


def killed_at(url, statement):
    """Work in a child that dies before its so-many-th statement; False once it got to its end."""
    child = os.fork()
    if child == 0:
        # a child must never return into pytest, whatever happens
        try:
            turn = Turn(url)
            left = [statement]

            @event.listens_for(turn.database.engine, "before_cursor_execute")
            def _count(*_):
                left[0] -= 1
                if left[0] == 0:
                    os._exit(KILLED)

            @event.listens_for(turn.database.engine, "commit")
            def _commit(_):
                left[0] -= 1
                if left[0] == 0:
                    os._exit(KILLED)

            turn.work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, KILLED)
    return code == KILLED


def test_a_kill_at_any_statement_leaves_the_old_epoch_or_the_new_one(database):
    url = database.engine.url.render_as_string(hide_password=False)
    turn = Turn(url)
    turn.cut(40)
    turn.work()
    old = (1, [40, 40])
    assert turn.shown() == old
    turn.cut(60)
    new = (2, [60, 60])
    turn.database.close()
    database.close()
    seen, kills, statement, reached = [], 0, 0, None
    dead = True
    while dead:
        statement += 1
        dead = killed_at(url, statement)
        kills += dead
        after = Turn(url)
        found = after.shown()
        assert found in (old, new), f"after a kill at statement {statement}"
        seen.append(found)
        if after.progress() != reached:
            # a piece of work was done for good: what comes after it is killed from its beginning
            reached, statement = after.progress(), 0
        after.database.close()
    assert seen[0] == old
    assert seen[-1] == new
    assert kills > 40, "at every statement on the way"
    whole = Turn(url)
    with whole.database.read() as connection:
        forms = connection.execute(schema.snapshots.select()).all()
        cells = store.cells(connection, 2)
    assert {row.form for row in forms} == {"kept"}
    assert {cell.state for found in cells.values() for cell in found.values()} == {
        CellState.VALUE, CellState.NOT_SUBMITTED,
    }  # fmt: skip
    whole.database.close()


@pytest.mark.parametrize("number", [1, 2])
def test_what_belongs_to_the_same_instant_is_in_the_same_transaction(database, number):
    """Derived sets are written with the publication or not at all."""

    def fails(connection, epoch):
        connection.execute(
            schema.leases.insert(), {"name": "x", "holder": "x", "expires_at": epoch.number}
        )
        raise RuntimeError("as by a crash")

    url = database.engine.url.render_as_string(hide_password=False)
    turn = Turn(url)
    for turned in range(1, number):
        turn.cut(20 + 20 * turned)
        turn.work()
    turn.cut(80)
    broken = Turn(url, on_publish=fails)
    with pytest.raises(RuntimeError, match="crash"):
        broken.work()
    with turn.database.read() as connection:
        assert connection.execute(schema.leases.select()).all() == []
        newest = store.published(connection)
    assert (newest.number if newest else 0) == number - 1
    turn.work()
    assert turn.shown()[0] == number
    broken.database.close()
    turn.database.close()
