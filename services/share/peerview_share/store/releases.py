"""The log of releases: what each practice's cells were when peers got to see them.

Cells may be decided anew until their epoch is published (a practice holds one), so their table can
be written to. From then on they never change; a digest in a chained, append-only log shows if they
did.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import rfc8785
from sqlalchemy import Connection, select

from peerview_share.store import chain, schema
from peerview_share.store.chain import Break

# a digest of small numbers that nobody sees would tell them: they are soon tried
_NOT_SEEN: Final = frozenset({"epoch", "practice", "reason", "reach", "patients"})


def record(connection: Connection, epoch: int, at: int) -> None:
    """Log every practice of an epoch, in the transaction that publishes it."""
    table = schema.epochs
    rules = connection.execute(select(table.c.rules).where(table.c.number == epoch)).scalar_one()
    rows = [
        {
            "at": at,
            "epoch": epoch,
            "practice": practice,
            "rules": rules,
            "cells": count,
            "digest": digest,
        }
        for practice, (count, digest) in _digests(connection, epoch).items()
    ]
    chain.append(connection, schema.releases, rows)


def verify(connection: Connection) -> list[Break]:
    """Every published epoch since the log began, against its cells as they are now."""
    table = schema.releases
    logged: dict[int, dict[str, str]] = {}
    for row in connection.execute(select(table).order_by(table.c.seq)):
        logged.setdefault(row.epoch, {})[row.practice] = row.digest
    published = connection.execute(
        select(schema.epochs.c.number).where(
            schema.epochs.c.published_at.is_not(None),
            schema.epochs.c.number >= min(logged, default=0),
        )
    )
    wrong = []
    for epoch in sorted({*logged, *(published.scalars() if logged else ())}):
        before = logged.get(epoch, {})
        now = {practice: digest for practice, (_, digest) in _digests(connection, epoch).items()}
        for practice in sorted(before.keys() | now.keys()):
            if practice not in before:
                reason = "it is published, and not in the log of releases"
            elif practice not in now:
                reason = "its cells are gone"
            elif before[practice] != now[practice]:
                reason = "its cells are not those that were released"
            else:
                continue
            wrong.append(Break("cells", f"epoch {epoch}, {practice}", None, reason))
    return wrong


def digest_of(cells: list[Mapping[str, Any]]) -> str:
    """SHA-256 of one practice's cells of one epoch, as canonical JSON (RFC 8785)."""
    shown = [
        {k: v for k, v in cell.items() if k not in _NOT_SEEN and v is not None} for cell in cells
    ]
    shown.sort(key=lambda cell: str(cell["indicator"]))
    return hashlib.sha256(rfc8785.dumps(shown)).hexdigest()


def _digests(connection: Connection, epoch: int) -> dict[str, tuple[int, str]]:
    """``{practice: (how many cells, their digest)}``."""
    table = schema.cells
    found: dict[str, list[Mapping[str, Any]]] = {}
    rows = connection.execute(
        select(table).where(table.c.epoch == epoch).order_by(table.c.practice)
    )
    for row in rows.mappings():
        found.setdefault(row["practice"], []).append(dict(row))
    return {practice: (len(cells), digest_of(cells)) for practice, cells in found.items()}
