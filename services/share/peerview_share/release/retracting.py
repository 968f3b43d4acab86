"""Taking a wrong release back: peers see it no more, and the gate goes on remembering it."""

from collections.abc import Callable, Iterable

import structlog

from peerview_share.store import epochs as store
from peerview_share.store.database import Database

log = structlog.get_logger("peerview.share.retractions")


class NothingToRetractError(Exception):
    """What was named was not released, for the person who asked."""


class Retractions:
    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock

    def retract(
        self, practice: str, epoch: int, indicators: Iterable[str], *, by: str, reason: str
    ) -> list[str]:
        """Take back what the practice released at ``epoch``, all of it or these indicators.

        It also takes back every later cell that carries the figure on. Returns the indicators;
        raises NothingToRetractError where one of them was not released then.
        """
        with self._database.write() as connection:
            shown = store.published(connection, epoch)
            if shown is None:
                raise NothingToRetractError(
                    f"epoch {epoch} is not published; a figure in preview is held instead"
                )
            released = {
                name
                for name, (cell, is_release) in store.of_practice(
                    connection, practice, epoch
                ).items()
                if is_release and cell.epoch == epoch
            }
            named = list(dict.fromkeys(indicators)) or sorted(released)
            missing = [name for name in named if name not in released]
            if missing or not named:
                what = ", ".join(missing) or "anything"
                raise NothingToRetractError(
                    f"{practice} did not release {what} at epoch {epoch}; views say in "
                    "released_epoch when a figure was released"
                )
            store.retract(
                connection, practice, named, epoch, at=self._clock(), by=by, reason=reason
            )
        log.warning("release retracted", practice=practice, epoch=epoch, indicators=named)
        return named
