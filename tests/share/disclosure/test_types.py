"""mypy itself refuses a raw count on its way to a view."""

from pathlib import Path

import pytest
from mypy import api

ACCEPTED = """
from peerview_share.disclosure.cell import Cell
from peerview_share.disclosure.identity import bands
from peerview_common.catalogue import IndicatorInfo

def shown(cell: Cell, info: IndicatorInfo) -> None:
    if cell.figure is not None:
        print(cell.figure.value)
    bands({"A99001": cell}, info, epoch=1)
"""
REFUSED = {
    "a pair of counts as a figure": 'Cell("dna", CellState.VALUE, (7, 100), "1", 1, 1, 1)',
    "totals as a figure": 'Cell("dna", CellState.VALUE, totals, "1", 1, 1, 1)',
    "a figure without the seal": "Released(7, 100, 7.0)",
    "a seal of one's own": "Released(7, 100, 7.0, object())",
    "raw values in bands": 'bands({"A99001": totals}, info, epoch=1)',
    "an account in a view": "cell.account",
}
HEAD = """
from peerview_share.disclosure.cell import Cell, CellState, Released
from peerview_share.disclosure.identity import bands
from peerview_common.catalogue import IndicatorInfo

class Totals:
    numerator: int

def shown(cell: Cell, totals: Totals, info: IndicatorInfo) -> None:
"""


def test_no_raw_count_fits_where_a_figure_belongs(tmp_path, monkeypatch):
    """All attempts in one run of mypy, for it takes its time: every one must be refused."""
    accepted, refused = tmp_path / "accepted.py", tmp_path / "refused.py"
    accepted.write_text(ACCEPTED)
    refused.write_text(HEAD + "".join(f"    {attempt}\n" for attempt in REFUSED.values()))
    config = Path(__file__).parents[3] / "pyproject.toml"
    monkeypatch.chdir(config.parent)
    told, problems, _ = api.run(
        [
            f"--config-file={config}",
            f"--cache-dir={tmp_path / 'cache'}",
            "--follow-imports=silent",
            str(accepted),
            str(refused),
        ]
    )
    first = HEAD.count("\n") + 1
    lines = {int(line.split(":")[1]) for line in told.splitlines() if line.startswith(str(refused))}
    for place, name in enumerate(REFUSED, first):
        assert place in lines, f"mypy took {name}:\n{told}{problems}"
    assert str(accepted) not in told, told


def test_the_seal_is_checked_when_it_runs_too():
    from peerview_share.disclosure.cell import Released

    with pytest.raises(TypeError):
        Released(10, 100, 10.0, object())  # type: ignore[arg-type]
