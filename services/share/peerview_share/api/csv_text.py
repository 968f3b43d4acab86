"""Tables as CSV (RFC 4180) that a spreadsheet opens without running anything in them."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

MEDIA_TYPE: Final = "text/csv"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for the beginning of a formula, or skips before one."""


def wanted(accept: str | None) -> bool:
    """The caller asks for CSV by name, and does not like JSON better."""
    ranks = dict(_rank(part) for part in (accept or "").split(","))
    csv_rank = ranks.get(MEDIA_TYPE, 0.0)
    return csv_rank > 0 and csv_rank >= ranks.get("application/json", 0.0)


def table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """A header line and a line a row."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([safe(row[name]) for name in columns] for row in rows)
    return out.getvalue()


def safe(value: Any) -> str:
    """A cell's text. What a spreadsheet would run gets an apostrophe before it; numbers stay."""
    if value is None:
        return ""
    text = str(value)
    if isinstance(value, str) and text.lstrip(" ").startswith(_FORMULA):
        return f"'{text}"
    return text


def _rank(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return name, float(parameter[2:])
            except ValueError:
                return name, 0.0
    return name, 1.0
