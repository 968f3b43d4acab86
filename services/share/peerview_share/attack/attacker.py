"""The whole attack over a release log."""

from collections.abc import Callable

from peerview_share.attack.cells import CellAttack
from peerview_share.attack.finding import Report
from peerview_share.attack.linkage import linkage
from peerview_share.attack.log import ReleaseLog
from peerview_share.attack.membership import over_derived


def attack(log: ReleaseLog, alive: Callable[[], None] = lambda: None) -> Report:
    """Try everything. ``alive`` is called between cells and may raise to end it."""
    cells = CellAttack(log.memory_days, log.newest_day)
    cells.run(log.cells, alive)
    return Report(
        (*cells.tried(), over_derived(log.derived(), cells.between), linkage(log.views())),
        tuple(cells.notes()),
    )
