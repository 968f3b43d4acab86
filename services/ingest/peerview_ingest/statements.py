"""The statements of every submission, made once: making one costs more than running it."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import Table, bindparam, case, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql import ColumnElement, Executable

from peerview_ingest.tables import (
    facts,
    key_versions,
    objection_words,
    organisations,
    patients,
    sources,
)


def _among(column: ColumnElement[Any]) -> ColumnElement[bool]:
    return column.in_(bindparam("keys", expanding=True))


def _of_practice(table: Table) -> ColumnElement[bool]:
    return table.c.practice == bindparam("practice")


LAST_RECEIVED: Final = select(func.max(sources.c.data_through)).where(_of_practice(sources))
KEY_VERSIONS: Final = (
    select(key_versions).where(_of_practice(key_versions)).order_by(key_versions.c.version)
)
ORGANISATIONS: Final = select(organisations.c.id, organisations.c.ods).where(
    _of_practice(organisations), organisations.c.source == bindparam("source")
)
FACTS: Final = select(
    facts.c.key,
    facts.c.stamp,
    facts.c.version,
    facts.c.deleted,
    facts.c.digest,
    facts.c.content,
    facts.c.holders,
    facts.c.codes,
    facts.c.raised,
).where(_among(facts.c.key))
WORDED: Final = select(objection_words.c.patient).where(_among(objection_words.c.fact))
PATIENTS: Final = select(
    patients.c.key, patients.c.generation, patients.c.objected, patients.c.reserved
).where(_among(patients.c.key))
WORDS: Final = select(objection_words).where(_among(objection_words.c.patient))
PERSONS: Final = select(patients.c.key, patients.c.person).where(_among(patients.c.person))


@cache
def upsert(dialect: str, table: Table, keys: Sequence[str], changed: Sequence[str]) -> Executable:
    """Rows put in, or where their ``keys`` are there already ``changed`` in them. Both are tuples,
    and the rows have all columns that are not left to the database."""
    insert = _insert(dialect, table)
    statement: Executable = insert.on_conflict_do_update(
        index_elements=list(keys), set_={name: insert.excluded[name] for name in changed}
    )
    return statement


@cache
def listed(dialect: str, table: Table) -> Executable:
    """Rows put in, unless they are there."""
    statement: Executable = _insert(dialect, table).on_conflict_do_nothing()
    return statement


@cache
def sourced(dialect: str) -> Executable:
    """A row of ``sources``: a feed is known to be whole up to the latest moment that it ever was,
    and keeps the code list that it began with."""
    row = _insert(dialect, sources)
    later = case(
        (row.excluded.data_through > sources.c.data_through, row.excluded.data_through),
        else_=sources.c.data_through,
    )
    statement: Executable = row.on_conflict_do_update(
        index_elements=["practice", "source"],
        set_={"data_through": later, "key_version": row.excluded.key_version},
    )
    return statement


def _insert(dialect: str, table: Table) -> Any:
    return (sqlite if dialect == "sqlite" else postgresql).insert(table)
