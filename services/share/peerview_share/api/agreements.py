"""Agreements over HTTP: propose, edit, compare, sign, join, admit, suspend, withdraw, explain."""

import json
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Header, Query, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from peerview_common.days import iso_millis, iso_or_none
from peerview_common.problem import Problem
from peerview_share.agreements.acts import (
    ChangedMeanwhileError,
    RefusedError,
    UnknownAgreementError,
)
from peerview_share.agreements.checking import FaultyDocumentError, check_limits, check_over, parse
from peerview_share.agreements.difference import difference
from peerview_share.agreements.document import Agreement, Limits, Role
from peerview_share.agreements.life import AgreementRecord, PartyRecord, statuses
from peerview_share.agreements.odrl import policy
from peerview_share.api.callers import READ, Caller, ShareParts, Signatory
from peerview_share.api.signing_keys import revocation
from peerview_share.service import Share
from peerview_share.store import agreements as store
from peerview_share.store import signing_keys

router = APIRouter(prefix="/v1/agreements", tags=["agreements"])


Proof = Annotated[
    str | None,
    Field(max_length=128, description="Ed25519, in base64; needed once a key is registered."),
]
Document = Annotated[dict[str, Any], Body()]


def _hash(text: str) -> str:
    found = text.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{64}", found):
        raise PydanticCustomError("sha256", "is no SHA-256: 64 hexadecimal digits")
    return found


TermsHash = Annotated[str, AfterValidator(_hash)]


class _Request(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")


class SignatureRequest(_Request):
    """The signatory confirms what they read, by the hash of its terms."""

    version: int = Field(ge=1)
    terms_hash: TermsHash
    proof: Proof = None


class JoinRequest(SignatureRequest):
    """The same, of a practice that is no party yet."""

    name: str = Field(min_length=1, max_length=300)
    role: Role = Role.CONTROLLER


class AdmissionRequest(_Request):
    """A party agrees to a practice that asks to join."""

    practice: str = Field(min_length=1, max_length=10)
    proof: Proof = None


@router.post("", status_code=201)
def propose(
    document: Document, actor: Signatory, share: ShareParts, response: Response
) -> dict[str, Any]:
    """A new agreement, or the next version of one."""
    parsed = _parsed(document, share.clock())
    try:
        _do(lambda: share.acts.create(parsed, actor))
    except Problem as refused:
        if refused.status == 404:
            # an id that others use; nothing is said of theirs
            raise Problem(409, "id-taken", "id: cannot be had; choose another id") from refused
        raise
    response.headers["Location"] = f"/v1/agreements/{parsed.id}?version={parsed.version}"
    return _tagged(response, share, parsed.id, parsed.version, frozenset({actor.ods}))


@router.put("/{agreement}")
def edit(
    agreement: str,
    document: Document,
    actor: Signatory,
    share: ShareParts,
    response: Response,
    if_match: Annotated[
        str | None, Header(description="The ETag of the draft that was changed")
    ] = None,
) -> dict[str, Any]:
    """Another text for a draft. Who signed other terms signs again. Needs the ``ETag`` of the text
    that was changed, in ``If-Match``: where somebody saved another since, nothing is changed (412).
    """
    parsed = _parsed(document, share.clock())
    if parsed.id != agreement:
        raise Problem(422, "not-valid", f"id: says {parsed.id}, and this is {agreement}")
    editions = _editions(if_match)
    try:
        _do(lambda: share.acts.edit(parsed, actor, of=editions))
    except ChangedMeanwhileError as error:
        record, saved = error.record, error.saved
        raise Problem(
            412,
            error.code,
            f"{error.detail}. Read it, and make your change of that",
            headers={"ETag": _tag(record)},
            edition=record.edition,
            savedBy=saved.by,
            savedFor=saved.practice,
            savedAt=iso_millis(saved.at),
            changes=difference(record.document, parsed, practice=actor.ods),
        ) from error
    return _tagged(response, share, parsed.id, parsed.version, frozenset({actor.ods}))


@router.get("")
def list_agreements(principal: Caller, share: ShareParts) -> dict[str, Any]:
    """Every agreement that names a practice of the token: its newest version, and the state of all
    of them, since the one in force may be older."""
    principal.require_scope(READ)
    agreements: dict[str, list[tuple[AgreementRecord, str]]] = {}
    for record, status in _records(share):
        if _names(record, principal.practices):
            agreements.setdefault(record.document.id, []).append((record, status))
    return {
        "agreements": [
            {
                "id": record.document.id,
                "version": record.document.version,
                "title": record.document.title,
                "network": record.document.network.id,
                "status": status,
                "termsHash": record.terms_hash,
                "versions": [
                    {"version": each.document.version, "status": state} for each, state in found
                ],
            }
            for found in agreements.values()
            for record, status in found[-1:]
        ]
    }


@router.get("/{agreement}")
def read(
    agreement: str,
    principal: Caller,
    share: ShareParts,
    response: Response,
    version: Annotated[int | None, Query(ge=1)] = None,
    terms: Annotated[TermsHash | None, Query()] = None,
) -> dict[str, Any]:
    """The document, its status, and who signed it. For its parties, its audience and who asks to
    join; whoever was given the hash of its terms (``terms``) may read those."""
    principal.require_scope(READ)
    if terms is not None:
        return _invited(share, agreement, terms)
    return _tagged(response, share, agreement, version, principal.practices)


@router.get("/{agreement}/difference")
def compare(
    agreement: str,
    principal: Caller,
    share: ShareParts,
    older: Annotated[int, Query(alias="from", ge=1)],
    newer: Annotated[int, Query(alias="to", ge=1)],
) -> dict[str, Any]:
    """What one version would change of another, in plain words."""
    principal.require_scope(READ)
    old, _ = _found(share, agreement, older, principal.practices)
    new, _ = _found(share, agreement, newer, principal.practices)
    named = [p.ods for p in (*old.parties, *new.parties) if p.ods in principal.practices]
    practice = named[0] if named else None
    return {
        "agreement": agreement,
        "from": older,
        "to": newer,
        "changes": difference(old.document, new.document, practice=practice),
    }


@router.get("/{agreement}/odrl")
def odrl(
    agreement: str,
    principal: Caller,
    share: ShareParts,
    version: Annotated[int | None, Query(ge=1)] = None,
) -> Response:
    """The agreement as an ODRL 2.2 policy, in JSON-LD."""
    principal.require_scope(READ)
    record, _ = _found(share, agreement, version, principal.practices)
    return Response(
        json.dumps(policy(record), ensure_ascii=False), media_type="application/ld+json"
    )


@router.get("/{agreement}/history")
def history(agreement: str, principal: Caller, share: ShareParts) -> dict[str, Any]:
    """Every change with its time, oldest first."""
    principal.require_scope(READ)
    _one(share, agreement, None, principal.practices)
    with share.database.read() as connection:
        found = store.history(connection, agreement)
    return {
        "agreement": agreement,
        # what another party limits is its own affair: nobody is shown details; and revisions count
        # the changes of everybody's agreements
        "changes": [
            {k: v for k, v in item.items() if k not in ("detail", "revision")}
            | {"at": iso_millis(item["at"])}
            for item in found
        ],
    }


@router.post("/{agreement}/sign")
def sign(
    agreement: str, request: SignatureRequest, actor: Signatory, share: ShareParts
) -> dict[str, Any]:
    _do(
        lambda: share.acts.sign(
            agreement, request.version, request.terms_hash, actor, proof=request.proof
        )
    )
    return _one(share, agreement, request.version, frozenset({actor.ods}))


@router.post("/{agreement}/join", status_code=202)
def join(
    agreement: str, request: JoinRequest, actor: Signatory, share: ShareParts
) -> dict[str, Any]:
    """Ask to become a party, by signing the terms. Those decide whom ``admission`` names."""
    _do(
        lambda: share.acts.join(
            agreement,
            request.version,
            request.terms_hash,
            actor,
            name=request.name,
            role=request.role,
            proof=request.proof,
        )
    )
    return _one(share, agreement, request.version, frozenset({actor.ods}))


@router.post("/{agreement}/admit")
def admit(
    agreement: str, request: AdmissionRequest, actor: Signatory, share: ShareParts
) -> dict[str, Any]:
    """Agree to a practice that asks to join."""
    _do(lambda: share.acts.admit(agreement, request.practice, actor, proof=request.proof))
    return _one(share, agreement, None, frozenset({actor.ods}))


@router.put("/{agreement}/limits")
def limit(agreement: str, limits: Limits, actor: Signatory, share: ShareParts) -> dict[str, Any]:
    """What this practice allows, where it is less than the agreement does: all of it, in place of
    what it allowed before."""
    if wrong := check_limits(limits):
        raise Problem(
            422, "not-valid", "nothing is limited: the limits name what is not there",
            errors=[{"place": fault.clause, "reason": fault.why} for fault in wrong],
        )  # fmt: skip
    _do(lambda: share.acts.limit(agreement, limits, actor))
    return _one(share, agreement, None, frozenset({actor.ods}))


@router.post("/{agreement}/{act}")
def act(
    agreement: str,
    act: Literal["suspend", "resume", "withdraw", "take-back"],
    actor: Signatory,
    share: ShareParts,
) -> dict[str, Any]:
    """Takes effect before it is answered. Withdrawing is final for the practice; a practice that
    only asks to join takes that back instead, and may ask again."""
    acts = {
        "suspend": share.acts.suspend,
        "resume": share.acts.resume,
        "withdraw": share.acts.withdraw,
        "take-back": share.acts.take_back,
    }
    _do(lambda: acts[act](agreement, actor))
    if act == "take-back":
        # it is none of its business any more
        return {"agreement": agreement, "practice": actor.ods, "asks": False}
    return _one(share, agreement, None, frozenset({actor.ods}))


def _editions(if_match: str | None) -> frozenset[str] | None:
    """Those that ``If-Match`` names; None for ``*``, which any text matches."""
    if if_match is None:
        raise Problem(
            428,
            "precondition-needed",
            "say which text you changed: its ETag, in the header If-Match, so that nobody undoes "
            "what somebody else saved meanwhile",
        )
    if if_match.strip() == "*":
        return None
    # a weak tag, W/"...", never matches here (RFC 9110, 13.1.1)
    named = (each.strip() for each in if_match.split(","))
    return frozenset(each[1:-1] for each in named if re.fullmatch(r'"[^"]*"', each))


def _tag(record: AgreementRecord) -> str:
    return f'"{record.edition}"'


def _tagged(
    response: Response,
    share: Share,
    agreement: str,
    version: int | None,
    practices: frozenset[str],
) -> dict[str, Any]:
    """With the tag of its text, which `edit` asks for. It says nothing of states or signatures."""
    found = _one(share, agreement, version, practices)
    response.headers["ETag"] = f'"{found["edition"]}"'
    return found


def _parsed(document: dict[str, Any], now: int) -> Agreement:
    try:
        found = parse(document)
        if faults := check_over(found, now):
            raise FaultyDocumentError(faults)
    except FaultyDocumentError as error:
        places = [{"place": fault.clause, "reason": fault.why} for fault in error.faults]
        raise Problem(
            422, "not-valid", "the document is not an agreement yet", errors=places
        ) from error
    return found


def _do(action: Callable[[], None]) -> None:
    try:
        action()
    except UnknownAgreementError as error:
        raise _unknown() from error
    except ChangedMeanwhileError:
        raise
    except RefusedError as error:
        raise Problem(409, error.code, error.detail) from error


def _unknown() -> Problem:
    return Problem(404, "not-found", "there is no such agreement of this practice")


def _records(share: Share, agreement: str | None = None) -> list[tuple[AgreementRecord, str]]:
    with share.database.read() as connection:
        records = store.records(connection, agreement=agreement)
    states = statuses(records, share.clock())
    return [(record, states[record.key].value) for record in records]


def _names(record: AgreementRecord, practices: frozenset[str]) -> bool:
    return any(record.names(ods) for ods in practices)


def _found(
    share: Share, agreement: str, version: int | None, practices: frozenset[str]
) -> tuple[AgreementRecord, str]:
    """The newest version, or one. Raises Problem 404, also for whom it does not concern."""
    found = [
        (record, status)
        for record, status in _records(share, agreement)
        if version in (None, record.document.version) and _names(record, practices)
    ]
    if not found:
        raise _unknown()
    return found[-1]


def _invited(share: Share, agreement: str, terms: str) -> dict[str, Any]:
    for record, status in _records(share, agreement):
        if record.terms_hash == terms:
            return {"agreement": record.text, "status": status, "termsHash": terms}
    raise _unknown()


def _one(
    share: Share, agreement: str, version: int | None, practices: frozenset[str]
) -> dict[str, Any]:
    record, status = _found(share, agreement, version, practices)
    with share.database.read() as connection:
        signatures = store.signatures(connection, *record.key)
        members = [party.ods for party in (*record.parties, *record.audience)]
        keys = signing_keys.states(connection, members)
    told = (revocation(keys[ods], share.clock()) for ods in sorted(keys))
    return {
        "agreement": record.text,
        "edition": record.edition,
        "status": status,
        "termsHash": record.terms_hash,
        "parties": [_party(record, party) for party in record.parties],
        "audience": [_party(record, party) for party in record.audience],
        "asking": [
            {
                "odsCode": asking.ods,
                "name": asking.name,
                "role": asking.role.value,
                "askedAt": iso_or_none(asking.asked_at),
                "agreed": list(asking.agreed),
            }
            for asking in record.asking
        ],
        "limits": {
            party.ods: party.limits.model_dump(mode="json", by_alias=True)
            for party in record.parties
            if party.ods in practices
        },
        "keyRevocations": [found for found in told if found is not None],
        "signatures": [
            {**signature, "signedAt": iso_millis(signature["signedAt"])} for signature in signatures
        ],
    }


def _party(record: AgreementRecord, party: PartyRecord) -> dict[str, Any]:
    return {
        "odsCode": party.ods,
        "name": party.name,
        "role": party.role.value,
        "signedAt": iso_or_none(party.signed_at),
        "joinedAt": iso_or_none(party.joined_at),
        "suspendedAt": iso_or_none(party.suspended_at),
        "withdrawnAt": iso_or_none(party.withdrawn_at),
        "succeeded": party.succeeded,
        "othersToldBy": iso_or_none(record.told_by(party)),
    }
