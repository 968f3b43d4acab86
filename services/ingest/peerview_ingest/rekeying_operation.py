"""Re-keying a practice, as an operation: begin, a full submission under the new keys, finish.

1. **Begin** announces it in the log and gives the practice a new version of its keys. From then on
   what it sends is pseudonymised anew, at generations above all that its patients had, and former
   patients are recognised as they come. Compute holds the practice's figures.
2. The practice sends **everything** again.
3. **Finish** joins each former patient into the new one (``patient.rekeyed``: the new set stands,
   the origin stays), empties those whom nobody matched, forgets the former keys, and says in
   the log that it has ended.

Every step may be repeated, and is taken up where it was left: what is in the log twice says nothing
new, and the database is told only once the log has acknowledged.
"""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog

from peerview_common.changes import (
    FORMAT,
    ChangeSet,
    Control,
    PatientChange,
    PatientRekeyed,
    PracticeRekeying,
    encode,
    event_type,
)
from peerview_common.days import iso_millis
from peerview_common.ids import OdsCode
from peerview_ingest import key_versions
from peerview_ingest.key_versions import Rekeying
from peerview_ingest.keyring import ForeignKeysError, KeyVersion
from peerview_ingest.plan import PatientState
from peerview_ingest.publisher import Position
from peerview_ingest.rekeying import UNDER_WAY, Phase
from peerview_ingest.store import Turn
from peerview_ingest.submission import Ingest, Sender, Step

BATCH: Final = 500
"""Patients a turn: submissions of the practice go on in between."""
SOURCE: Final = "operator"

log = structlog.get_logger("peerview.ingest.rekeying")


class NotNowError(Exception):
    """The operation does not fit the phase that the practice's keys are in."""


class UnknownError(Exception):
    """Nothing has come of this practice, if it is one."""


class UnmatchedError(Exception):
    """Former patients whom nobody matched, and of whom nobody has said what is to become."""

    def __init__(self, unmatched: int, patients: int) -> None:
        super().__init__(f"{unmatched} of {patients} former patients are not matched")
        self.unmatched = unmatched
        self.patients = patients


@dataclass(frozen=True)
class Status:
    """How far a practice is. ``patients`` are those of the former keys: ``matched`` (of whom
    ``joined`` are joined already) and ``unmatched`` (of whom ``emptied`` are emptied)."""

    practice: str
    version: int
    phase: str
    began: int
    ended: int | None
    matched: int
    unmatched: int
    joined: int
    emptied: int

    def json(self) -> dict[str, Any]:
        return {
            "practice": self.practice,
            "version": self.version,
            "phase": self.phase,
            "began": iso_millis(self.began),
            "ended": None if self.ended is None else iso_millis(self.ended),
            "patients": self.matched + self.unmatched,
            "matched": self.matched,
            "unmatched": self.unmatched,
            "joined": self.joined,
            "emptied": self.emptied,
        }


class RekeyingOperation:
    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest

    async def begin(self, practice: OdsCode) -> Status:
        """Give a practice new keys. Raises UnknownError; NotNowError while a re-keying is under
        way; ForeignKeysError when its present keys are of a master key that is not here."""

        def announce(turn: Turn, now: int) -> Step[int]:
            known = self._known(turn, now)
            last = known[-1]
            if last.phase in (Phase.OPEN, Phase.FINISHING):
                raise NotNowError(f"a re-keying to version {last.keys.version} is under way")
            keyring = self._ingest.keyring
            if not keyring.knows(turn.keys.current.master):
                raise ForeignKeysError("the present keys are of a master key that is not here")
            if last.phase is not Phase.BEGINNING:
                key_versions.list_patients(turn)
                number = last.keys.version + 1
                first = key_versions.highest_generation(turn) + 1
                keys = KeyVersion(number, keyring.fingerprint, first)
                key_versions.add(turn, keys, Phase.BEGINNING, now)
            else:
                number = last.keys.version
            event = _rekeying(practice, number, now, ended=False)

            def opened(_: list[Position]) -> int:
                key_versions.enter(turn, number, Phase.OPEN)
                return number

            return _step([event], opened)

        number = await self._turn(practice, announce)
        log.info("re-keying begun", practice=practice, version=number)
        return await self.status(practice)

    async def status(self, practice: OdsCode) -> Status:
        """Of the practice's newest keys. Raises UnknownError for a practice that has none."""

        def look(turn: Turn, now: int) -> Step[Status]:
            found = self._status(turn)
            return Step([], lambda _: found)

        return await self._turn(practice, look)

    async def cancel(self, practice: OdsCode) -> Status:
        """Go back to the former keys, as long as nothing has come under the new ones. Raises
        UnknownError, NotNowError."""

        def leave(turn: Turn, now: int) -> Step[None]:
            last = self._known(turn, now)[-1]
            number = last.keys.version
            if last.phase not in (Phase.BEGINNING, Phase.OPEN):
                raise NotNowError("no re-keying has begun, or it is being finished")
            if key_versions.anything_under(turn, number):
                raise NotNowError("something has come under the new keys: finish it")
            event = _rekeying(practice, number, now, ended=True)

            def left(_: list[Position]) -> None:
                key_versions.enter(turn, number, Phase.CANCELLED, now)

            return _step([event], left)

        await self._turn(practice, leave)
        log.info("re-keying cancelled", practice=practice)
        return await self.status(practice)

    async def finish(
        self,
        practice: OdsCode,
        *,
        empty_unmatched: bool,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> Status:
        """Work for about ``seconds`` on the end; ``phase`` is ``done`` once it is reached, and
        until then it is to be called again. Raises UnknownError, NotNowError, UnmatchedError."""
        until = clock() + seconds

        def start(turn: Turn, now: int) -> Step[None]:
            last = self._known(turn, now)[-1]
            if last.phase not in (Phase.OPEN, Phase.FINISHING):
                if last.phase is Phase.DONE and last.keys.version > 1:
                    return Step([], lambda _: None)
                raise NotNowError("no re-keying has begun")
            found = self._status(turn)
            left = found.unmatched - found.emptied
            if left and not empty_unmatched:
                raise UnmatchedError(left, found.matched + found.unmatched)

            def entered(_: list[Position]) -> None:
                key_versions.enter(turn, last.keys.version, Phase.FINISHING)

            return Step([], entered)

        await self._turn(practice, start)
        while True:
            status = await self.status(practice)
            if status.phase != Phase.FINISHING or clock() >= until:
                return status
            for work in (self._join, self._empty, self._end):
                if await self._turn(practice, work):
                    break

    # -- the parts of the end. Each says whether it found something to do.

    def _join(self, turn: Turn, now: int) -> Step[bool]:
        self._versions(turn, now)
        left = key_versions.pairs_left(turn, BATCH)
        if not left:
            return _nothing()
        practice = turn.practice
        # the new set must be there, at its generation, before the former one is joined into it:
        # alone it would be taken whole, with pseudonyms of the former keys in it
        there = [PatientChange(pair.new, at.generation, at.objected, []) for pair, at in left]
        events: list[ChangeSet | Control] = [_changes(turn, there, now, self._ingest.codes.version)]
        events.extend(
            PatientRekeyed(str(uuid.uuid4()), practice, pair.old, pair.new, "", now)
            for pair, _ in left
        )

        def joined(_: list[Position]) -> bool:
            key_versions.drop_former(turn, [pair.old for pair, _ in left], joined=len(left))
            return True

        return _step(events, joined)

    def _empty(self, turn: Turn, now: int) -> Step[bool]:
        self._versions(turn, now)
        if turn.keys.former is None:
            return _nothing()
        left = key_versions.unmatched_left(turn, turn.keys.former.version, BATCH)
        if not left:
            return _nothing()
        empty = [_emptied(patient, state) for patient, state in left]
        event = _changes(turn, empty, now, self._ingest.codes.version)

        def emptied(_: list[Position]) -> bool:
            key_versions.drop_former(turn, [patient for patient, _ in left], emptied=len(left))
            return True

        return _step([event], emptied)

    def _end(self, turn: Turn, now: int) -> Step[bool]:
        last = self._versions(turn, now)[-1]
        if turn.keys.former is None:
            return _nothing()
        if any(key_versions.counts(turn, turn.keys.former.version)):
            return Step([], lambda _: True)  # a submission has matched somebody in between
        for _ in key_versions.drop_former_facts(turn, turn.keys.former.version):
            pass
        key_versions.drop_former_sources(turn, turn.keys.former.version)
        event = _rekeying(OdsCode(turn.practice), last.keys.version, now, ended=True)

        def ended(_: list[Position]) -> bool:
            key_versions.enter(turn, last.keys.version, Phase.DONE, now)
            log.info("re-keying ended", practice=turn.practice, version=last.keys.version)
            return True

        return _step([event], ended)

    # --

    def _known(self, turn: Turn, now: int) -> list[Rekeying]:
        if not key_versions.versions(turn) and not turn.last_received():
            raise UnknownError("nothing has come of this practice")
        return self._versions(turn, now)

    def _versions(self, turn: Turn, now: int) -> list[Rekeying]:
        key_versions.keys_of(turn, self._ingest.keyring.fingerprint, now)
        return key_versions.versions(turn)

    def _status(self, turn: Turn) -> Status:
        known = key_versions.versions(turn)
        if not known:
            raise UnknownError("nothing has come of this practice")
        last = known[-1]
        matched = unmatched = 0
        if last.phase in UNDER_WAY:
            former = next(
                each for each in reversed(known[:-1]) if each.phase is not Phase.CANCELLED
            )
            matched, unmatched = key_versions.counts(turn, former.keys.version)
        return Status(
            turn.practice,
            last.keys.version,
            last.phase.value,
            last.began,
            last.ended,
            matched + last.joined,
            unmatched + last.emptied,
            last.joined,
            last.emptied,
        )

    async def _turn(self, practice: OdsCode, work: Callable[[Turn, int], Step[Any]]) -> Any:
        return await self._ingest.in_turn(Sender(practice, SOURCE), work)


def _emptied(patient: bytes, state: PatientState) -> PatientChange:
    return PatientChange(patient, state.next(False).generation, False, [])


def _changes(turn: Turn, patients: list[PatientChange], now: int, codes: str) -> ChangeSet:
    """``data_through`` 0: that nothing came of a practice is no news of its feed."""
    return ChangeSet(FORMAT, turn.practice, SOURCE, str(uuid.uuid4()), now, 0, codes, patients)


def _rekeying(practice: OdsCode, version: int, now: int, *, ended: bool) -> PracticeRekeying:
    return PracticeRekeying(str(uuid.uuid4()), practice, version, ended, now)


def _step(
    events: "list[ChangeSet | Control] | list[PracticeRekeying] | list[ChangeSet]",
    then: Callable[[list[Position]], Any],
) -> Step[Any]:
    return Step([encode(each) for each in events], then, [event_type(each) for each in events])


def _nothing() -> Step[bool]:
    return Step([], lambda _: False)
