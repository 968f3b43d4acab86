"""What a thousand agreements cost: to compile, and to ask."""

import itertools
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from statistics import median
from typing import Any, Final

from peerview_common.catalogue import catalogue
from peerview_share.agreements.clauses import Limits
from peerview_share.agreements.document import Agreement
from peerview_share.agreements.index import AgreementIndex, compile_index
from peerview_share.agreements.life import AgreementRecord
from peerview_share.agreements.replay import Change, Event, Text, replay
from peerview_share.store import agreements as store
from peerview_share.store import schema
from peerview_share.store.database import Database
from peerview_tools.bench.measure import Found, Size
from peerview_tools.bench.processes import resident_bytes
from peerview_tools.bench.surroundings import Surroundings

PARTIES: Final = 50
PRACTICES: Final = 6_250
"""About as many as there are in England: each is in eight agreements."""
NETWORKS: Final = 250
"""Four agreements each."""
NOW: Final = 1_790_000_000_000
_AGREEMENTS: Final[dict[Size, int]] = {"full": 1_000, "quick": 100, "tiny": 5}
_LOOKS: Final[dict[Size, int]] = {"full": 1_000_000, "quick": 100_000, "tiny": 1_000}
_TURNS: Final = 7


def compile_all(around: Surroundings, size: Size) -> Found:
    """From the agreements as they stand to the index; reading them from the database is told."""
    count = _AGREEMENTS[size]
    with tempfile.TemporaryDirectory(prefix="peerview-bench-") as home:
        around.say(f"{count:,} agreements of {PARTIES} parties and {len(catalogue())} indicators")
        database = Database(f"sqlite:///{home}/share.db")
        database.migrate()
        _fill(database, count)
        around.say("reading and compiling")
        began = time.perf_counter()
        with database.read() as connection:
            records = store.records(connection)
        reading = time.perf_counter() - began
        database.close()
    before = resident_bytes(os.getpid())
    took = []
    for _ in range(_TURNS):
        began = time.perf_counter()
        index = compile_index(records, NOW)
        took.append(time.perf_counter() - began)
    grown = (resident_bytes(os.getpid()) - before) / 1e6
    answers = sum(
        len(row) - (viewer in row)
        for viewers in index.networks.values()
        for viewer, tables in viewers.items()
        for table in tables
        for row in table.values()
    )
    return Found(
        median(took), f"median of {_TURNS}; {count:,} agreements, {PARTIES} parties, "
        f"{len(catalogue())} indicators: {answers:,} grants; the index and what compiling left "
        f"takes {grown:.0f} MB; reading all from SQLite before it took {reading:.1f} s, which a "
        "replica does once: then it reads those that changed",
    )  # fmt: skip


def look_up(around: Surroundings, size: Size) -> Found:
    """As the service asks: for one viewer all subjects and indicators, then for another."""
    count = _AGREEMENTS[size]
    records = [record for number in range(count) for record in _standing(number)]
    index = compile_index(records, NOW)
    around.say(f"looking up {_LOOKS[size]:,} times, {_TURNS} turns")
    questions = list(itertools.islice(_questions(records), _LOOKS[size]))
    by_view = _cost(index, questions)
    random.Random(2).shuffle(questions)  # noqa: S311
    anyhow = _cost(index, questions)
    granted = _ask(index, questions) / len(questions)
    longest = max(len(tables) for viewers in index.networks.values() for tables in viewers.values())
    return Found(
        by_view, f"median of {_TURNS} turns of {len(questions):,} look-ups as views ask, viewer "
        f"after viewer at random, without any cache of ours; {granted:.0%} granted; less the loop "
        f"around them; {count:,} agreements of {PARTIES} of {PRACTICES:,} practices, up to "
        f"{longest} of one viewer in one network; the same questions in any order, each a miss of "
        f"the processor's caches, {anyhow:.2f} µs",
    )  # fmt: skip


def _cost(index: AgreementIndex, questions: list[tuple[str, str, str, str]]) -> float:
    """Microseconds of one."""
    took = []
    for _ in range(_TURNS):
        began = time.perf_counter()
        _ask(index, questions)
        whole = time.perf_counter() - began
        began = time.perf_counter()
        _ask_nothing(questions)
        took.append((whole - (time.perf_counter() - began)) / len(questions) * 1e6)
    return median(took)


def _ask(index: AgreementIndex, questions: list[tuple[str, str, str, str]]) -> int:
    granted = 0
    for network, viewer, subject, indicator in questions:
        if index.look_up(network, viewer, subject, indicator, NOW) is not None:
            granted += 1
    return granted


def _ask_nothing(questions: list[tuple[str, str, str, str]]) -> None:
    for _network, _viewer, _subject, _indicator in questions:
        pass


def _questions(records: list[AgreementRecord]) -> Iterator[tuple[str, str, str, str]]:
    rng = random.Random(1)  # noqa: S311
    indicators = [sys.intern(name) for name in catalogue()]
    while True:
        record = rng.choice(records)
        viewer = rng.choice(record.parties).ods
        network = sys.intern(record.document.network.id)
        for indicator in indicators:
            for subject in record.parties:
                yield network, viewer, subject.ods, indicator


def _document(number: int) -> Agreement:
    """Half say the same of every indicator; a fifth ask for five peers; one in fifty prohibits."""
    rng = random.Random(number)  # noqa: S311
    indicators = list(catalogue())
    overrides = {} if number % 2 else dict.fromkeys(rng.sample(indicators, 3), "anonymous")
    if number % 50 == 0:
        overrides[rng.choice(indicators)] = "prohibit"
    return Agreement.model_validate(
        {
            "id": f"agreement-{number}",
            "title": "Learning together",
            "parties": [
                {"odsCode": f"A{code:05}", "name": f"Practice {code}"}
                for code in rng.sample(range(PRACTICES), PARTIES)
            ],
            "network": {"id": f"network-{number % NETWORKS}"},
            "purposes": ["peer-review"],
            "dataItems": [{"indicatorId": name} for name in indicators],
            "peerIdentification": {
                "mode": "named",
                "perIndicator": overrides,
                "minPeers": 5 if number % 5 == 0 else 0,
            },
            "validFrom": "2026-01-01",
            "validTo": "2029-12-31",
        }
    )


def _changes(document: Agreement, number: int) -> list[Change]:
    """Proposed, signed by all, and limited by one party in ten."""
    rng = random.Random(number)  # noqa: S311
    codes = [party.ods_code for party in document.parties]
    terms = document.terms_hash()
    moments = itertools.count(NOW - 1_000_000)
    found = [Change(1, Event.PROPOSED, codes[0], next(moments))]
    found += [Change(1, Event.SIGNED, code, next(moments), {"terms": terms}) for code in codes]
    for code in rng.sample(codes, PARTIES // 10):
        said = {rng.choice(list(catalogue())): rng.choice(["none", "anonymous"])}
        limits = Limits.model_validate({"perIndicator": said}).model_dump_json(by_alias=True)
        found.append(Change(1, Event.LIMITED, code, next(moments), {"limits": limits}))
    return found


def _standing(number: int) -> tuple[AgreementRecord, ...]:
    document = _document(number)
    text = Text(document, document.plain(), document.terms_hash())
    return replay({(1, 0): text}, _changes(document, number))


def _fill(database: Database, count: int) -> None:
    texts: list[dict[str, Any]] = []
    history: list[dict[str, Any]] = []
    for number in range(count):
        document = _document(number)
        texts.append(
            {
                "id": document.id, "version": 1, "edit": 0, "network": document.network.id,
                "document": json.dumps(document.plain()), "terms_hash": document.terms_hash(),
                "created_at": NOW, "created_by": "bench",
            }
        )  # fmt: skip
        history.extend(
            {
                "agreement": document.id, "version": 1, "event": change.event.value,
                "ods": change.ods, "by": "bench", "at": change.at,
                "detail": json.dumps(change.detail), "revision": len(history) + 1,
            }
            for change in _changes(document, number)
        )  # fmt: skip
    with database.write() as connection:
        connection.execute(schema.agreements.insert(), texts)
        connection.execute(schema.agreement_history.insert(), history)
