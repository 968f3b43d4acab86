"""Who is calling, and for which practice."""

from typing import Annotated

from fastapi import Depends, Header, Request
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from peerview_common.auth import AuthError, Principal
from peerview_common.problem import Problem
from peerview_share.agreements.acts import Actor
from peerview_share.service import Share

READ = "share:read"
OPERATE = "release:operate"
REVOKE_KEYS = "keys:revoke"
READ_ATTACKS = "attacks:read"
MAX_EPOCH = 2**31 - 1
MAX_SEQ = 2**63 - 1
"""What the database's columns hold: a larger number names nothing."""
METRICS = "metrics:read"
SIGNATORY = "signatory"


def share(request: Request) -> Share:
    found: Share = request.app.state.share
    return found


async def caller(request: Request, parts: Annotated[Share, Depends(share)]) -> Principal:
    return await parts.verifier.admit(request.headers.get("authorization"))


def _can_be_kept(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError("nul", "has a NUL in it, which the database does not keep")
    return text


Words = Annotated[str, AfterValidator(_can_be_kept)]
"""What a person wrote."""
ShareParts = Annotated[Share, Depends(share)]
Caller = Annotated[Principal, Depends(caller)]
OdsHeader = Annotated[
    str | None,
    Header(alias="ODS-Code", description="Which practice to act for, where a token covers several"),
]


def practice_of(principal: Principal, named: str | None) -> str:
    """The practice that the caller acts for: the token's only one, or the one named."""
    if named is not None:
        principal.require_practice(named)
        return named
    if len(principal.practices) == 1:
        return next(iter(principal.practices))
    if not principal.practices:
        raise AuthError(403, "the token covers no practice")
    raise Problem(400, "practice-needed", "name one of the token's practices in ODS-Code")


def reader(principal: Principal, ods: OdsHeader = None) -> str:
    principal.require_scope(READ)
    return practice_of(principal, ods)


def signatory(principal: Caller, ods: OdsHeader = None) -> Actor:
    """Someone who may bind a practice."""
    if SIGNATORY not in principal.roles:
        raise AuthError(403, "the token lacks the role signatory")
    return Actor(practice_of(principal, ods), principal.subject, principal.name)


Signatory = Annotated[Actor, Depends(signatory)]
