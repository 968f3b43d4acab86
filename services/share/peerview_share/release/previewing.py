"""What the subject practice sees of an epoch before peers do, and what it may do about it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from peerview_common.catalogue import IndicatorInfo
from peerview_common.days import day_of_millis
from peerview_share.disclosure.cell import Cell
from peerview_share.release.epochs import Epochs
from peerview_share.store import epochs as store
from peerview_share.store import previews
from peerview_share.store.database import Database
from peerview_share.store.epochs import Epoch
from peerview_share.store.previews import Hold


class NothingToHoldError(Exception):
    """Why there is nothing to hold or to confirm, for the person who asked."""


@dataclass(frozen=True, slots=True)
class PreviewCell:
    """One indicator: what peers see now, what they will see, and why."""

    now: Cell | None
    then: Cell
    moves: bool
    """The epoch releases something new of it, if nothing holds it."""
    account: Mapping[str, Any]
    holds: tuple[Hold, ...]
    """Those that hold it still."""
    taken_back: bool = False
    """What was released last was retracted."""


@dataclass(frozen=True, slots=True)
class Preview:
    epoch: Epoch
    decided: bool
    """The epoch is closed; before that it is a dry run on what has come so far."""
    cells: Mapping[str, PreviewCell]


class Previews:
    def __init__(
        self,
        database: Database,
        catalogue: Mapping[str, IndicatorInfo],
        epochs: Epochs,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._epochs = epochs
        self._clock = clock

    def of(self, practice: str) -> Preview | None:
        """The epoch that is open or in preview, else the newest; None before the first."""
        with self._database.read() as connection:
            epoch = store.last(connection)
            if epoch is None:
                return None
            shown = store.published(connection)
            now = store.cells(connection, shown.number).get(practice, {}) if shown else {}
            found = store.of_practice(connection, practice, epoch.number)
            accounts = previews.accounts(connection, practice, epoch.number)
            wrong = store.retractions(connection, practice)
            holds = [
                item
                for item in previews.holds(connection, practice=practice, epoch=epoch.number)
                if item.ended_at is None
            ]
        if epoch.closed_at is None:
            decided = self._epochs.decide(
                practice, epoch, released=day_of_millis(self._clock() + self._epochs.lag_ms)
            )
            found = {d.cell.indicator: (d.cell, d.is_release) for d in decided.decisions}
            accounts = decided.accounts
        return Preview(
            epoch,
            epoch.closed_at is not None,
            {
                name: PreviewCell(
                    now.get(name),
                    *found[name],
                    accounts.get(name, {}),
                    tuple(item for item in holds if item.indicator == name),
                    (practice, name, found[name][0].epoch) in wrong,
                )
                for name in self._catalogue
                if name in found
            },
        )

    def hold(self, practice: str, indicator: str, *, by: str, note: str) -> None:
        """Keep the cell as it is at the epoch in preview. Raises NothingToHoldError."""
        with self._database.write() as connection:
            epoch = store.unpublished(connection)
            epoch = None if epoch is None else store.lock(connection, epoch.number)
            if epoch is None or epoch.closed_at is None or epoch.published_at is not None:
                raise NothingToHoldError("no epoch is in preview")
            found = store.of_practice(connection, practice, epoch.number).get(indicator)
            if found is None or not found[1]:
                raise NothingToHoldError(
                    f"epoch {epoch.number} releases nothing new of {indicator}: there is nothing "
                    "to hold"
                )
            previews.hold(
                connection, epoch.number, practice, found[0], at=self._clock(), by=by, note=note
            )

    def confirm(self, practice: str, indicator: str, *, by: str) -> int:
        """End what holds the cell; returns the epoch that was held. Raises NothingToHoldError.

        After that epoch's publication the figure counts as known, and the next release of one
        like it is not held as a jump again.
        """
        with self._database.write() as connection:
            active = [
                item
                for item in previews.holds(connection, practice=practice)
                if item.indicator == indicator and item.ended_at is None
            ]
            if not active:
                raise NothingToHoldError(f"nothing holds {indicator}")
            newest = active[-1].epoch
            found = [item for item in active if item.epoch == newest]
            previews.end(connection, found, self._clock(), by)
        return newest
