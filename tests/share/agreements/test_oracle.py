"""Random questions over random lives of agreements: the product against the paper."""

import shutil
import time
from random import Random

import pytest

from peerview_share.agreements import index as indexing
from peerview_share.agreements.index import compile_index
from peerview_share.store import agreements as store
from peerview_share.store.database import Database
from tests.share.agreements import oracle
from tests.share.agreements.living import (
    BEGIN,
    EVERYBODY,
    INDICATORS,
    NETWORKS,
    PRACTICES,
    Living,
    random_act,
    random_questions,
)

ACTS, MOMENTS, QUESTIONS = 40, 8, 100


@pytest.fixture
def fresh(tmp_path):
    """New databases, one after another."""
    made = []
    template = Database(f"sqlite:///{tmp_path}/template.db")
    template.migrate()
    template.close()

    def make():
        path = tmp_path / f"{len(made)}.db"
        shutil.copy(tmp_path / "template.db", path)
        made.append(Database(f"sqlite:///{path}"))
        return made[-1]

    yield make
    for database in made:
        database.close()


def life(database, rng):
    living = Living(database)
    for _ in range(ACTS):
        random_act(living, rng)
    return living


def moments(living, rng):
    """Now, moments at which something happened or a day began, just before those, and any."""
    known = [point for point in oracle.turning_points(living.events) if point <= living.now]
    near = [rng.choice(known) - rng.choice((0, 0, 1)) for _ in range(MOMENTS // 2)]
    return [living.now, *near, *(rng.randint(BEGIN, living.now) for _ in range(MOMENTS // 2 - 1))]


def try_lives(fresh, first_seed, wanted, questions=QUESTIONS):
    """Ask until so many were asked. Returns how many, of how many lives, how many granted."""
    asked = granted = lives = taken = 0
    while asked < wanted:
        rng = Random(first_seed + lives)
        living = life(fresh(), rng)
        for moment in moments(living, rng):
            living.judge(random_questions(living, rng, questions), moment)
            living.judge_states(moment)
        living.database.close()
        asked, granted = asked + living.asked, granted + living.granted
        lives, taken = lives + 1, taken + living.taken
    return asked, lives, taken, granted


def test_the_index_says_what_the_paper_says(fresh):
    asked, lives, _, granted = try_lives(fresh, 1, 5_000)
    assert asked >= 5_000
    assert granted > asked / 20, f"{granted} of {asked}: too few to show anything"
    assert lives >= 7


@pytest.mark.long
def test_a_hundred_thousand_questions(fresh, capsys):
    seed = time.time_ns() % 1_000_000_000
    began = time.monotonic()
    asked, lives, taken, granted = try_lives(fresh, seed, 100_000, questions=50)
    took = time.monotonic() - began
    with capsys.disabled():
        print(
            f"\n{asked:,} questions over {lives} lives of agreements ({taken:,} acts, "
            f"seed {seed}): {granted:,} granted, no disagreement, {took:.0f} s"
        )
    assert asked >= 100_000


def every_question():
    return [
        (n, v, s, i) for n in NETWORKS for v in EVERYBODY for s in PRACTICES for i in INDICATORS
    ]


def test_an_index_that_is_not_compiled_anew_never_shows_too_much_as_time_passes(fresh):
    rng = Random(7)
    for _ in range(4):
        living = life(fresh(), rng)
        with living.database.read() as connection:
            records = store.records(connection)
        index = compile_index(records, living.now)
        began = oracle.first_active(living.events)
        for later in (1, 3_600_000, *(day * 86_400_000 for day in range(1, 9))):
            moment = living.now + later
            in_force = oracle.active(living.events, began, moment)
            for question in every_question():
                grant = index.look_up(*question, moment)
                assert (grant.level if grant else 0) <= oracle.level(in_force, *question)


def test_the_whole_view_of_a_viewer_is_what_single_questions_give(fresh):
    rng = Random(11)
    for _ in range(4):
        living = life(fresh(), rng)
        index = living.current.get().index
        for network, viewer, subject, indicator in every_question():
            grant = index.look_up(network, viewer, subject, indicator, living.now)
            whole = index.of(network, viewer).get(indicator, {}).get(subject)
            assert grant == whole
            assert grant is None or (network, viewer) in set(index.viewers())


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("_prohibitions", lambda record: iter(())),
        ("_shown", lambda party, indicators: indexing._allowed(party, indicators)),
    ],
)
def test_a_rule_left_out_of_the_product_is_found(fresh, monkeypatch, name, wrong):
    monkeypatch.setattr(indexing, name, wrong)
    with pytest.raises(AssertionError, match="the index says"):
        try_lives(fresh, 1, 5_000)
