"""The closing words: what became of everything, and why something was refused."""

import json
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from peerview_tools.demo.steps import make_console

TOP: Final = 5


def tell(
    done: dict[str, Any],
    *,
    files: int,
    seconds: float,
    reasons: Counter[str],
    warnings: Counter[str],
    report: Path | None,
    as_json: bool,
) -> None:
    """Print it on standard output; ``done`` is the completed upload as ingest tells it."""
    if as_json:
        told = {"reasons": _top(reasons), "warnings": _top(warnings)}
        print(json.dumps({**done, "files": files, "seconds": round(seconds, 1), **told}))
        return
    console = make_console()
    lines = done["next_line"] - 1
    took = str(timedelta(seconds=round(seconds)))
    several = "file" if files == 1 else "files"
    console.print(f"All sent: {lines:,} lines of {files:,} {several} in {took}.", highlight=False)
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_column(justify="left")
    table.add_column(justify="right")
    table.add_column()
    table.add_row("accepted", f"{done['accepted']:,}", "")
    table.add_row("  unchanged", f"{done['unchanged']:,}", "of these: known already")
    table.add_row("dropped", f"{done['dropped']:,}", "no indicator needs them")
    table.add_row("rejected", f"{done['rejected']:,}", "")
    console.print(table)
    _list(console, reasons, "reasons")
    if warnings:
        console.print("  warnings of what was taken:", highlight=False)
        _list(console, warnings, "warnings")
    for words in _further(done, warnings, report):
        console.print(words, markup=False, highlight=False, soft_wrap=True)


def _top(found: Counter[str]) -> list[dict[str, Any]]:
    return [{"count": count, "reason": reason} for reason, count in found.most_common(TOP)]


def _list(console: Console, found: Counter[str], what: str) -> None:
    lines = [f"{count:>9,}  {reason}" for reason, count in found.most_common(TOP)]
    if len(found) > TOP:
        lines.append(f"{'':>9}  and {len(found) - TOP:,} other {what}")
    for line in lines:
        console.print(f"    {line}", markup=False, highlight=False, soft_wrap=True)


def _further(done: dict[str, Any], warnings: Counter[str], report: Path | None) -> list[str]:
    found: list[str] = []
    if done["refusals"] or warnings:
        where = f"stands in {report}" if report else "goes into the file that --report names"
        found.append(f"Every refusal and warning {where}.")
    if done["objections"]:
        found.append(f"{done['objections']:,} patients object from now on: none of it is kept.")
    if done["opted_in"]:
        found.append(
            f"{done['opted_in']:,} patients no longer object: all was sent once more for them."
        )
    if done["shared_nhs_numbers"]:
        found.append(
            f"{done['shared_nhs_numbers']:,} patients share an NHS number with another patient."
        )
    if done["backfill_completed"]:
        found.append("The full submission has ended: figures that waited for it are counted now.")
    elif done["full"]:
        found.append(
            "Figures go on waiting for full submissions from "
            f"{', '.join(done['waits_for'])}; --without NAME for one that sends no more."
        )
    return found
