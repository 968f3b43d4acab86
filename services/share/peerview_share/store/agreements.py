"""Agreements as rows: read as records, changed in steps that each leave history and an event."""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, func, select, tuple_, update

from peerview_common.cloudevents import EventType
from peerview_common.topics import AGREEMENTS
from peerview_share.agreements.document import Agreement, Limits
from peerview_share.agreements.life import AgreementRecord, PartyRecord
from peerview_share.store import chain, schema

EVENT_FORMAT = 1


def revision(connection: Connection) -> int:
    return int(connection.execute(select(schema.state.c.revision)).scalar_one())


def records(connection: Connection) -> tuple[AgreementRecord, ...]:
    """Every version of every agreement."""
    signed = {
        (row.agreement, row.version, row.ods): row.signed_at
        for row in connection.execute(select(schema.signatures))
    }
    acts: dict[tuple[str, int], dict[str, Any]] = defaultdict(dict)
    for row in connection.execute(select(schema.parties)):
        acts[row.agreement, row.version][row.ods] = row
    found = []
    for row in connection.execute(
        select(schema.agreements).order_by(schema.agreements.c.id, schema.agreements.c.version)
    ):
        document = Agreement.model_validate_json(row.document)
        people = acts[row.id, row.version]
        parties = tuple(
            PartyRecord(
                party.ods_code,
                party.name,
                party.role,
                signed.get((row.id, row.version, party.ods_code)),
                people[party.ods_code].withdrawn_at,
                people[party.ods_code].suspended_at,
                Limits.model_validate_json(people[party.ods_code].limits),
            )
            for party in document.parties
        )
        found.append(AgreementRecord(document, row.terms_hash, parties))
    return tuple(found)


def documents(
    connection: Connection, keys: Collection[tuple[str, int]]
) -> dict[tuple[str, int], Agreement]:
    """The versions of agreements that are asked for."""
    table = schema.agreements
    found = connection.execute(
        select(table).where(tuple_(table.c.id, table.c.version).in_(list(keys)))
    )
    return {(row.id, row.version): Agreement.model_validate_json(row.document) for row in found}


def insert(connection: Connection, document: Agreement, *, by: str, at: int) -> None:
    identity, version = document.id, document.version
    connection.execute(
        schema.agreements.insert(),
        {
            "id": identity,
            "version": version,
            "network": document.network.id,
            "document": json.dumps(document.plain(), ensure_ascii=False),
            "terms_hash": document.terms_hash(),
            "created_at": at,
            "created_by": by,
        },
    )
    rows = [
        {
            "agreement": identity,
            "version": version,
            "ods": party.ods_code,
            "joined_at": at,
            "limits": Limits().model_dump_json(by_alias=True),
        }
        for party in document.parties
    ]
    connection.execute(schema.parties.insert(), rows)


def insert_signature(
    connection: Connection,
    record: AgreementRecord,
    *,
    ods: str,
    signatory: str,
    name: str,
    role: str,
    at: int,
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
        },
    )


def set_party(connection: Connection, agreement: str, ods: str, **values: Any) -> None:
    """Change one party in every version of an agreement that names it."""
    connection.execute(
        update(schema.parties)
        .where(schema.parties.c.agreement == agreement, schema.parties.c.ods == ods)
        .values(**values)
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
    detail: Mapping[str, Any] | None = None,
) -> int:
    """Raise the revision, write the history, and put the mirror's event into the outbox: all in
    the caller's transaction. Returns the new revision."""
    connection.execute(update(schema.state).values(revision=schema.state.c.revision + 1))
    number = revision(connection)
    row = {
        "agreement": agreement,
        "version": version,
        "event": event,
        "ods": ods,
        "by": by,
        "at": at,
        "detail": json.dumps(detail or {}, ensure_ascii=False),
        "revision": number,
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
        "revision": number,
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
    return number


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
    table = schema.signatures
    found = connection.execute(
        select(table)
        .where(table.c.agreement == agreement, table.c.version == version)
        .order_by(table.c.signed_at, table.c.ods)
    )
    return [
        {
            "practice": row.ods,
            "signatory": row.signatory,
            "name": row.name,
            "role": row.role,
            "termsHash": row.terms_hash,
            "signedAt": row.signed_at,
        }
        for row in found
    ]


def newest_version(connection: Connection, agreement: str) -> int | None:
    table = schema.agreements
    return connection.execute(
        select(func.max(table.c.version)).where(table.c.id == agreement)
    ).scalar()
