"""docs/performance.md: one row a measure, replaced by the next run of that measure."""

import os
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from peerview_tools.bench.environments import ROOT
from peerview_tools.bench.measure import Measure
from peerview_tools.kafka_settings import KAFKA_VERSION

PAGE: Final = ROOT / "docs" / "performance.md"
_HEAD: Final = """\
# Performance

What Peerview costs, measured by `make bench` on one machine: every ratio's two sides ran in turn,
in the same run and against the same broker. How each is measured stands in
[the bench's README](../tools/peerview_tools/bench/README.md). Written by the command; a run of one
measure replaces its row. On a machine that others keep busy (a load average above its cores) look
at the processor time: the clock's figures are theirs as much as ours.

| measure | what | value | target | | beside | when, and how busy the machine was |
|---|---|---|---|---|---|---|
"""
_ROW: Final = re.compile(r"^\| `([a-z-]+)` \|.*\|$", re.MULTILINE)


def machine() -> str:
    """What it ran on, for people."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores ({_processor()}), {memory:.0f} GB, {platform.system()}; Python "
        f"{platform.python_version()}, faust-streaming {version('faust-streaming')}, aiokafka "
        f"{version('aiokafka')}, msgspec {version('msgspec')}, Kafka {KAFKA_VERSION}"
    )


def update(
    page: Path, lines: list[tuple[Measure, dict[str, Any], float]], order: list[str]
) -> None:
    """Put rows of ``(measure, line, load average before it)`` into the page; others stay."""
    rows = {}
    if page.exists():
        rows = {found[1]: found[0] for found in _ROW.finditer(page.read_text())}
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    for measure, line, load in lines:
        sense = "≥" if measure.sense == "at least" else "≤"
        value = "failed" if line["value"] is None else f"**{line['value']:,}** {line['unit']}"
        rows[measure.name] = (
            f"| `{measure.name}` | {measure.what} | {value} | {sense} {measure.target:,} | "
            f"{'met' if line['ok'] else 'missed'} | {_cell(line['against'])} | "
            f"{when}, load {load:.1f} |"
        )
    body = "\n".join(rows[name] for name in order if name in rows)
    page.write_text(f"{_HEAD}{body}\n\nThe machine of the last run: {machine()}.\n")


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")


def _processor() -> str:
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.machine()
