"""A made-up practice's records as two made-up suppliers would drop them: the files of a day.

Written by hand from what each supplier's files look like, and not by its mapping backwards: so that
a mistake in a mapping shows.
"""

from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Final

from peerview_tools.simulator.extracts import fieldgate, linden
from peerview_tools.simulator.resources import Resource

Write = Callable[[Path, str, date, list[Resource], list[Resource]], list[Path]]

SUPPLIERS: Final[dict[str, Write]] = {"fieldgate": fieldgate.write, "linden": linden.write}


def write(
    supplier: str,
    folder: Path,
    ods: str,
    day: date,
    resources: Iterable[Resource],
    removed: Iterable[Resource] = (),
) -> list[Path]:
    """Write the drop of ``day`` into ``folder``: a row for each resource, and one that is flagged
    as deleted for each of ``removed``. Returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    return SUPPLIERS[supplier](folder, ods, day, list(resources), list(removed))
