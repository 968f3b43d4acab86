"""The closing words: what became of everything, and why something was refused."""

import json
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from peerview_tools.demo.steps import make_console

TOP: Final = 5


def tell(
    done: dict[str, Any],
    *,
    files: int,
    seconds: float,
    reasons: Counter[str],
    report: Path | None,
    as_json: bool,
) -> None:
    """Print it on standard output; ``done`` is the completed upload as ingest tells it."""
    top = [{"count": count, "reason": reason} for reason, count in reasons.most_common(TOP)]
    if as_json:
        print(json.dumps({**done, "files": files, "seconds": round(seconds, 1), "reasons": top}))
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
    for count, reason in ((each["count"], each["reason"]) for each in top):
        console.print(f"    {count:>9,}  {reason}", markup=False, highlight=False, soft_wrap=True)
    for words in _further(done, report):
        console.print(words, markup=False, highlight=False, soft_wrap=True)


def _further(done: dict[str, Any], report: Path | None) -> list[str]:
    found: list[str] = []
    if report is not None and done["refusals"]:
        found.append(f"Every refusal stands in {report}.")
    if done["objections"]:
        found.append(f"{done['objections']:,} patients object from now on: none of it is kept.")
    if done["opted_in"]:
        found.append(
            f"{done['opted_in']:,} patients no longer object: send their whole records again."
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
