"""The store on SQLite and on PostgreSQL: every behaviour, on both alike."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from peerview_ingest import key_versions
from peerview_ingest.database import make_engine
from peerview_ingest.fhir.objection import Origin, Word
from peerview_ingest.keyring import KeyVersion, PracticeKeys
from peerview_ingest.plan import Holder, Known, Pair, PatientState, Plan
from peerview_ingest.rekeying import Candidates, Phase
from peerview_ingest.store import Answer, Store, Turn
from peerview_ingest.tables import audit, facts, idempotency_keys, patients, sources
from tests.ingest.stores import database_url

__all__ = ["database_url"]

HERE, THERE = "A99001", "A99002"
P1, P2, P3 = b"1" * 16, b"2" * 16, b"3" * 16
LAST = b"\xff" * 16
MASTER = b"masterkey"[:8]


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    made = Store(database_url)
    yield made
    made.close()


def key(name: str) -> bytes:
    return name.encode().ljust(16, b".")


def row(*holders: tuple[bytes, int], stamp: int = 1, content: bytes = b"c") -> Known:
    return Known(
        stamp,
        -1,
        False,
        b"d" * 32,
        content.ljust(16, b"."),
        tuple(Holder(*each) for each in holders),
    )


def commit(store: Store, plan: Plan, practice: str = HERE, **rest: object) -> None:
    with store.turn(practice, "demo") as turn:
        turn.commit(plan, {}, 1, **rest)  # type: ignore[arg-type]


def rows(store: Store, *keys: bytes, practice: str = HERE) -> dict[bytes, Known]:
    with store.turn(practice, "demo") as turn:
        return turn.knowledge(keys, [], []).rows


def states(store: Store, *keys: bytes) -> dict[bytes, PatientState]:
    with store.turn(HERE, "demo") as turn:
        return turn.knowledge([], keys, []).patients


def words(store: Store, *keys: bytes) -> dict[bytes, dict[bytes, Word]]:
    with store.turn(HERE, "demo") as turn:
        return turn.knowledge([], keys, []).words


def person_of(store: Store, patient: bytes) -> bytes | None:
    with store.engine.connect() as connection:
        query = select(patients.c.person).where(patients.c.key == patient)
        return connection.execute(query).scalar_one()


def count(store: Store, table: object) -> int:
    with store.engine.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())  # type: ignore[arg-type]


# -- facts


def test_a_fact_is_found_again_with_whose_it_is_and_in_which_version(store: Store) -> None:
    known = row((P1, 1), (P2, 3), stamp=-(2**61))
    commit(store, Plan(rows={key("a"): known}))
    assert rows(store, key("a"), key("b")) == {key("a"): known}


def test_a_newer_version_takes_its_place(store: Store) -> None:
    commit(store, Plan(rows={key("a"): row((P1, 1))}))
    newer = row((P2, 1), stamp=2, content=b"n")
    commit(store, Plan(rows={key("a"): newer}))
    assert rows(store, key("a")) == {key("a"): newer}
    assert count(store, facts) == 1


def test_more_keys_than_fit_one_statement(store: Store) -> None:
    many = {n.to_bytes(16, "big"): row((n.to_bytes(16, "little"), 1)) for n in range(1_201)}
    commit(store, Plan(rows=many))
    assert rows(store, *many) == many


def test_facts_tell_of_the_states_and_words_of_those_who_have_them(store: Store) -> None:
    said = Word(5, True, False)
    commit(
        store,
        Plan(
            rows={key("a"): row((P1, 1), (P2, 1))},
            patients={P1: PatientState(4, False), P2: PatientState(2, True), P3: PatientState(9)},
            words={key("w"): (P2, said)},
        ),
    )
    with store.turn(HERE, "demo") as turn:
        known = turn.knowledge([key("a")], [], [])
    assert known.patients == {P1: PatientState(4), P2: PatientState(2, True)}
    assert known.words == {P2: {key("w"): said}}


def test_a_word_tells_of_whoever_said_it(store: Store) -> None:
    commit(
        store,
        Plan(patients={P1: PatientState(2, True)}, words={key("w"): (P1, Word(5, True, False))}),
    )
    with store.turn(HERE, "demo") as turn:
        assert turn.knowledge([key("w")], [], []).patients == {P1: PatientState(2, True)}


# -- patients


def test_a_state_and_a_number_do_not_undo_each_other(store: Store) -> None:
    number = b"n" * 16
    commit(store, Plan(persons={P1: number}))
    commit(store, Plan(patients={P1: PatientState(2, True, 2)}))
    commit(store, Plan(patients={P2: PatientState(3, False, 3)}))
    commit(store, Plan(persons={P2: number}))
    commit(store, Plan(persons={P3: number}, patients={P3: PatientState(5, False, 5)}))
    assert states(store, P1, P2, P3) == {
        P1: PatientState(2, True, 2),
        P2: PatientState(3, False, 3),
        P3: PatientState(5, False, 5),
    }
    with store.turn(HERE, "demo") as turn:
        assert turn.knowledge([], [], [number]).persons == {number: {P1, P2, P3}}


def test_an_objection_forgets_what_was_the_patients_alone(store: Store) -> None:
    commit(
        store,
        Plan(
            rows={
                key("a"): row((P1, 1)),
                key("b"): row((P1, 1), (P2, 1)),
                key("c"): row((P2, 1)),
                key("d"): row((LAST, 1)),
            },
        ),
    )
    commit(store, Plan(objected=[P1]))
    everything = [key(name) for name in "abcd"]
    assert set(rows(store, *everything)) == {key("b"), key("c"), key("d")}
    commit(store, Plan(objected=[LAST]))
    assert set(rows(store, *everything)) == {key("b"), key("c")}


def test_words_come_change_and_go(store: Store) -> None:
    first, later = Word(5, True, False), Word(9, False, True, Origin.CARRIED)
    commit(store, Plan(words={key("w"): (P1, first), key("v"): (P1, first)}))
    commit(store, Plan(words={key("w"): (P2, later), key("v"): None}))
    assert words(store, P1, P2) == {P2: {key("w"): later}}


def test_a_generation_is_reserved_and_nothing_else_is_changed(store: Store) -> None:
    commit(store, Plan(persons={P1: b"n" * 16}, patients={P1: PatientState(3, True, 3)}))
    with store.turn(HERE, "demo") as turn:
        turn.reserve(Plan(patients={P1: PatientState(4, False, 4), P2: PatientState(2, True, 2)}))
    assert states(store, P1, P2) == {P1: PatientState(3, True, 4), P2: PatientState(1, False, 2)}
    assert person_of(store, P1) == b"n" * 16
    assert states(store, P1)[P1].uncertain
    commit(store, Plan(patients={P1: PatientState(4, False, 4)}))
    assert states(store, P1) == {P1: PatientState(4, False, 4)}
    assert not states(store, P1)[P1].uncertain


def test_erasing_leaves_the_state_alone(store: Store) -> None:
    said = Word(5, True, False)
    commit(
        store,
        Plan(
            rows={key("a"): row((P1, 1)), key("b"): row((P1, 1), (P2, 1)), key("c"): row((P3, 1))},
            persons={P1: b"n" * 16, P2: b"m" * 16},
            words={key("w"): (P1, said), key("v"): (P2, said), key("u"): (P3, said)},
        ),
    )
    with store.turn(HERE, "demo") as turn:
        erased = {P1: PatientState(2, False, 2), P2: PatientState(3, True, 3)}
        turn.erase(erased, [P3])
    assert states(store, P1, P2, P3) == erased
    assert [person_of(store, who) for who in (P1, P2)] == [None, None]
    # of a fact that is another's too the row stays; under a former key nothing does
    assert set(rows(store, key("a"), key("b"), key("c"))) == {key("b")}
    assert words(store, P1, P2, P3) == {P2: {key("v"): said}}, "an objection stays"


def test_erasing_forgets_who_it_was_under_former_keys(store: Store) -> None:
    with store.turn(HERE, "demo") as turn:
        rekeyed(turn)
        turn.commit(Plan(pairs=[Pair(P1, P3, True), Pair(P2, LAST, True)]), {}, 1)
        turn.erase({P3: PatientState(11, False, 11)}, [P1])
        assert key_versions.counts(turn, 1) == (1, 0)
    assert P1 not in states(store, P1)


# -- what goes with it


def test_organisations_are_kept_by_practice_and_source(store: Store) -> None:
    for practice, source, ods in (
        (HERE, "demo", "X1"),
        (HERE, "other", "X2"),
        (THERE, "demo", "X"),
    ):
        with store.turn(practice, source) as turn:
            turn.commit(Plan(), {"o" * 300: ods, "p": ods}, 1)
    with store.turn(HERE, "demo") as turn:
        assert turn.organisations() == {"o" * 200: "X1", "p": "X1"}


def test_how_far_a_feed_is_whole_is_kept(store: Store) -> None:
    for through in (5, 7, None):
        with store.turn(HERE, "demo") as turn:
            turn.commit(Plan(), {}, through)
    with store.engine.connect() as connection:
        found = connection.execute(select(sources)).all()
    assert [(each.practice, each.source, each.data_through) for each in found] == [
        (HERE, "demo", 7)
    ]
    with store.turn(HERE, "other") as turn:
        assert turn.last_received() == 7, "of all the practice's systems"
    with store.turn(THERE, "demo") as turn:
        assert turn.last_received() == 0


def test_answers_are_kept_for_a_week_by_practice(store: Store) -> None:
    day = 86_400_000
    first = Answer(b"k" * 32, b"r" * 32, 202, '{"a": 1}', 10 * day)
    commit(store, Plan(), answer=first)
    with store.turn(THERE, "demo") as turn:
        assert turn.answer(b"k" * 32) is None
    with store.turn(HERE, "demo") as turn:
        found = turn.answer(b"k" * 32)
        assert found is not None
        assert (found.request, found.status, found.text) == (b"r" * 32, 202, '{"a": 1}')
    commit(store, Plan(), answer=Answer(b"l" * 32, b"r" * 32, 202, "{}", 17 * day))
    assert count(store, idempotency_keys) == 2
    commit(store, Plan(), answer=Answer(b"m" * 32, b"r" * 32, 202, "{}", 17 * day + 1))
    assert count(store, idempotency_keys) == 2
    with store.turn(HERE, "demo") as turn:
        assert turn.answer(b"k" * 32) is None


def test_the_audit_says_who_when_and_how_many(store: Store) -> None:
    with store.turn(HERE, "demo") as turn:
        turn.note("s" * 300, "pseudonyms", 17, 5)
    with store.engine.connect() as connection:
        (found,) = connection.execute(select(audit)).all()
    assert tuple(found)[1:] == (5, HERE, "s" * 200, "pseudonyms", 17)


def test_a_commit_is_whole_or_not_at_all(store: Store) -> None:
    commit(store, Plan(rows={key("a"): row((P1, 1))}))
    broken = Answer(b"k" * 32, None, 202, "{}", 1)  # type: ignore[arg-type]
    plan = Plan(
        rows={key("b"): row((P1, 1))},
        patients={P1: PatientState(2, True)},
        words={key("w"): (P1, Word(5, True, False))},
        objected=[P1],
    )
    with pytest.raises(SQLAlchemyError):
        commit(store, plan, answer=broken)
    assert set(rows(store, key("a"), key("b"))) == {key("a")}
    assert (states(store, P1), words(store, P1)) == ({}, {})


def test_a_store_says_when_its_database_is_away(tmp_path: Path, postgres_url: str) -> None:
    for url in (
        f"sqlite:///{tmp_path / 'nowhere' / 'x.db'}",
        postgres_url.rpartition("/")[0] + "/no_such_database",
    ):
        away = object.__new__(Store)
        away.engine = make_engine(url)
        with pytest.raises(SQLAlchemyError):
            away.check()
        away.engine.dispose()


def test_a_store_that_is_there_says_nothing(store: Store) -> None:
    store.check()


# -- versions of keys


def rekeyed(turn: Turn) -> None:
    """A practice with P1 and P2 under its first keys, that goes over to the second ones."""
    key_versions.keys_of(turn, MASTER, 1)
    turn.commit(
        Plan(
            rows={key("a"): row((P1, 1)), key("b"): row((P1, 1), (P2, 1))},
            patients={P1: PatientState(4, False, 9)},
            persons={P1: b"n" * 16},
        ),
        {},
        1,
    )
    key_versions.list_patients(turn)
    key_versions.add(turn, KeyVersion(2, MASTER, 10), Phase.OPEN, 5)
    key_versions.keys_of(turn, MASTER, 6)


def test_a_practice_gets_its_first_keys_once(store: Store) -> None:
    with store.turn(HERE, "demo") as turn:
        first = key_versions.keys_of(turn, MASTER, 7)
        assert first == PracticeKeys(KeyVersion(1, MASTER, 1), None)
        assert turn.keys == first
        assert key_versions.keys_of(turn, b"another!", 8) == first, "whatever key is given later"
    with store.turn(THERE, "demo") as turn:
        assert key_versions.keys_of(turn, b"another!", 9).current.master == b"another!"


def test_which_keys_count_depends_on_the_phase(store: Store) -> None:
    with store.turn(HERE, "demo") as turn:
        first = key_versions.keys_of(turn, MASTER, 1).current
        second, third = KeyVersion(2, MASTER, 5), KeyVersion(3, MASTER, 6)
        key_versions.add(turn, second, Phase.BEGINNING, 2)
        assert key_versions.keys_of(turn, MASTER, 3) == (first, None)
        key_versions.enter(turn, 2, Phase.CANCELLED, 4)
        assert key_versions.keys_of(turn, MASTER, 4) == (first, None)
        key_versions.add(turn, third, Phase.OPEN, 5)
        assert key_versions.keys_of(turn, MASTER, 5) == (third, first)
        key_versions.enter(turn, 3, Phase.FINISHING)
        assert key_versions.keys_of(turn, MASTER, 6) == (third, first)
        key_versions.enter(turn, 3, Phase.DONE, 8)
        assert key_versions.keys_of(turn, MASTER, 7) == (third, None)
        assert [(each.phase, each.ended) for each in key_versions.versions(turn)] == [
            (Phase.DONE, 1),
            (Phase.CANCELLED, 4),
            (Phase.DONE, 8),
        ]


def test_what_is_written_belongs_to_the_keys_of_the_turn(store: Store) -> None:
    with store.turn(HERE, "demo") as turn:
        rekeyed(turn)
        assert not key_versions.anything_under(turn, 2)
        turn.commit(Plan(rows={key("n"): row((P3, 10))}, persons={P3: b"m" * 16}), {}, 1)
        assert key_versions.anything_under(turn, 2)
        known = turn.knowledge([key("n")], [P3, LAST], [])
    assert known.patients == {P3: PatientState(10)}
    assert known.state(LAST) == PatientState(10), "everybody begins at the version's generation"


def test_everybody_who_has_a_fact_is_listed_once(store: Store) -> None:
    with store.turn(HERE, "demo") as turn:
        rekeyed(turn)
        key_versions.list_patients(turn)
        assert key_versions.counts(turn, 1) == (0, 2)
        assert turn.knowledge([], [P1, P2], []).patients == {
            P1: PatientState(4, False, 9),
            P2: PatientState(1),
        }
        assert key_versions.highest_generation(turn) == 9
    with store.turn(THERE, "demo") as turn:
        assert key_versions.counts(turn, 1) == (0, 0)
        assert key_versions.highest_generation(turn) == 1


def test_former_patients_are_found_by_key_and_by_number(store: Store) -> None:
    said = Word(5, True, False)
    with store.turn(HERE, "demo") as turn:
        key_versions.keys_of(turn, MASTER, 1)
        turn.commit(Plan(patients={P2: PatientState(2, True)}, words={key("w"): (P2, said)}), {}, 1)
        rekeyed(turn)
        turn.commit(Plan(pairs=[Pair(P2, P3, False)]), {}, 1)
        looked_for = Candidates({P3: P2, LAST: b"x" * 16}, {LAST: b"n" * 16})
        former = key_versions.former_patients(turn, 1, looked_for)
        assert former.patients == {P1, P2}
        assert former.persons == {b"n" * 16: {P1}}
        assert former.pairs == {P2: Pair(P2, P3, False)}
        assert former.words == {P2: {key("w"): said}}
        assert key_versions.former_patients(turn, 2, looked_for).patients == set()
    with store.turn(THERE, "demo") as turn:
        assert key_versions.former_patients(turn, 1, looked_for).patients == set()


def test_an_objection_reaches_the_former_patient(store: Store) -> None:
    with store.turn(HERE, "demo") as turn:
        rekeyed(turn)
        turn.commit(Plan(pairs=[Pair(P1, P3, True)]), {}, 1)
        plan = Plan(objected=[P3, LAST], pairs=[Pair(P2, LAST, True)])
        key_versions.object_formerly(turn, plan)
        assert {each.patient: each.generation for each in plan.changes} == {P1: 10, P2: 2}
        assert all(each.objected and not each.facts for each in plan.changes)
        turn.commit(plan, {}, 1)
        again = Plan(objected=[P3])
        key_versions.object_formerly(turn, again)
        assert again.changes == []


def test_pairs_are_joined_and_the_rest_is_emptied_and_all_is_forgotten(store: Store) -> None:
    with store.turn(THERE, "demo") as turn:
        key_versions.keys_of(turn, MASTER, 1)
        turn.commit(Plan(rows={key("other"): row((LAST, 1))}, persons={LAST: b"o" * 16}), {}, 1)
    with store.turn(HERE, "demo") as turn:
        rekeyed(turn)
        turn.commit(Plan(pairs=[Pair(P1, P3, False)], rows={key("n"): row((P3, 10))}), {}, 1)
        turn.commit(Plan(pairs=[Pair(P1, LAST, True)]), {}, 1)
        assert key_versions.counts(turn, 1) == (1, 1)
        assert key_versions.pairs_left(turn, 9) == [(Pair(P1, LAST, True), PatientState(1))]
        assert key_versions.unmatched_left(turn, 1, 9) == [(P2, PatientState(1))]
        key_versions.drop_former(turn, [P1], joined=1)
        key_versions.drop_former(turn, [P2], emptied=1)
        assert key_versions.pairs_left(turn, 9) == []
        assert key_versions.unmatched_left(turn, 1, 9) == []
        for _ in key_versions.drop_former_facts(turn, 1):
            pass
        last = key_versions.versions(turn)[-1]
        assert (last.joined, last.emptied) == (1, 1)
    assert set(rows(store, key("a"), key("b"), key("n"))) == {key("n")}
    assert set(rows(store, key("other"), practice=THERE)) == {key("other")}
    assert person_of(store, LAST) == b"o" * 16


def test_the_generation_of_a_new_patient_is_told_with_the_pair(store: Store) -> None:
    with store.turn(HERE, "demo") as turn:
        rekeyed(turn)
        turn.commit(
            Plan(pairs=[Pair(P2, P3, True)], patients={P3: PatientState(12, True, 12)}), {}, 1
        )
        assert key_versions.pairs_left(turn, 9) == [(Pair(P2, P3, True), PatientState(12, True))]


# -- turns


def test_a_turn_leaves_no_transaction_open(store: Store) -> None:
    with store.turn(HERE, "demo") as turn:
        turn.organisations()
        turn.knowledge([key("a")], [P1], [])
        assert not turn.connection.in_transaction()
        # neither does one that ends in an error keep anybody else out
    with pytest.raises(RuntimeError), store.turn(HERE, "demo") as turn:
        turn.organisations()
        raise RuntimeError
    commit(store, Plan(rows={key("a"): row((P1, 1))}))


def test_many_writers_of_one_process_do_not_meet(store: Store) -> None:
    failed: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for n in range(10):
                name = key(f"{number}-{n}")
                commit(store, Plan(rows={name: row((P1, 1))}), practice=f"A9900{number}")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert count(store, facts) == 60
