"""Lists of the draft form that have a row for each: parties, recipients by name, contacts. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from peerview_share.web.draft_clauses import Kind, shown, taken
from peerview_share.web.forms import Fields

EMPTY_ROWS: Final = 3
Row = tuple[int, dict[str, Any]]
"""The number of a row in the form, from 0, and what it says."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    """In the document."""
    part: str
    """In the names of its fields: ``party-0-ods``."""
    label: str
    kind: Kind = Kind.LINE
    optional: bool = False
    size: int = 40
    """How many characters its fields are wide."""
    joint: str = "of"
    """Between its label and the row: Code *of* party 1."""
    default: str = ""
    """Said where the row is left open here; such a column makes no row by itself."""


@dataclass(frozen=True, slots=True)
class Table:
    prefix: str
    one: str
    """What a row is."""
    columns: tuple[Column, ...]
    most: int

    def field(self, row: int, column: Column) -> str:
        return f"{self.prefix}-{row}-{column.part}"

    def label(self, row: int, column: Column) -> str:
        return f"{column.label} {column.joint} {self.one} {row + 1}"


_CODE: Final = Column("odsCode", "ods", "Code", Kind.CODE, size=10)
_NAME: Final = Column("name", "name", "Name")
PARTIES: Final = Table(
    "party",
    "party",
    (
        _CODE,
        replace(_NAME, size=30),
        Column("role", "role", "Role", Kind.CHOICE, default="controller"),
        Column("signatory", "signatory", "Who will sign", optional=True, size=20, joint="for"),
    ),
    500,
)
RECIPIENTS: Final = Table("recipient", "recipient", (_CODE, _NAME), 50)
CONTACTS: Final = Table(
    "contact",
    "contact",
    (replace(_NAME, size=36), Column("email", "email", "Email", optional=True, size=36)),
    50,
)
TABLES: Final = (PARTIES, RECIPIENTS, CONTACTS)


def show(table: Table, values: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    return {
        table.field(row, column): [shown(column.kind, value.get(column.name, column.default))]
        for row, value in enumerate(values)
        for column in table.columns
    }


def take(table: Table, fields: Fields, before: Sequence[Mapping[str, Any]] = ()) -> list[Row]:
    """The rows that say something. ``before`` are the values that the form showed, row by row."""
    found = []
    for row in _numbers(table, fields):
        old = before[row] if row < len(before) else {}
        typed = {column: fields.one(table.field(row, column)) for column in table.columns}
        value = {}
        for column, text in typed.items():
            known = {"before": old[column.name]} if column.name in old else {}
            told = taken(column.kind, text or column.default, **known)
            value[column.name] = told if isinstance(told, str) else ""
        said = any(text and not column.default for column, text in typed.items())
        # of one whose name is blank, the form shows a blank row
        if said or (old and value == old):
            found.append((row, value))
    return found


def count(table: Table, fields: Fields, more: int = EMPTY_ROWS) -> int:
    """How many rows the form has: those that say something, and ``more`` empty ones."""
    filled = [row for row, _ in take(table, fields)]
    return min(table.most, (max(filled) + 1 if filled else 0) + more)


def _numbers(table: Table, fields: Fields) -> list[int]:
    parts = {column.part for column in table.columns}
    found = set()
    for name in fields.values:
        prefix, _, rest = name.partition("-")
        number, _, part = rest.partition("-")
        if prefix == table.prefix and part in parts and number.isascii() and number.isdigit():
            found.add(number)
    return sorted(int(number) for number in found if len(number) < 4 and int(number) < table.most)
