"""One submission, from documents to acknowledgement: read, plan, publish, remember.

A practice's submissions are taken one after the other, so that what the index knows is always what
the log has. The order of the last two steps is the promise: the log acknowledges before the index
remembers, and both before the sender hears "accepted". A crash in between means that the sender,
who heard nothing, sends again.
"""

import asyncio
import contextlib
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from msgspec import structs
from sqlalchemy import Connection

from peerview_common.changes import (
    FORMAT,
    MAX_RECORD_BYTES,
    ChangeSet,
    PatientChange,
    encode,
    encoded_size,
)
from peerview_common.codes import CodeList
from peerview_common.ids import OdsCode
from peerview_common.settings import IngestSettings
from peerview_ingest import counted, key_versions, rekeying
from peerview_ingest.fhir import Feed, HmacKeys, Issue, Outcome, Read, Reader, Receipt
from peerview_ingest.keyring import Keyring, PairingKeys
from peerview_ingest.plan import Knowledge, Plan, make_plan, newest_reads
from peerview_ingest.publisher import BusyError, Position, Publisher
from peerview_ingest.receipt import SubmissionReceipt
from peerview_ingest.store import Answer, Store, Turn

HEARTBEAT_MS: Final = 60_000
"""A submission in which nothing is new still shows that the feed is alive, so often at most."""
THREADS: Final = 64
MAX_PARTS: Final = MAX_RECORD_BYTES - 1_000
"""Room for the record's own fields."""

T = TypeVar("T")

Also = Callable[[Connection, "Submitted"], None]
"""Writes to the database in the transaction that remembers a submission."""

Reading = Callable[[Reader], list[tuple[int | None, Read]]]
"""Reads documents with a reader; each Read with its line, in a stream of lines."""


@dataclass(frozen=True, slots=True)
class Sender:
    practice: OdsCode
    source: str
    traceparent: str | None = None


class RefusedError(Exception):
    """A transaction of which something is wrong: nothing was written."""

    def __init__(self, issues: list[Issue]) -> None:
        super().__init__("refused")
        self.issues = issues


class TooLargeError(Exception):
    """A transaction that does not fit one record: nothing was written."""


@dataclass
class Submitted:
    """What became of every resource, and the receipt."""

    receipt: SubmissionReceipt
    reads: list[tuple[int | None, Read]]


@dataclass
class Step(Generic[T]):
    """What a turn hands to the log, and what it does once the log has acknowledged it."""

    records: Sequence[bytes]
    then: Callable[[list[Position]], T]
    kinds: Sequence[str] | None = None
    """The records' event types; without it all are change sets."""


@dataclass
class _Done:
    submitted: Submitted
    plan: Plan


@dataclass
class _Prepared:
    plan: Plan
    reads: list[tuple[int | None, Read]]
    organisations: dict[str, str]
    records: list[bytes]


class Ingest:
    """The service without its web part. ``now`` gives milliseconds UTC."""

    def __init__(
        self,
        settings: IngestSettings,
        store: Store,
        publisher: Publisher,
        codes: CodeList,
        master_key: bytes,
        now: Callable[[], int],
        previous_key: bytes | None = None,
    ) -> None:
        self.settings = settings
        self.store = store
        self.publisher = publisher
        self.codes = codes
        self.keyring = Keyring(master_key, previous_key)
        self._now = now
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._last: dict[str, int] = {}
        self._held = 0
        self._alive: dict[tuple[str, str], int] = {}
        # more threads than cores: on PostgreSQL they may wait for other replicas
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="ingest")

    def close(self) -> None:
        self._threads.shutdown(wait=True)
        self.store.close()

    def now(self) -> int:
        """Milliseconds UTC."""
        return self._now()

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Run what blocks beside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def submit(
        self,
        sender: Sender,
        reading: Reading,
        *,
        size: int = 0,
        atomic: bool = False,
        beat: bool = False,
        submission: str | None = None,
        remember: Callable[[Submitted], Answer | None] | None = None,
        also: Also | None = None,
        through: int | None = None,
    ) -> Submitted:
        """Take one submission, or one group of a longer one; ``beat`` sends one though it is empty.

        ``through`` is when the feed is known to be whole up to, where that is not now: the day of a
        drop, in milliseconds UTC.

        ``size`` is its bytes as received, held until it is done: bounded, or BusyError.
        Raises RefusedError and TooLargeError (``atomic`` alone), and the publisher's errors.
        """
        with self._hold(size):
            return await self._take(
                sender, reading, atomic, beat, submission, remember, also, through
            )

    @contextlib.contextmanager
    def _hold(self, size: int) -> Iterator[None]:
        if self._held and self._held + size > self.settings.max_in_flight_bytes:
            raise BusyError("too much awaits acknowledgement")
        self._held += size
        try:
            yield
        finally:
            self._held -= size

    async def _take(
        self,
        sender: Sender,
        reading: Reading,
        atomic: bool,
        beat: bool,
        submission: str | None,
        remember: Callable[[Submitted], Answer | None] | None,
        also: Also | None,
        through: int | None,
    ) -> Submitted:
        def work(turn: Turn, received: int) -> Step[_Done]:
            receipt = SubmissionReceipt(
                submission or str(uuid.uuid4()), sender.practice, sender.source, received
            )
            receipt.data_through = received if through is None else min(received, through)
            ready = self._prepare(turn, sender, reading, receipt, atomic, beat)

            def commit(positions: list[Position]) -> _Done:
                receipt.positions = positions
                if positions:
                    self._alive[(sender.practice, sender.source)] = received
                submitted = Submitted(receipt, ready.reads)
                answer = remember(submitted) if remember else None
                turn.commit(
                    ready.plan,
                    ready.organisations,
                    receipt.data_through,
                    answer,
                    (lambda connection: also(connection, submitted)) if also else None,
                )
                return _Done(submitted, ready.plan)

            return Step(ready.records, commit)

        done = await self.in_turn(sender, work)
        counted.tell(done.submitted.receipt, done.submitted.reads, done.plan)
        return done.submitted

    async def in_turn(self, sender: Sender, work: Callable[[Turn, int], Step[T]]) -> T:
        """Work on a practice while nobody else does. ``work`` gets the practice's turn and the time
        in milliseconds; its records go to the log, and once all are acknowledged its ``then`` runs,
        whose result is returned. Both run beside the event loop.

        A turn that has begun comes to its end, though the caller has gone: a thread that works on
        it cannot be called back."""
        turn = asyncio.ensure_future(self._turn(sender, work))
        turn.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return await asyncio.shield(turn)

    async def _turn(self, sender: Sender, work: Callable[[Turn, int], Step[T]]) -> T:
        async with self._locks[sender.practice]:
            stack = contextlib.ExitStack()

            def begin() -> Step[T]:
                turn = stack.enter_context(self.store.turn(sender.practice, sender.source))
                # another replica's clock may go ahead of this one's
                last = max(self._last.get(sender.practice, 0), turn.last_received())
                received = self._last[sender.practice] = max(self._now(), last + 1)
                return work(turn, received)

            def end(step: Step[T], positions: list[Position]) -> T:
                result = step.then(positions)
                stack.close()
                return result

            try:
                step = await self.in_thread(begin)
                positions: list[Position] = []
                if step.records:
                    positions = await self.publisher.publish(
                        step.records, sender.practice, sender.traceparent, step.kinds
                    )
                return await self.in_thread(lambda: end(step, positions))
            except BaseException:
                await asyncio.shield(self.in_thread(stack.close))
                raise

    def _prepare(
        self,
        turn: Turn,
        sender: Sender,
        reading: Reading,
        receipt: SubmissionReceipt,
        atomic: bool,
        beat: bool,
    ) -> _Prepared:
        keys = self.keys_of(turn, receipt.received)
        reads = reading(self._reader(sender, keys, receipt.received, turn.organisations()))
        refused = [
            issue
            for _, read in reads
            if read.outcome is Outcome.REJECTED
            for issue in read.issues
            if issue.severity == "error"
        ]
        if atomic and refused:
            raise RefusedError(refused)
        version = turn.keys.current.version
        newest = newest_reads(sender.practice, sender.source, (read for _, read in reads), version)
        known = turn.knowledge(
            list(newest),
            (patient for read in newest.values() for patient in read.patients),
            (read.person for read in newest.values() if read.person is not None),
        )
        if isinstance(keys, PairingKeys):
            recognise(turn, keys, newest.values(), known)
        plan = make_plan(self.codes, newest, known)
        if turn.keys.former is not None and plan.objected:
            key_versions.object_formerly(turn, plan)
        _tell(receipt, reads, plan)
        alive = self._alive.get((sender.practice, sender.source), 0)
        taken = any(read.outcome is not Outcome.REJECTED for _, read in reads)
        # a feed of which everything is refused is silent, whatever it sends
        beat = beat or (taken and receipt.received - alive > HEARTBEAT_MS)
        sets = list(change_sets(self._change_set(sender, receipt), plan.changes, beat=beat))
        if atomic and len(sets) > 1:
            raise TooLargeError
        turn.reserve(plan)
        places = _organisations(keys, sender.practice, reads)
        return _Prepared(plan, reads, places, [encode(each) for each in sets])

    def keys_of(self, turn: Turn, now: int) -> HmacKeys:
        """What the practice's submissions are pseudonymised with: ``PairingKeys`` during a
        re-keying. Raises ForeignKeysError."""
        current, former = key_versions.keys_of(turn, self.keyring.fingerprint, now)
        if former is None:
            return self.keyring.keys(turn.practice, current)
        return self.keyring.pairing(turn.practice, current, former)

    def _reader(
        self, sender: Sender, keys: HmacKeys, received: int, organisations: dict[str, str]
    ) -> Reader:
        feed = Feed(sender.practice, sender.source, sender.source in self.settings.register_all)
        clock = Receipt(received, self.settings.max_future_hours)
        return Reader(self.codes, feed, keys, clock, _Organisations(keys, organisations))

    def _change_set(self, sender: Sender, receipt: SubmissionReceipt) -> ChangeSet:
        return ChangeSet(
            format=FORMAT,
            practice=sender.practice,
            source=sender.source,
            submission=receipt.submission,
            received=receipt.received,
            data_through=receipt.data_through,
            codes=self.codes.version,
            patients=[],
        )


def recognise(turn: Turn, keys: PairingKeys, reads: Iterable[Read], known: Knowledge) -> None:
    """Find out which of these patients are patients of the former keys, and what those said."""
    assert turn.keys.former is not None  # noqa: S101 - there are no PairingKeys otherwise
    looked_for = rekeying.candidates(keys, reads)
    former = key_versions.former_patients(turn, turn.keys.former.version, looked_for)
    known.pairs = rekeying.match(looked_for, former)
    known.told = rekeying.carried(known.pairs, former)


def change_sets(
    empty: ChangeSet, changes: Sequence[PatientChange], *, beat: bool
) -> Iterator[ChangeSet]:
    """A submission's records: split between patients, and within one whose part is too large."""
    part: list[PatientChange] = []
    size = 0
    for change in changes:
        for piece in _pieces(change):
            more = encoded_size(piece)
            if part and size + more > MAX_PARTS:
                yield structs.replace(empty, patients=part)
                part, size = [], 0
            part.append(piece)
            size += more
    if part or beat:
        yield structs.replace(empty, patients=part)


def _pieces(change: PatientChange) -> Iterator[PatientChange]:
    if len(change.facts) < 2 or encoded_size(change) <= MAX_PARTS:
        yield change
        return
    middle = len(change.facts) // 2
    for facts in (change.facts[:middle], change.facts[middle:]):
        yield from _pieces(structs.replace(change, facts=facts))


class _Organisations(dict[str, str]):
    """Organisations by the ids that the index keeps, looked up by the ids that senders give."""

    def __init__(self, keys: HmacKeys, kept: Mapping[str, str]) -> None:
        super().__init__(kept)
        self._keys = keys

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(self._keys.fact_id(key), default)


def _organisations(
    keys: HmacKeys, practice: OdsCode, reads: Sequence[tuple[int | None, Read]]
) -> dict[str, str]:
    """What to remember of organisations: their ids, keyed where a person's could show through, and
    of their ODS codes whether it is the practice's own."""
    return {
        keys.fact_id(read.organisation[0]): practice if read.organisation[1] == practice else ""
        for _, read in reads
        if read.organisation is not None
    }


def _tell(receipt: SubmissionReceipt, reads: Sequence[tuple[int | None, Read]], plan: Plan) -> None:
    for line, read in reads:
        if read.outcome is Outcome.ACCEPTED:
            receipt.accepted += 1
            for issue in read.issues:
                if issue.severity == "warning":
                    receipt.warn(issue, line)
        elif read.outcome is Outcome.DROPPED:
            receipt.dropped += 1
        else:
            receipt.rejected += 1
            for issue in read.issues:
                if issue.severity == "error":
                    receipt.reject(issue, line)
    receipt.unchanged = min(plan.unchanged + plan.superseded, receipt.accepted)
    receipt.objections = len(plan.objected)
    receipt.opted_in = len(plan.opted_in)
    receipt.shared_nhs_numbers = len(plan.duplicates)
