"""Agreements over HTTP: propose, read, sign, suspend, resume, withdraw, limit."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from peerview_common.days import iso_millis
from peerview_common.problem import Problem
from peerview_share.agreements.acts import RefusedError, UnknownAgreementError
from peerview_share.agreements.document import Agreement, Limits
from peerview_share.agreements.life import AgreementRecord, statuses
from peerview_share.api.callers import READ, Caller, ShareParts, Signatory
from peerview_share.service import Share
from peerview_share.store import agreements as store

router = APIRouter(prefix="/v1/agreements", tags=["agreements"])


class SignatureRequest(BaseModel):
    """The signatory confirms what they read, by the hash of its terms."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")

    version: int = Field(ge=1)
    terms_hash: str = Field(pattern=r"^[0-9a-fA-F]{64}$")


@router.post("", status_code=201)
def propose(
    document: Agreement, actor: Signatory, share: ShareParts, response: Response
) -> dict[str, Any]:
    """A new agreement, or the next version of one."""
    _do(lambda: share.acts.create(document, actor))
    response.headers["Location"] = f"/v1/agreements/{document.id}?version={document.version}"
    return _one(share, document.id, document.version, frozenset({actor.ods}))


@router.get("")
def list_agreements(principal: Caller, share: ShareParts) -> dict[str, Any]:
    """The newest version of every agreement that names a practice of the token."""
    principal.require_scope(READ)
    newest: dict[str, tuple[AgreementRecord, str]] = {}
    for record, status in _records(share):
        if _names(record, principal.practices):
            newest[record.document.id] = record, status
    return {
        "agreements": [
            {
                "id": record.document.id,
                "version": record.document.version,
                "title": record.document.title,
                "network": record.document.network.id,
                "status": status,
                "termsHash": record.terms_hash,
            }
            for record, status in newest.values()
        ]
    }


@router.get("/{agreement}")
def read(
    agreement: str,
    principal: Caller,
    share: ShareParts,
    version: Annotated[int | None, Query(ge=1)] = None,
) -> dict[str, Any]:
    """The document, its status, and who signed it. For its parties only."""
    principal.require_scope(READ)
    return _one(share, agreement, version, principal.practices)


@router.get("/{agreement}/history")
def history(agreement: str, principal: Caller, share: ShareParts) -> dict[str, Any]:
    """Every change with its time, oldest first."""
    principal.require_scope(READ)
    _one(share, agreement, None, principal.practices)
    with share.database.read() as connection:
        found = store.history(connection, agreement)
    return {
        "agreement": agreement,
        # what another party limits is its own affair: nobody is shown details
        "changes": [
            {k: v for k, v in item.items() if k != "detail"} | {"at": iso_millis(item["at"])}
            for item in found
        ],
    }


@router.post("/{agreement}/sign")
def sign(
    agreement: str, request: SignatureRequest, actor: Signatory, share: ShareParts
) -> dict[str, Any]:
    _do(lambda: share.acts.sign(agreement, request.version, request.terms_hash, actor))
    return _one(share, agreement, request.version, frozenset({actor.ods}))


@router.put("/{agreement}/limits")
def limit(agreement: str, limits: Limits, actor: Signatory, share: ShareParts) -> dict[str, Any]:
    """What this practice allows, where it is less than the agreement does."""
    _do(lambda: share.acts.limit(agreement, limits, actor))
    return _one(share, agreement, None, frozenset({actor.ods}))


@router.post("/{agreement}/{act}")
def act(
    agreement: str,
    act: Literal["suspend", "resume", "withdraw"],
    actor: Signatory,
    share: ShareParts,
) -> dict[str, Any]:
    """Takes effect before it is answered. Withdrawing is final for the practice."""
    acts = {
        "suspend": share.acts.suspend,
        "resume": share.acts.resume,
        "withdraw": share.acts.withdraw,
    }
    _do(lambda: acts[act](agreement, actor))
    return _one(share, agreement, None, frozenset({actor.ods}))


def _do(action: Any) -> None:
    try:
        action()
    except UnknownAgreementError as error:
        raise _unknown() from error
    except RefusedError as error:
        raise Problem(409, error.code, error.detail) from error


def _unknown() -> Problem:
    return Problem(404, "not-found", "there is no such agreement of this practice")


def _records(share: Share) -> list[tuple[AgreementRecord, str]]:
    with share.database.read() as connection:
        records = store.records(connection)
    states = statuses(records, share.clock())
    return [(record, states[record.key].value) for record in records]


def _names(record: AgreementRecord, practices: frozenset[str]) -> bool:
    return any(party.ods in practices for party in record.parties)


def _one(
    share: Share, agreement: str, version: int | None, practices: frozenset[str]
) -> dict[str, Any]:
    found = [
        (record, status)
        for record, status in _records(share)
        if record.document.id == agreement
        and version in (None, record.document.version)
        and _names(record, practices)
    ]
    if not found:
        raise _unknown()
    record, status = found[-1]
    with share.database.read() as connection:
        signatures = store.signatures(connection, *record.key)
    return {
        "agreement": record.document.plain(),
        "status": status,
        "termsHash": record.terms_hash,
        "parties": [
            {
                "odsCode": party.ods,
                "name": party.name,
                "role": party.role.value,
                "signedAt": _iso(party.signed_at),
                "suspendedAt": _iso(party.suspended_at),
                "withdrawnAt": _iso(party.withdrawn_at),
            }
            for party in record.parties
        ],
        "limits": {
            party.ods: party.limits.model_dump(mode="json", by_alias=True)
            for party in record.parties
            if party.ods in practices
        },
        "signatures": [
            {**signature, "signedAt": iso_millis(signature["signedAt"])} for signature in signatures
        ],
    }


def _iso(moment: int | None) -> str | None:
    return None if moment is None else iso_millis(moment)
