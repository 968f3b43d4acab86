"""Over HTTP: the keys that practices sign with, and how one that is lost is revoked."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from peerview_common.auth import AuthError, Principal
from peerview_common.days import iso_millis
from peerview_common.ids import OdsText
from peerview_common.problem import Problem
from peerview_share.agreements.acts import Actor, RefusedError
from peerview_share.agreements.key_state import KeyState
from peerview_share.api.callers import (
    READ,
    REVOKE_KEYS,
    SIGNATORY,
    Caller,
    ShareParts,
    Signatory,
    Words,
)

router = APIRouter(prefix="/v1/practices/{practice}/signing-key", tags=["agreements"])

Reason = Annotated[
    Words, Field(min_length=1, max_length=1000, description="Why; all that are told can read it.")
]


class _Request(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", populate_by_name=True)


class KeyRequest(_Request):
    """An Ed25519 public key, proved by itself and, if it replaces one, by that one."""

    public_key: str = Field(max_length=64)
    proof: str = Field(max_length=128)
    former_proof: str | None = Field(None, max_length=128)


class RevocationRequest(_Request):
    reason: Reason


class StopRequest(_Request):
    reason: Reason
    proof: str | None = Field(None, max_length=128)
    """By the practice: made with the key, which shows that it is not lost."""


@router.put("")
def register_key(
    practice: str, request: KeyRequest, actor: Signatory, share: ShareParts
) -> dict[str, Any]:
    """From then on the practice signs, asks and admits with this key, and with nothing less."""
    if actor.ods != practice:
        raise AuthError(403, "the token does not act for this practice", "practice")
    try:
        share.keys.register(
            request.public_key, actor, proof=request.proof, former_proof=request.former_proof
        )
    except RefusedError as error:
        raise Problem(409, error.code, error.detail) from error
    return {"practice": practice, "publicKey": request.public_key}


@router.get("")
def read_key(practice: str, principal: Caller, share: ShareParts) -> dict[str, Any]:
    """For the practice itself, and for an operator who may ask for a revocation."""
    if REVOKE_KEYS not in principal.scopes:
        principal.require_scope(READ)
        principal.require_practice(practice)
    return _told(share.keys.state(practice), share.clock())


@router.post("/revocation", status_code=202)
def ask_revocation(
    practice: OdsText, request: RevocationRequest, principal: Caller, share: ShareParts
) -> dict[str, Any]:
    """Ask that a lost key be revoked. It waits for days; the practice and all that share an
    agreement with it are told, and the practice can object."""
    principal.require_scope(REVOKE_KEYS)
    actor = Actor(practice, principal.subject, principal.name, "operator")
    try:
        found = share.keys.ask_revocation(actor, request.reason)
    except RefusedError as error:
        raise Problem(409, error.code, error.detail) from error
    return _told(found, share.clock())


@router.post("/revocation/stop")
def stop_revocation(
    practice: OdsText, request: StopRequest, principal: Caller, share: ShareParts
) -> dict[str, Any]:
    """A signatory of the practice objects, or the operator calls it off."""
    operator = not _signs_for(principal, practice)
    if operator:
        principal.require_scope(REVOKE_KEYS)
    role = "operator" if operator else SIGNATORY
    actor = Actor(practice, principal.subject, principal.name, role)
    try:
        found = share.keys.stop(actor, request.reason, operator=operator, proof=request.proof)
    except RefusedError as error:
        raise Problem(409, error.code, error.detail) from error
    return _told(found, share.clock())


def _signs_for(principal: Principal, practice: str) -> bool:
    return SIGNATORY in principal.roles and practice in principal.practices


def _told(state: KeyState, now: int) -> dict[str, Any]:
    return {
        "practice": state.ods,
        "publicKey": state.usable(now),
        "revocation": revocation(state, now),
    }


def revocation(state: KeyState, now: int) -> dict[str, Any] | None:
    """As everybody reads it who is told: the last one that was asked for, of the newest key."""
    found = state.revocation
    if found is None:
        return None
    return {
        "practice": found.ods,
        "publicKey": found.public_key,
        "state": found.state(now).value,
        "askedAt": iso_millis(found.asked_at),
        "effectiveAt": iso_millis(found.effective_at),
        "by": found.by,
        "reason": found.reason,
        "stopped": None
        if found.stopped is None
        else {
            "how": found.stopped.act.value,
            "at": iso_millis(found.stopped.at),
            "by": found.stopped.by,
            "reason": found.stopped.reason,
        },
    }
