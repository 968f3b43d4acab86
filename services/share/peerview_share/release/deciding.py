"""One practice's cells at one epoch: its snapshot and its history go in, decisions come out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection

from peerview_common.catalogue import IndicatorInfo
from peerview_common.snapshots import SnapshotBody
from peerview_share.disclosure import quality
from peerview_share.disclosure.cell import Cell, CellState
from peerview_share.disclosure.columns import Contributed, united
from peerview_share.disclosure.gate import K
from peerview_share.disclosure.release import (
    Account,
    Cause,
    Decision,
    History,
    Submission,
    hold,
    release_cell,
    withhold,
)
from peerview_share.store import epochs as store
from peerview_share.store import kept, margins, previews, successions
from peerview_share.store.epochs import Epoch
from peerview_share.store.kept import Past

REKEYING: Final = "rekeying"
Reaches: TypeAlias = Mapping[str, Mapping[int, int]]
"""``{indicator: {epoch of release: how far stricter agreements show it}}``"""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What the gate compares one cell with, the newest first, and the epochs they are of."""

    epochs: tuple[int, ...]
    snapshots: Iterator[Contributed]
    reaches: tuple[int, ...]
    """How far each is shown by stricter agreements; of a sum, all of its parts."""


@dataclass(frozen=True, slots=True)
class Predecessor:
    """What a practice that was succeeded has released."""

    past: Past
    numbers: Mapping[str, set[int]]
    """``{indicator: epochs}`` that the gate compares with."""
    reaches: Reaches


@dataclass(frozen=True, slots=True)
class Decided:
    """A practice's cells at an epoch, and the accounts of them for its own eyes."""

    decisions: list[Decision]
    accounts: dict[str, dict[str, Any]]


def decide_practice(
    connection: Connection,
    catalogue: Mapping[str, IndicatorInfo],
    practice: str,
    epoch: Epoch,
    *,
    released: int,
    oldest_day: int,
) -> Decided:
    """``released`` is the day on which the epoch will be published. Releases of epochs before
    ``oldest_day`` are compared with only while they are what is shown.

    Raises LookupError when a snapshot that was released is gone: without it nothing may move.
    """
    before = store.release_epochs(connection, practice, before=epoch.number)
    newest = store.newest_releases(connection, practice, before)
    arrival = store.arrival(connection, practice, epoch.number)
    if arrival is None:
        return _all_held(catalogue, newest, Cause.NO_SNAPSHOT)
    if quality.silent(arrival.data_through, epoch.opened_at):
        return _all_held(catalogue, newest, Cause.SILENT_FEED)
    numbers = retained(connection, before, oldest_day)
    past = kept.read(connection, practice, {epoch.number, *_every(numbers)})
    body = past.body(epoch.number)
    reaches = margins.reaches(connection, practice)
    inherited = _inherited(connection, practice, oldest_day)
    confirmed = store.confirmed(connection, practice)
    decisions, accounts = [], {}
    for info in catalogue.values():
        latest = newest.get(info.id)
        earlier = _earlier(past, numbers.get(info.id, set()), reaches, inherited, info.id)
        history = History(
            earlier.snapshots,
            latest,
            tuple(
                figure
                for number, figure in confirmed.get(info.id, [])
                if latest is None or number > (latest.epoch or 0)
            ),
            earlier.reaches,
        )
        decision = _decide(info, body, past, arrival.as_of, history, epoch.number, released)
        decisions.append(decision)
        accounts[info.id] = previews.plain(decision.account, dict(enumerate(earlier.epochs)))
    return Decided(decisions, accounts)


def decide_held(
    connection: Connection, info: IndicatorInfo, practice: str, epoch: int, cause: Cause
) -> Decision:
    """What peers see of a cell that is held at ``epoch``: its earlier release."""
    before = store.release_epochs(connection, practice, before=epoch)
    latest = store.newest_releases(connection, practice, before).get(info.id)
    return hold(info, History(latest=latest), Account(cause))


def retained(
    connection: Connection, released: Mapping[str, list[int]], oldest_day: int
) -> dict[str, set[int]]:
    """``{indicator: epochs}`` whose snapshots the gate still compares with, of all epochs of
    release: those of the last years, and what is shown now."""
    days = store.days(connection, _every(released))
    return {
        indicator: {n for n in numbers if days[n] >= oldest_day} | {numbers[-1]}
        for indicator, numbers in released.items()
    }


def _every(numbers: Mapping[str, list[int]] | Mapping[str, set[int]]) -> set[int]:
    return {number for found in numbers.values() for number in found}


def _all_held(
    catalogue: Mapping[str, IndicatorInfo], newest: Mapping[str, Cell], cause: Cause
) -> Decided:
    account = Account(cause)
    return Decided(
        [hold(info, History(latest=newest.get(info.id)), account) for info in catalogue.values()],
        {name: previews.plain(account) for name in catalogue},
    )


def _decide(
    info: IndicatorInfo,
    body: SnapshotBody,
    past: Past,
    as_of: int,
    history: History,
    epoch: int,
    released: int,
) -> Decision:
    if quality.personal(info.id, body.gps):
        return withhold(info, CellState.NOT_SHARED, Account(Cause.FEW_GPS))
    if body.states.get(info.id) == REKEYING:
        # its patients may be there twice
        return hold(info, history, Account(Cause.REKEYING))
    if info.id in body.states:
        return withhold(info, CellState.NOT_APPLICABLE, Account(Cause.AWAITING_BACKFILL))
    cell = body.cells.get(info.id)
    if cell is None:
        return hold(info, history, Account(Cause.NOT_COMPUTED))
    submission = Submission(past.columns(epoch, info.id), cell.version, as_of)
    return release_cell(info, submission, history, epoch=epoch, released=released)


def _earlier(
    past: Past,
    numbers: set[int],
    reaches: Reaches,
    inherited: list[Predecessor],
    indicator: str,
) -> Earlier:
    """Own releases, and every sum that could be made of the predecessors' releases."""
    own = sorted(numbers, reverse=True)
    sides: list[list[tuple[Predecessor, int] | None]] = [
        [
            None,
            *(
                (before, number)
                for number in sorted(before.numbers.get(indicator, ()), reverse=True)
            ),
        ]
        for before in inherited
    ]
    # one release of each predecessor, or of some of them: all that a peer can add up
    unions = [found for sums in product(*sides) if (found := [one for one in sums if one])]

    def snapshots() -> Iterator[Contributed]:
        for number in own:
            yield past.columns(number, indicator)
        for union in unions:
            yield united(before.past.columns(number, indicator) for before, number in union)

    return Earlier(
        (*own, *(max(number for _, number in union) for union in unions)),
        snapshots(),
        (
            *(_reach(reaches, indicator, number) for number in own),
            *(
                min(_reach(before.reaches, indicator, number) for before, number in union)
                for union in unions
            ),
        ),
    )


def _reach(reaches: Reaches, indicator: str, number: int) -> int:
    """A release from before reaches were kept is shown by no agreement that asks for more."""
    return reaches.get(indicator, {}).get(number, K)


def _inherited(connection: Connection, practice: str, oldest_day: int) -> list[Predecessor]:
    found = []
    for code in successions.predecessors(connection, practice):
        numbers = retained(connection, store.release_epochs(connection, code), oldest_day)
        past = kept.read(connection, code, _every(numbers))
        found.append(Predecessor(past, numbers, margins.reaches(connection, code)))
    return found
