"""Agreements, their signatures, and every change with its time. Nothing here is ever rewritten.

How an agreement stands is not stored: it follows from its history (`agreements/replay.py`).
"""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, func, select, tuple_, update

from peerview_common.cloudevents import EventType
from peerview_common.topics import AGREEMENTS
from peerview_share.agreements.document import Agreement
from peerview_share.agreements.life import AgreementRecord
from peerview_share.agreements.replay import Change, Event, Text, replay
from peerview_share.store import chain, schema
from peerview_share.store.database import upsert

EVENT_FORMAT = 1


def revision(connection: Connection) -> int:
    return int(connection.execute(select(schema.state.c.revision)).scalar_one())


def next_revision(connection: Connection) -> int:
    """Raise the revision. Done before anything is read to decide by: whoever changes agreements
    takes turns until the transaction ends."""
    connection.execute(update(schema.state).values(revision=schema.state.c.revision + 1))
    return revision(connection)


def documents(
    connection: Connection, keys: Collection[tuple[str, int]]
) -> dict[tuple[str, int], Agreement]:
    """The versions of agreements that are asked for, as they were last edited."""
    table = schema.agreements
    found = connection.execute(
        select(table)
        .where(tuple_(table.c.id, table.c.version).in_(list(keys)))
        .order_by(table.c.edit)
    )
    return {(row.id, row.version): _parsed(row.document)[0] for row in found}


def records(
    connection: Connection, *, at: int | None = None, agreement: str | None = None
) -> tuple[AgreementRecord, ...]:
    """Every version of every agreement, or of one: as they stand, or stood at a moment
    (milliseconds UTC, what happened in it included)."""
    return tuple(
        record
        for _, found in sorted(by_agreement(connection, at=at, agreement=agreement).items())
        for record in found
    )


def by_agreement(
    connection: Connection,
    *,
    at: int | None = None,
    agreement: str | None = None,
    changed_since: int | None = None,
) -> dict[str, tuple[AgreementRecord, ...]]:
    """The same by agreement. ``changed_since`` leaves out those without a change after that
    revision."""
    history, table = schema.agreement_history, schema.agreements
    changes_query = select(
        history.c.agreement,
        history.c.version,
        history.c.event,
        history.c.ods,
        history.c.at,
        history.c.detail,
    ).order_by(history.c.seq)
    texts_query = select(
        table.c.id, table.c.version, table.c.edit, table.c.document, table.c.terms_hash
    )
    if agreement is not None:
        changes_query = changes_query.where(history.c.agreement == agreement)
        texts_query = texts_query.where(table.c.id == agreement)
    if at is not None:
        changes_query = changes_query.where(history.c.at <= at)
    if changed_since is not None:
        changed = select(history.c.agreement).where(history.c.revision > changed_since)
        changes_query = changes_query.where(history.c.agreement.in_(changed))
        texts_query = texts_query.where(table.c.id.in_(changed))
    changes: dict[str, list[Change]] = defaultdict(list)
    for name, version, event, ods, moment, detail in connection.execute(changes_query):
        told = json.loads(detail) if detail != "{}" else {}
        changes[name].append(Change(version, Event(event), ods, moment, told))
    texts: dict[str, dict[tuple[int, int], Text]] = defaultdict(dict)
    for name, version, edit, document, terms in connection.execute(texts_query):
        parsed, plain = _parsed(document)
        texts[name][version, edit] = Text(parsed, plain, terms)
    return {name: replay(texts[name], found) for name, found in changes.items()}


@lru_cache(maxsize=4096)
def _parsed(document: str) -> tuple[Agreement, Mapping[str, Any]]:
    """Texts never change. The plain form is what was hashed, also where the code that reads it
    knows of more clauses."""
    return Agreement.model_validate_json(document), json.loads(document)


def last_at(connection: Connection, agreement: str) -> int:
    """The moment of the newest change, 0 if there is none: time never goes back in a history."""
    table = schema.agreement_history
    newest = select(func.max(table.c.at)).where(table.c.agreement == agreement)
    return connection.execute(newest).scalar() or 0


def insert_text(
    connection: Connection, document: Agreement, *, edit: int, by: str, at: int
) -> None:
    connection.execute(
        schema.agreements.insert(),
        {
            "id": document.id,
            "version": document.version,
            "edit": edit,
            "network": document.network.id,
            "document": json.dumps(document.plain(), ensure_ascii=False),
            "terms_hash": document.terms_hash(),
            "created_at": at,
            "created_by": by,
        },
    )


@dataclass(frozen=True, slots=True)
class Saved:
    """Who wrote the text of a version that stands last, and when (milliseconds UTC)."""

    by: str
    practice: str | None
    at: int


def saved(connection: Connection, agreement: str, version: int) -> Saved:
    table = schema.agreement_history
    row = connection.execute(
        select(table.c.by, table.c.ods, table.c.at)
        .where(
            table.c.agreement == agreement,
            table.c.version == version,
            table.c.event.in_([Event.PROPOSED.value, Event.EDITED.value]),
        )
        .order_by(table.c.seq.desc())
        .limit(1)
    ).one()
    return Saved(row.by, row.ods, row.at)


def text(
    connection: Connection, agreement: str, version: int, edit: int
) -> Mapping[str, Any] | None:
    """One text of a version, as it was saved; None where there is none."""
    table = schema.agreements
    found = connection.execute(
        select(table.c.document).where(
            table.c.id == agreement, table.c.version == version, table.c.edit == edit
        )
    ).scalar()
    return None if found is None else _parsed(found)[1]


def insert_signature(
    connection: Connection,
    record: AgreementRecord,
    *,
    ods: str,
    signatory: str,
    name: str,
    role: str,
    at: int,
    public_key: str | None = None,
    proof: str | None = None,
) -> None:
    identity, version = record.key
    connection.execute(
        schema.signatures.insert(),
        {
            "agreement": identity,
            "version": version,
            "ods": ods,
            "signatory": signatory,
            "name": name,
            "role": role,
            "terms_hash": record.terms_hash,
            "signed_at": at,
            "public_key": public_key,
            "proof": proof,
        },
    )


def record_change(
    connection: Connection,
    *,
    agreement: str,
    version: int,
    network: str,
    event: str,
    ods: str | None,
    by: str,
    at: int,
    revision: int,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Write the history, and put the mirror's event into the outbox, in the transaction that
    raised the revision."""
    row = {
        "agreement": agreement,
        "version": version,
        "event": event,
        "ods": ods,
        "by": by,
        "at": at,
        "detail": json.dumps(detail or {}, ensure_ascii=False),
        "revision": revision,
    }
    chain.append(connection, schema.agreement_history, [row])
    body = {
        "format": EVENT_FORMAT,
        "agreement": agreement,
        "version": version,
        "network": network,
        "event": event,
        "practice": ods,
        "at": at,
        "revision": revision,
    }
    connection.execute(
        schema.outbox.insert(),
        {
            "topic": AGREEMENTS.name,
            "key": agreement,
            "type": EventType.AGREEMENT,
            "value": json.dumps(body).encode(),
        },
    )


def history(connection: Connection, agreement: str) -> list[dict[str, Any]]:
    table = schema.agreement_history
    found = connection.execute(
        select(table).where(table.c.agreement == agreement).order_by(table.c.seq)
    )
    return [
        {
            "version": row.version,
            "event": row.event,
            "practice": row.ods,
            "by": row.by,
            "at": row.at,
            "detail": json.loads(row.detail),
            "revision": row.revision,
        }
        for row in found
    ]


def signatures(connection: Connection, agreement: str, version: int) -> list[dict[str, Any]]:
    """Every one that was ever given to the version, also to a text that was edited since."""
    table = schema.signatures
    found = connection.execute(
        select(table)
        .where(table.c.agreement == agreement, table.c.version == version)
        .order_by(table.c.seq)
    )
    return [
        {
            "practice": row.ods,
            "signatory": row.signatory,
            "name": row.name,
            "role": row.role,
            "termsHash": row.terms_hash,
            "signedAt": row.signed_at,
            "publicKey": row.public_key,
            "proof": row.proof,
        }
        for row in found
    ]


def insert_succession(
    connection: Connection, predecessor: str, successor: str, day: int, *, by: str, at: int
) -> None:
    """Whoever tells it first has told it."""
    row = {"predecessor": predecessor, "successor": successor, "day": day, "at": at, "by": by}
    upsert(connection, schema.successions, [row])
