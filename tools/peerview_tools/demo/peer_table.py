"""A peer view as people read it on a terminal."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from peerview_tools.demo.actions import cells
from peerview_tools.simulator import Practice


def peer_table(view: dict[str, Any], practices: Sequence[Practice]) -> Table:
    """A view as a table: a row for each indicator, a column for each peer."""
    names = {practice.ods: practice.name for practice in practices}
    by_place = {(cell["indicator"], cell["subject"]): cell for cell in cells(view)}
    subjects = sorted({subject for _, subject in by_place})
    table = Table(header_style="bold")
    table.add_column("indicator")
    for subject in subjects:
        table.add_column(names.get(subject, subject), justify="right")
    for indicator in dict.fromkeys(indicator for indicator, _ in by_place):
        row = [_shown(by_place.get((indicator, subject))) for subject in subjects]
        table.add_row(indicator, *row)
    return table


def _shown(cell: dict[str, Any] | None) -> str:
    if cell is None:
        return ""
    if cell["value"] is None:
        return f"[dim]{cell['state']}[/]"
    return f"{cell['value']:g} {cell['unit']}"
