"""`peerview erase`: empty patients' records, over ingest's interface for practices."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import typer

from peerview_tools.client import Client, ServiceError

MOST: Final = 1_000
"""Patients a request."""


def run(
    ids: Sequence[str],
    file: Path | None,
    *,
    url: str,
    token: str,
    practice: str,
    system: str | None,
    yes: bool,
) -> int:
    """0 when all are erased; 1 when it was not confirmed; 2 when there is nobody to erase."""
    try:
        wanted = list(dict.fromkeys([*ids, *_read(file)]))
    except (OSError, UnicodeDecodeError) as error:
        print(f"peerview erase: {file}: {error}", file=sys.stderr)
        return 2
    if not wanted:
        print("peerview erase: no patient is named", file=sys.stderr)
        return 2
    if not yes and not typer.confirm(
        f"Erase the records of {len(wanted)} patients of {practice} here, for good?"
    ):
        return 1
    try:
        client = Client(url, lambda: token, headers={"ODS-Code": practice})
    except ValueError as error:
        raise ServiceError(0, str(error)) from error
    with client:
        for start in range(0, len(wanted), MOST):
            body: dict[str, object] = {"patients": wanted[start : start + MOST]}
            client.post("/v1/erasures", body | ({"system": system} if system else {}))
    print(f"{practice}: erased {len(wanted)}")
    return 0


def _read(file: Path | None) -> list[str]:
    if file is None:
        return []
    text = sys.stdin.read() if str(file) == "-" else file.read_text()
    return [line.strip() for line in text.splitlines() if line.strip()]
