"""Rows chained by hashes: whoever rewrites them, as an owner can, is found."""

import threading

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text

from peerview_share.store import audit, chain, schema
from peerview_share.store.audit import Disclosure
from peerview_share.store.chain import Head

A, B, C = "A99001", "A99002", "A99003"


def show(database, viewer, epoch, subject=C):
    found = [Disclosure(subject, viewer, "north", epoch, ("dna",), "north-learning", 1, "named")]
    with database.write() as connection:
        audit.append(connection, found, reader="dr-jones", channel="api", at=1)


def verify(database, noted=()):
    with database.read() as connection:
        return chain.verify(connection, noted)


def as_owner(database, statement):
    """Past the triggers, as somebody could who owns the database."""
    with database.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("ALTER TABLE disclosures DISABLE TRIGGER ALL"))
        else:
            for verb in ("UPDATE", "DELETE"):
                connection.execute(text(f"DROP TRIGGER IF EXISTS disclosures_no_{verb}"))
        connection.execute(text(statement))


@pytest.fixture
def shown(database):
    for epoch in (1, 2, 3):
        show(database, A, epoch)
        show(database, B, epoch)
    return database


def test_an_untouched_audit_is_whole(shown):
    heads, breaks = verify(shown)
    assert breaks == []
    assert [(head.table, head.chain, head.rows) for head in heads] == [
        ("disclosures", A, 3),
        ("disclosures", B, 3),
    ]
    assert len({head.hash for head in heads}) == 2


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE disclosures SET reader = 'nobody' WHERE seq = 3", [(A, 3)]),
        ("UPDATE disclosures SET viewer = 'A99002' WHERE seq = 3", [(A, 5), (B, 3), (B, 4)]),
        ("DELETE FROM disclosures WHERE seq = 3", [(A, 5)]),
        ("DELETE FROM disclosures WHERE seq = 1", [(A, 3)]),
        ("UPDATE disclosures SET hash = NULL WHERE seq = 3", [(A, 3), (A, 5)]),
        ("UPDATE disclosures SET seq = 7 WHERE seq = 3", [(A, 5), (A, 7)]),
    ],
)
def test_a_changed_or_missing_row_is_found(shown, statement, found):
    as_owner(shown, statement)
    _, breaks = verify(shown)
    assert [(wrong.chain, wrong.seq) for wrong in breaks] == found


@given(
    st.dictionaries(
        st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1),
        st.text() | st.integers(-(2**53) + 1, 2**53 - 1),
    )
)
def test_rows_are_hashed_as_canonical_json(row):
    assert chain.canonical(row) == rfc8785.dumps(row)


def test_a_lost_end_is_found_by_heads_that_were_noted(shown):
    noted, _ = verify(shown)
    show(shown, A, 4)
    assert verify(shown, noted)[1] == []
    as_owner(shown, "DELETE FROM disclosures WHERE seq IN (5, 7)")
    assert verify(shown)[1] == []
    (wrong,) = verify(shown, noted)[1]
    assert (wrong.chain, wrong.seq) == (A, None)


def test_a_chain_written_anew_is_found_by_heads_that_were_noted(shown):
    noted, _ = verify(shown)
    with shown.read() as connection:
        rows = connection.execute(
            select(schema.disclosures)
            .where(schema.disclosures.c.viewer == A)
            .order_by(schema.disclosures.c.seq)
        ).mappings()
        last, changes = chain.START, []
        for row in rows:
            last = chain.following(last, {**row, "reader": "nobody"})
            changes.append(f"WHEN {row['seq']} THEN '{last}'")
    as_owner(
        shown,
        f"UPDATE disclosures SET reader = 'nobody', hash = CASE seq {' '.join(changes)} END "
        f"WHERE viewer = '{A}'",
    )
    assert verify(shown)[1] == []
    assert [(wrong.chain, wrong.seq) for wrong in verify(shown, noted)[1]] == [(A, 5)]


def test_a_noted_chain_that_is_gone_is_found(shown):
    (wrong,) = verify(shown, [Head("disclosures", "A99009", 4, "0" * 64)])[1]
    assert (wrong.chain, wrong.seq) == ("A99009", None)


def test_writers_at_once_keep_every_chain_whole(database):
    def work():
        for epoch in range(20):
            show(database, A, epoch)
            show(database, B, epoch)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    heads, breaks = verify(database)
    assert breaks == []
    assert [head.rows for head in heads] == [80, 80]


def test_what_fails_leaves_no_gap(database):
    show(database, A, 1)
    with pytest.raises(ZeroDivisionError), database.write() as connection:
        found = [Disclosure(C, A, "north", 2, ("dna",), "north-learning", 1, "named")]
        audit.append(connection, found, reader="dr-jones", channel="api", at=1)
        raise ZeroDivisionError
    show(database, A, 3)
    heads, breaks = verify(database)
    assert breaks == []
    assert heads[0].rows == 2


def test_rows_from_before_there_were_chains_are_let_be(database):
    with database.write() as connection:
        row = {"at": 1, "subject": C, "viewer": A, "network": "north", "epoch": 1, "level": "named"}
        row |= {"indicators": "[]", "agreement": "a", "agreement_version": 1}
        connection.execute(schema.disclosures.insert(), row | {"reader": "dr", "channel": "api"})
    show(database, A, 2)
    heads, breaks = verify(database)
    assert breaks == []
    assert heads[0].rows == 1
