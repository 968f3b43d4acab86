"""`peerview codes`: check, import and show a code list; `peerview indicators`."""

import csv
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from peerview_common.codes import (
    COLUMNS,
    OBJECTION,
    OBJECTION_WITHDRAWN,
    CodeList,
    CodeListError,
    shipped,
)
from peerview_common.codes.checking import read_rows
from peerview_common.days import date_of, day_of_millis
from peerview_compute.model.definitions import (
    DefinitionError,
    DefinitionSet,
    load_definitions,
    load_directory,
    shipped_definitions,
)

REFUSED: Final = 2
DEMONSTRATION: Final = "demonstration only"


@dataclass(frozen=True)
class Imported:
    codes: CodeList
    path: Path
    lacking: Mapping[str, tuple[str, ...]]
    """Clusters that are needed and not there, with who needs them."""


def import_list(
    file: Path, *, name: str | None, into: Path, definitions: Path | None = None
) -> Imported:
    """Check ``file`` and write it under its version. Raises CodeListError, DefinitionError."""
    rows = read_rows(file)
    codes = CodeList(rows)
    chosen = name if name is not None else re.sub(r"-[0-9a-f]{12}$", "", file.stem)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", chosen):
        raise CodeListError(f"{chosen!r} is no name: letters, digits, '.', '_' and '-' make one")
    lacking = {
        cluster: tuple(sorted(users))
        for cluster, users in sorted(_needed(codes, definitions).items())
        if cluster not in codes.clusters
    }
    into.mkdir(parents=True, exist_ok=True)
    path = into / f"{chosen}-{codes.version}.csv"
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(sorted((r.cluster, r.system, r.code, r.origin) for r in rows))
    part.replace(path)
    CodeList.load(path)
    return Imported(codes, path, lacking)


def _needed(codes: CodeList, directory: Path | None) -> dict[str, set[str]]:
    """Each cluster that something looks at, and who does."""
    if directory is None:
        found = shipped_definitions()
    else:
        found = load_directory(directory, CodeList([*shipped().rows, *codes.rows]))
    needed: dict[str, set[str]] = {OBJECTION: {"ingest"}, OBJECTION_WITHDRAWN: {"ingest"}}
    for indicator in found.indicators:
        for cluster in found.clusters(indicator):
            needed.setdefault(cluster, set()).add(indicator)
    return needed


def clusters_table(codes: CodeList) -> Table:
    table = Table("cluster", "codes", "origin", "", title=f"Code list, version {codes.version}")
    table.columns[1].justify = "right"
    rows: dict[str, list[str]] = {}
    for row in codes.rows:
        rows.setdefault(row.cluster, []).append(row.origin)
    demonstration = codes.demonstration_clusters()
    for cluster, origins in sorted(rows.items()):
        common = Counter(origins).most_common()
        words = [f"{origin} ({count})" if len(common) > 1 else origin for origin, count in common]
        more = f"; and {len(words) - 2} other origins" if len(words) > 2 else ""
        label = DEMONSTRATION if cluster in demonstration else ""
        table.add_row(cluster, f"{len(origins):,}", "; ".join(words[:2]) + more, label)
    return table


def run_import(file: Path, *, name: str | None, into: Path, definitions: Path | None) -> int:
    try:
        found = import_list(file, name=name, into=into, definitions=definitions)
    except (CodeListError, DefinitionError) as error:
        print(error, file=sys.stderr)
        print(f"peerview codes import: {file.name} is not imported", file=sys.stderr)
        return REFUSED
    codes = found.codes
    console = wide_console()
    console.print(clusters_table(codes))
    print(f"{len(codes.rows):,} codes in {len(codes.clusters)} clusters, version {codes.version}")
    if codes.demonstration_clusters():
        some = ", ".join(sorted(codes.demonstration_clusters()))
        print(f"for demonstration only (stand-ins, or from memory): {some}")
    for cluster, users in found.lacking.items():
        print(f"lacking: {cluster}, needed by {', '.join(users)}")
    if found.lacking:
        print(
            f"The list lacks {len(found.lacking)} clusters: compute refuses to start with it and "
            "these definitions."
        )
    print(f"written: {found.path}")
    print(f"To use it, have ingest, compute and share run with PEERVIEW_CODE_LIST={found.path}")
    return 0


def run_show(file: Path | None) -> int:
    try:
        codes = shipped() if file is None else CodeList.load(file)
    except (OSError, CodeListError) as error:
        print(f"peerview codes show: {error}", file=sys.stderr)
        return REFUSED
    wide_console().print(clusters_table(codes))
    print(
        f"{len(codes.rows):,} codes in {len(codes.clusters)} clusters, "
        f"{len(codes.demonstration_clusters())} of them for {DEMONSTRATION}"
    )
    return 0


def listing(definitions: DefinitionSet, day: int) -> list[dict[str, object]]:
    """What `peerview indicators` shows, as values."""
    return [
        {
            "id": one.id,
            "version": one.version_on(day).version,
            "title": one.title,
            "direction": one.direction,
            "demonstration_only": sorted(definitions.demonstration_only(one.id)),
        }
        for one in definitions.all
    ]


def run_indicators(directory: Path | None, code_list: Path | None, *, as_json: bool) -> int:
    try:
        definitions = load_definitions(directory, code_list)
    except (OSError, CodeListError, DefinitionError) as error:
        print(f"peerview indicators: {error}", file=sys.stderr)
        return REFUSED
    day = day_of_millis(time.time_ns() // 1_000_000)
    found = listing(definitions, day)
    if as_json:
        json.dump(found, sys.stdout, indent=2)
        print()
        return 0
    table = Table("id", "version", "title", "better", DEMONSTRATION)
    for one in found:
        stand_ins = one["demonstration_only"]
        assert isinstance(stand_ins, list)  # noqa: S101
        label = f"yes: {', '.join(stand_ins)}" if stand_ins else "no"
        table.add_row(*(str(one[x]) for x in ("id", "version", "title", "direction")), label)
    wide_console().print(table)
    print(
        f"versions of {date_of(day)}; definitions {definitions.hash_text}, "
        f"code list {definitions.codes_version}"
    )
    return 0


def wide_console() -> Console:
    """Not cut to 80 columns where nobody looks."""
    console = Console()
    return console if console.is_terminal else Console(width=160)
