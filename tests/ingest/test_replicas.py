"""Several replicas on one PostgreSQL: a practice's submissions never interleave."""

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from peerview_common import codes
from peerview_ingest import database
from peerview_ingest.main import DEMONSTRATION_KEY
from peerview_ingest.plan import Plan
from peerview_ingest.publisher import Position
from peerview_ingest.store import Store
from peerview_ingest.submission import Ingest
from peerview_tools.issuer import DevelopmentIssuer
from tests.ingest.builders import NOW, PRACTICE, bundle, condition, dissent, meta, patient
from tests.ingest.conftest import MemoryLog, Service, settings
from tests.ingest.stores import own_database
from tests.ingest.test_submission import P1, P2, state

OTHER = "A99002"


@pytest.fixture
def url(postgres_url: str) -> Iterator[str]:
    with own_database(postgres_url) as made:
        yield made


@pytest.fixture
def stores_of_two(url: str) -> Iterator[tuple[Store, Store]]:
    both = Store(url), Store(url)
    yield both
    for each in both:
        each.close()


class SharedLog(MemoryLog):
    """Both replicas' log: notes who is between sending and remembering."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = 0
        self.most = 0

    async def publish(
        self,
        changes: Sequence[bytes],
        practice: str,
        traceparent: str | None,
        kinds: Sequence[str] | None = None,
    ) -> list[Position]:
        self.inside += 1
        self.most = max(self.most, self.inside)
        # whoever else wants in has every chance to come
        for _ in range(20):
            await asyncio.sleep(0)
        try:
            return await super().publish(changes, practice, traceparent, kinds)
        finally:
            self.inside -= 1


@pytest.fixture
async def replicas(tmp_path: Path, url: str) -> AsyncIterator[list[Service]]:
    issuer = DevelopmentIssuer(tmp_path / "issuer")
    log = SharedLog()
    made = []
    for ahead in (0, 3_600_000):
        clock = itertools.count(NOW + ahead, 1_000)
        chosen = settings(tmp_path, issuer, ingest_database=url)
        ingest = Ingest(
            chosen,
            Store(url),
            log,
            codes.shipped(),
            DEMONSTRATION_KEY,
            lambda clock=clock: next(clock),
        )
        made.append(Service(ingest, log, issuer))
    yield made
    for each in made:
        await each.client.aclose()
        each.ingest.close()


def test_a_practices_turn_is_one_replicas_at_a_time(stores_of_two: tuple[Store, Store]) -> None:
    first, second = stores_of_two
    entered, order = threading.Event(), []

    def wait() -> None:
        with second.turn(PRACTICE, "demo"):
            order.append("second")
            entered.set()

    with first.turn(PRACTICE, "demo") as turn:
        waiting = threading.Thread(target=wait)
        waiting.start()
        # it does wait for the lock: PostgreSQL says so
        end = time.monotonic() + 60
        query = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        while not turn.connection.execute(query).scalar_one():
            turn.connection.rollback()
            assert time.monotonic() < end
        turn.connection.rollback()
        with second.turn(OTHER, "demo"):
            order.append("another practice")
        turn.commit(Plan(), {}, 1)
        order.append("first")
    assert entered.wait(10)
    waiting.join()
    assert order == ["another practice", "first", "second"]


def test_a_turn_is_free_again_when_its_replica_dies(stores_of_two: tuple[Store, Store]) -> None:
    first, second = stores_of_two
    with pytest.raises(SQLAlchemyError), first.turn(PRACTICE, "demo") as turn:
        number = turn.connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        turn.connection.rollback()
        with second.engine.begin() as connection:
            connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": number})
        with second.turn(PRACTICE, "demo") as other:
            other.commit(Plan(), {"o": "theirs"}, 1)
        turn.commit(Plan(), {"o": "late"}, 1)
    with first.turn(PRACTICE, "demo") as turn:
        assert turn.organisations() == {"o": "theirs"}, "it goes on with another connection"


def test_a_turn_that_does_not_come_is_an_error(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "LOCK_TIMEOUT_MS", 200)
    first, second = Store(url), Store(url)
    with (
        first.turn(PRACTICE, "demo"),
        pytest.raises(SQLAlchemyError),
        second.turn(PRACTICE, "demo"),
    ):
        raise AssertionError("it came")
    with second.turn(PRACTICE, "demo"):
        pass
    first.close()
    second.close()


async def test_submissions_of_a_practice_to_two_replicas_do_not_interleave(
    replicas: list[Service],
) -> None:
    async def send(number: int) -> int:
        service = replicas[number % 2]
        # one condition goes to and fro between two patients, in ever newer versions
        document = condition(
            "c1",
            meta=meta("2026-01-01T00:00:00Z", str(number // 2)),
            subject={"reference": f"Patient/p{1 + number % 2}"},
        )
        return (await service.bundle(bundle(document, condition(f"x{number}")))).status_code

    answers = await asyncio.gather(*(send(number) for number in range(60)))
    assert set(answers) == {202}
    log = replicas[0].log
    assert log.most == 1, "one is between sending and remembering"
    held = state(replicas[0])
    ids = [fact.id for facts in held.values() for fact in facts.values()]
    assert ids.count(b"c1") == 1, "it counts for one patient alone"
    assert len(ids) == 61
    received = [each.received for each in log.sets()]
    assert len(log.records) >= 60
    assert received == sorted(set(received)), "whatever their clocks say"


async def test_what_one_replica_was_told_the_other_knows(replicas: list[Service]) -> None:
    one, two = replicas
    early, late = meta("2026-01-01T00:00:00Z"), meta("2026-01-02T00:00:00Z")
    await one.bundle(bundle(patient(), condition(meta=early)))
    again = await two.bundle(bundle(condition(meta=early)))
    assert "unchanged=1" in again.headers["Peerview-Receipt"]
    await two.bundle(bundle(condition(meta=late, subject={"reference": "Patient/p2"})))
    assert set(state(one)[P1]) == {("", 7, b"p1")}
    assert len(state(one)[P2]) == 1
    await one.bundle(bundle(dissent()))
    await two.bundle(bundle(condition("c9")))
    assert state(one)[P1] == {}
    key = {"Idempotency-Key": "once"}
    first = await one.bundle(bundle(condition("k1")), headers=key)
    second = await two.bundle(bundle(condition("k1")), headers=key)
    assert first.content == second.content
