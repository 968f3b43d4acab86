"""What the service's role may do in PostgreSQL: everything to its work, and only add to the audit.

Tables belong to an owner, whose role migrates them (`python -m peerview_share migrate`); the
service runs as a lesser one. SQLite knows no roles: there triggers refuse.
"""

from typing import Final

from sqlalchemy import Connection, inspect, text

from peerview_share.store import schema

ADD: Final = ("SELECT", "INSERT")
WORK: Final = (*ADD, "UPDATE", "DELETE")

_ON_TABLE: Final = "SELECT has_table_privilege(:name, :right)"
_QUESTIONS: Final = {
    # also of single columns
    "UPDATE": "SELECT has_any_column_privilege(:name, :right)",
    "DELETE": _ON_TABLE,
    "TRUNCATE": _ON_TABLE,
    "TRIGGER": _ON_TABLE,
    # by itself, as a member of the owner's role, or as a superuser
    "ownership": "SELECT :right <> '' AND pg_has_role(relowner, 'MEMBER') FROM pg_class "
    "WHERE oid = CAST(:name AS regclass)",
}
"""How a role would tamper, and how PostgreSQL is asked whether it may."""


class RightsError(Exception):
    """The service's role could rewrite the audit."""


def grant(connection: Connection, role: str) -> None:
    """Give ``role`` what the service needs, and take everything else. The connection's role owns
    the tables. Repeating it changes nothing."""
    if connection.dialect.name != "postgresql" or _current_role(connection) == role:
        return
    name = connection.dialect.identifier_preparer.quote(role)
    schema_name = connection.execute(text("SELECT quote_ident(current_schema())")).scalar_one()
    here = set(inspect(connection).get_table_names())
    rights = {table.name: WORK for table in schema.metadata.tables.values()}
    rights |= {table.name: ADD for table in schema.append_only()} | {"alembic_version": ("SELECT",)}
    connection.execute(text(f"GRANT USAGE ON SCHEMA {schema_name} TO {name}"))
    for table, given in sorted(rights.items()):
        if table in here:
            connection.execute(text(f"REVOKE ALL ON {table} FROM {name}"))
            connection.execute(text(f"GRANT {', '.join(given)} ON {table} TO {name}"))
    connection.execute(text(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema_name} TO {name}"))


def excess(connection: Connection) -> list[str]:
    """What the connection's own role could do to rewrite the audit: none, if all is well.

    An owner has every right to its tables, so a role that owns them is named too.
    """
    if connection.dialect.name != "postgresql":
        return []
    found = []
    for table in schema.append_only():
        for right, question in _QUESTIONS.items():
            answer = connection.execute(text(question), {"name": table.name, "right": right})
            if answer.scalar_one():
                found.append(f"{right} on {table.name}")
    return found


def _current_role(connection: Connection) -> str:
    return str(connection.execute(text("SELECT current_user")).scalar_one())
