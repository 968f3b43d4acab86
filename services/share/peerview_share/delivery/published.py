"""Published epochs, read once and kept: they change by a retraction alone."""

from functools import lru_cache

from peerview_share.delivery.views import EpochCells
from peerview_share.disclosure.epoch import EVERY_RELEASE, Pace
from peerview_share.store import epochs as store
from peerview_share.store import margins
from peerview_share.store.database import Database
from peerview_share.store.epochs import Epoch


class PublishedEpochs:
    """Which epoch is newest is asked of the database each time: all replicas turn together."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._load = lru_cache(maxsize=12)(self._read)

    def get(
        self, number: int | None = None, *, pace: Pace = EVERY_RELEASE, now: int | None = None
    ) -> EpochCells | None:
        """The newest that a network of this pace shows at ``now``, or that of a number; None where
        it is not published, or not shown there."""
        until = None if now is None else pace.latest_publication(now)
        with self._database.read() as connection:
            epoch = store.published(connection, number, every=pace.every, until=until)
            taken_back = store.count_retractions(connection)
        return None if epoch is None else self._load(epoch, taken_back)

    def _read(self, epoch: Epoch, taken_back: int) -> EpochCells:
        with self._database.read() as connection:
            cells = store.cells(connection, epoch.number)
        assert epoch.published_at is not None  # noqa: S101 - only published ones come here
        choice = margins.choice_of(self._database.read, epoch.number, cells)
        return EpochCells(epoch.number, epoch.day, epoch.published_at, cells, choice, taken_back)
