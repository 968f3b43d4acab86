"""A whole code list, checked before anybody uses it: every mistake at once, by file and line."""

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, TextIO

from peerview_common.codes import BNF_ROW, COLUMNS, SNOMED_SYSTEMS, CodeListError, Row

_CLUSTER: Final = re.compile(r"[A-Z0-9][A-Z0-9_]*")
_BNF: Final = re.compile(r"[0-9A-Z]{2,15}")
_MAX_PROBLEMS: Final = 200


def read_rows(path: Path) -> list[Row]:
    """The rows of a list without a mistake. Raises CodeListError: one line of text a mistake, as
    ``file:line: field: what is wrong``."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows, problems = _check(file, path.name)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise CodeListError(f"{path}: {reason}") from error
    if problems:
        more = len(problems) - _MAX_PROBLEMS
        shown = problems[:_MAX_PROBLEMS] + ([f"... and {more} more"] if more > 0 else [])
        raise CodeListError("\n".join(shown))
    return rows


def _check(file: TextIO, name: str) -> tuple[list[Row], list[str]]:
    reader = csv.reader(file, strict=True)
    rows: list[Row] = []
    problems: list[str] = []
    seen: dict[tuple[str, str, str], int] = {}
    try:
        header = [column.strip() for column in next(reader, [])]
        problems += [f"{name}:1: {problem}" for problem in _columns(header)]
        if problems:
            return rows, problems
        places = [header.index(column) for column in COLUMNS]
        for cells in reader:
            here = f"{name}:{reader.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                problems.append(f"{here}: {len(cells)} fields, where {len(header)} belong")
                continue
            row = Row(*(cells[place].strip() for place in places))
            wrong = list(_mistakes(row))
            space = "https://dmd.nhs.uk" if row.system in SNOMED_SYSTEMS else row.system
            key = (row.cluster, space, row.code)
            if not wrong and (first := seen.setdefault(key, reader.line_num)) != reader.line_num:
                wrong = [f"code: the same code is in {row.cluster} on line {first}"]
            problems += [f"{here}: {problem}" for problem in wrong]
            rows.append(row)
    except csv.Error as error:
        problems.append(f"{name}:{reader.line_num}: {error}")
    if not rows and not problems:
        problems.append(f"{name}:1: the list has no rows")
    return rows, problems


def _columns(header: list[str]) -> Iterable[str]:
    for column in COLUMNS:
        if header.count(column) != 1:
            word = "missing" if column not in header else "there twice"
            yield f"{column}: this column is {word}; the columns are {','.join(COLUMNS)}"
    for column in header:
        if column not in COLUMNS:
            yield f"{column or '(empty)'}: no such column; the columns are {','.join(COLUMNS)}"


def _mistakes(row: Row) -> Iterator[str]:
    for column, value in zip(COLUMNS, (row.cluster, row.system, row.code, row.origin), strict=True):
        if not value:
            yield f"{column}: is empty"
    if row.cluster and not _CLUSTER.fullmatch(row.cluster):
        yield f"cluster: {row.cluster!r} is no name: capital letters, digits and _ make one"
    if row.code and row.system in SNOMED_SYSTEMS and not re.fullmatch("[1-9][0-9]{5,17}", row.code):
        yield (
            f"code: {row.code!r} is no SNOMED CT identifier: 6 to 18 digits (a spreadsheet may "
            "have changed it)"
        )
    if row.code and row.system == BNF_ROW and not _BNF.fullmatch(row.code):
        yield f"code: {row.code!r} is no start of a BNF code"
