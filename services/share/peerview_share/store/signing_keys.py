"""Practices' signing keys, what was asked and what was stopped of them. Nothing is rewritten."""

from collections import defaultdict
from collections.abc import Collection

from sqlalchemy import Connection, select

from peerview_share.agreements.key_state import KeyAct, KeyChange, KeyState, latest
from peerview_share.store import chain, schema


def state(connection: Connection, ods: str) -> KeyState:
    return states(connection, [ods]).get(ods, KeyState(ods))


def states(connection: Connection, practices: Collection[str]) -> dict[str, KeyState]:
    """Of those that have registered a key."""
    table = schema.signing_keys
    rows = connection.execute(
        select(table.c.ods, table.c.public_key)
        .where(table.c.ods.in_(list(practices)))
        .order_by(table.c.seq)
    )
    keys: dict[str, list[str]] = defaultdict(list)
    for ods, public_key in rows:
        keys[ods].append(public_key)
    if not keys:
        return {}
    acts = schema.signing_key_acts
    changes: dict[str, list[KeyChange]] = defaultdict(list)
    for row in connection.execute(
        select(acts).where(acts.c.ods.in_(list(keys))).order_by(acts.c.seq)
    ):
        changes[row.ods].append(
            KeyChange(
                row.ods, KeyAct(row.act), row.public_key, row.at, row.by, row.reason,
                row.effective_at,
            )
        )  # fmt: skip
    found = {}
    for ods, registered in keys.items():
        asked = latest(changes[ods])
        newest = registered[-1]
        found[ods] = KeyState(ods, newest, asked.get(newest), frozenset(asked) - {newest})
    return found


def insert_key(connection: Connection, ods: str, key: str, *, by: str, at: int) -> None:
    row = {"ods": ods, "registered_at": at, "public_key": key, "by": by}
    connection.execute(schema.signing_keys.insert(), row)


def insert_act(connection: Connection, change: KeyChange, *, proof: str | None = None) -> None:
    row = {
        "ods": change.ods,
        "act": change.act.value,
        "public_key": change.public_key,
        "at": change.at,
        "effective_at": change.effective_at,
        "by": change.by,
        "reason": change.reason,
        "proof": proof,
    }
    chain.append(connection, schema.signing_key_acts, [row])
