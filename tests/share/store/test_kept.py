"""Kept snapshots: what was packed comes back, patients stand once, and what nobody saw goes."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from peerview_common.snapshots import contributions, decode_body
from peerview_share.disclosure.columns import Columns, mapping
from peerview_share.store import epochs as store
from peerview_share.store import kept, packing, schema
from tests.share.support import submit

A = "A99001"


def people(count, seed=1):
    draw = random.Random(seed)
    return [draw.getrandbits(64) for _ in range(count)]


@given(st.sets(st.integers(0, 2**64 - 1)))
def test_a_roster_comes_back(hashes):
    ascending = np.array(sorted(hashes), np.uint64)
    assert packing.unpack_roster(packing.pack_roster(ascending)).tolist() == ascending.tolist()


contribution = st.one_of(
    st.just((0, 0)),
    st.tuples(st.just(1), st.integers(0, 1)),
    st.tuples(st.integers(1, 2**32 - 1), st.integers(0, 2**32 - 1)),
)


@given(st.lists(contribution, max_size=400), st.integers(0, 5))
def test_columns_come_back_over_a_roster_that_grew(pairs, grown):
    roster = np.arange(len(pairs), dtype=np.uint64)
    both = np.array(pairs, np.int64).reshape(-1, 2)
    before = Columns(roster, both[:, 0], both[:, 1])
    data = packing.pack({"dna": ("2026.1", before)}, gps=4)
    later = np.arange(len(pairs) + grown, dtype=np.uint64)
    body = packing.unpack(data)
    found = packing.columns(body.cells["dna"], later)
    assert mapping(found) == mapping(before)
    assert found.roster is later
    assert (body.gps, body.cells["dna"].version) == (4, "2026.1")


@pytest.mark.parametrize("values", [1, 2, 3, 256, 257, 65_537])
def test_every_width_of_places(values):
    roster = np.arange(values, dtype=np.uint64)
    before = Columns(roster, np.ones(values, np.int64), np.arange(values))
    found = packing.unpack(packing.pack({"upc": ("1", before)}, gps=1)).cells["upc"]
    assert packing.columns(found, roster).numerator.tolist() == list(range(values))


class Keeping:
    def __init__(self, database):
        self.database = database

    def submit(self, cut, cells):
        submit(self.database, A, cut, cells)

    def keep(self, wanted, upto=99):
        with self.database.write() as connection:
            kept.keep(connection, A, wanted, upto=upto)

    def stored(self, cut, indicator):
        with self.database.read() as connection:
            snapshot = store.snapshot(connection, A, cut)
            past = kept.read(connection, A, [cut])
        found = contributions(decode_body(snapshot.body), indicator)
        assert mapping(past.columns(cut, indicator)) == found, "both ways to read it agree"
        return found

    def roster(self):
        with self.database.read() as connection:
            return set(kept.roster(connection, A).tolist())

    def forms(self):
        table = schema.snapshots
        with self.database.read() as connection:
            return dict(connection.execute(select(table.c.cut, table.c.form)).all())


@pytest.fixture
def keeping(database):
    return Keeping(database)


def both(patients, met):
    return {patient: (1, int(n < met)) for n, patient in enumerate(patients)}


def test_what_was_released_comes_back_and_the_rest_goes(keeping):
    first, second = people(300), people(300)[:250] + people(30, seed=2)
    keeping.submit(1, {"dna": both(first, 40), "upc": both(first[:50], 9)})
    keeping.submit(2, {"dna": both(second, 90)})
    keeping.submit(3, {"dna": both(second, 91)})
    keeping.keep({1: {"dna"}, 2: {"dna"}})
    assert keeping.forms() == {1: "kept", 2: "kept"}
    assert keeping.stored(1, "dna") == both(first, 40)
    assert keeping.stored(2, "dna") == both(second, 90)
    with keeping.database.read() as connection, pytest.raises(LookupError, match="upc"):
        kept.read(connection, A, [1]).columns(1, "upc")
    keeping.keep({1: {"dna"}, 2: {"dna"}})
    assert keeping.stored(2, "dna") == both(second, 90), "keeping again changes nothing"


def test_snapshots_of_a_cut_after_those_looked_at_stay(keeping):
    keeping.submit(1, {"dna": both(people(30), 9)})
    keeping.submit(2, {"dna": both(people(30), 9)})
    keeping.keep({1: {"dna"}}, upto=1)
    assert keeping.forms() == {1: "kept", 2: "arrived"}


def test_a_patient_stands_once_however_many_snapshots_there_are(keeping):
    patients = people(500)
    for cut in range(1, 7):
        keeping.submit(cut, {"dna": both(patients, 40 + 10 * cut)})
        keeping.keep({n: {"dna"} for n in range(1, cut + 1)})
    assert keeping.roster() == set(patients)
    with keeping.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(schema.rosters)).scalar() == 1
    assert keeping.stored(3, "dna") == both(patients, 70)


def test_who_is_in_no_snapshot_any_more_is_forgotten(keeping):
    before, after = people(200), people(200)[:150] + people(20, seed=3)
    keeping.submit(1, {"dna": both(before, 40)})
    keeping.submit(2, {"dna": both(after, 60)})
    keeping.keep({1: {"dna"}, 2: {"dna"}})
    keeping.submit(3, {"dna": both(after, 80)})
    keeping.keep({2: {"dna"}, 3: {"dna"}})
    assert keeping.roster() == set(after)
    assert keeping.stored(2, "dna") == both(after, 60)
    assert keeping.stored(3, "dna") == both(after, 80)


def test_who_contributes_only_to_what_was_not_released_is_not_kept(keeping):
    patients = people(100)
    keeping.submit(1, {"dna": both(patients[:40], 20), "upc": both(patients, 50)})
    keeping.keep({1: {"dna"}})
    assert keeping.roster() == set(patients[:40])


def test_arrived_and_kept_are_compared_over_one_roster(keeping):
    before, after = people(200), people(200)[20:] + people(20, seed=3)
    keeping.submit(1, {"dna": both(before, 40)})
    keeping.keep({1: {"dna"}})
    keeping.submit(2, {"dna": both(after, 60)})
    with keeping.database.read() as connection:
        past = kept.read(connection, A, [1, 2])
    old, new = past.columns(1, "dna"), past.columns(2, "dna")
    assert old.roster is new.roster
    assert (mapping(old), mapping(new)) == (both(before, 40), both(after, 60))
