"""A successor's gate remembers what its predecessors released, alone and together."""

import pytest

from peerview_share.disclosure.cell import CellState
from peerview_share.store import epochs as store
from peerview_share.store import schema
from tests.share.release.test_epochs import Leading

LEFT, RIGHT, MERGED = "A99001", "A99002", "A99003"


def people(start, numerator, denominator):
    return {start + n: (1, int(n < numerator)) for n in range(denominator)}


class Merging(Leading):
    def cut(self, day, **cells):
        from tests.share.support import submit

        epoch = self.epochs.open(day)
        self.epochs.mark_sent(epoch)
        for practice, found in cells.items():
            submit(self.database, practice, epoch.number, {"bp-htn-u80": found}, now=self.clock.now)
        hooks = {"alive": lambda: None, "guard": lambda connection: None}
        self.epochs.close(self.epochs.current(), frozenset(cells), **hooks)
        self.epochs.publish_if_due(self.epochs.current(), lambda connection: None)
        self.epochs.tidy(lambda: None, lambda connection: None)
        with self.database.read() as connection:
            return {
                practice: found["bp-htn-u80"]
                for practice, found in store.cells(connection, epoch.number).items()
            }

    def merge(self):
        rows = [
            {"successor": MERGED, "predecessor": code, "day": 20_060, "at": 1, "by": "operator"}
            for code in (LEFT, RIGHT)
        ]
        with self.database.write() as connection:
            connection.execute(schema.successions.insert(), rows)


@pytest.fixture
def merging(database):
    return Merging(database)


def released(merging, *moved):
    """Both release at two epochs, then merge; ``moved`` of the left one's change."""
    merging.cut(20_000, A99001=people(0, 40, 100), A99002=people(1000, 30, 60))
    merging.cut(20_030, A99001=people(0, 55, 100), A99002=people(1000, 30, 60))
    merging.merge()


def test_a_successor_starts_a_series_and_is_compared_with_the_union(merging):
    released(merging)
    same = people(0, 55, 100) | people(1000, 30, 60)
    assert merging.cut(20_070, A99003=same)[MERGED].state is CellState.NOT_SUBMITTED
    few = people(0, 58, 100) | people(1000, 30, 60)
    assert merging.cut(20_080, A99003=few)[MERGED].state is CellState.NOT_SUBMITTED
    enough = people(0, 65, 100) | people(1000, 30, 60)
    found = merging.cut(20_090, A99003=enough)[MERGED]
    assert (found.state, found.figure.numerator) == (CellState.VALUE, 95)


def test_sums_of_releases_of_different_epochs_count_too(merging):
    released(merging)
    as_at_first = people(0, 43, 100) | people(1000, 30, 60)
    assert merging.cut(20_070, A99003=as_at_first)[MERGED].state is CellState.NOT_SUBMITTED


def test_one_predecessor_alone_is_compared_with_too(merging):
    released(merging)
    nearly_left_alone = people(0, 55, 100) | people(1000, 2, 5)
    assert merging.cut(20_070, A99003=nearly_left_alone)[MERGED].state is CellState.NOT_SUBMITTED


def test_without_a_merger_they_are_strangers(merging):
    merging.cut(20_000, A99001=people(0, 40, 100))
    found = merging.cut(20_030, A99003=people(0, 40, 100))
    assert found[MERGED].state is CellState.VALUE
