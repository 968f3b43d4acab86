"""Whose cells are in each derived figure, from which epoch on. Kept, for it is never recomputed.

A row holds from its epoch until the next row of the same place; an epoch that changes nothing
writes nothing.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy import Connection, select

from peerview_share.disclosure.membership import Members, Step
from peerview_share.store import schema

Place: TypeAlias = tuple[str, str, str]
"""Network, viewer, indicator."""


@dataclass(frozen=True, slots=True)
class DerivedSet:
    network: str
    viewer: str
    indicator: str
    epoch: int
    step: Step
    level: str
    """``anonymous`` or ``distribution``."""
    members: Members
    """Empty where nothing is shown."""
    cells_epoch: int | None
    """The epoch whose cells are shown; None: each epoch's own."""

    @property
    def place(self) -> Place:
        return self.network, self.viewer, self.indicator


def save(connection: Connection, found: Iterable[DerivedSet]) -> None:
    rows = [
        {
            "network": item.network,
            "viewer": item.viewer,
            "indicator": item.indicator,
            "epoch": item.epoch,
            "step": item.step.value,
            "level": item.level,
            "members": json.dumps(sorted(item.members)),
            "cells_epoch": item.cells_epoch,
        }
        for item in found
    ]
    if rows:
        connection.execute(schema.derived_sets.insert(), rows)


def history(connection: Connection) -> defaultdict[tuple[str, str], list[DerivedSet]]:
    """``{(viewer, indicator): every set, oldest first}`` of all networks."""
    table = schema.derived_sets
    found: dict[tuple[str, str], list[DerivedSet]] = defaultdict(list)
    for row in connection.execute(select(table).order_by(table.c.epoch)):
        found[row.viewer, row.indicator].append(_read(row))
    return found


def in_force(
    connection: Connection, network: str, viewer: str, epoch: int
) -> Mapping[str, DerivedSet]:
    """``{indicator: the set that holds at epoch}``."""
    table = schema.derived_sets
    rows = connection.execute(
        select(table)
        .where(table.c.network == network, table.c.viewer == viewer, table.c.epoch <= epoch)
        .order_by(table.c.epoch)
    )
    return {row.indicator: _read(row) for row in rows}


def _read(row: object) -> DerivedSet:
    values = row._mapping  # type: ignore[attr-defined]
    return DerivedSet(
        values["network"],
        values["viewer"],
        values["indicator"],
        values["epoch"],
        Step(values["step"]),
        values["level"],
        frozenset(json.loads(values["members"])),
        values["cells_epoch"],
    )
