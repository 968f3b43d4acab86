"""Over HTTP: why a viewer may see something or not, and mergers."""

import difflib
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from peerview_common.auth import AuthError
from peerview_common.days import day_of, iso_millis, millis
from peerview_common.ids import OdsText
from peerview_common.problem import Problem
from peerview_share.agreements.acts import Actor, RefusedError
from peerview_share.agreements.explain import explain
from peerview_share.api.callers import OPERATE, READ, Caller, ShareParts
from peerview_share.store import agreements as store

router = APIRouter(prefix="/v1", tags=["agreements"])


class _Request(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", populate_by_name=True)


class Succession(_Request):
    """One practice takes the place of others."""

    predecessors: list[OdsText] = Field(alias="from", min_length=1, max_length=20)
    successor: OdsText = Field(alias="to")
    date: date


@router.get("/networks/{network}/explain")
def explanation(
    network: str,
    principal: Caller,
    share: ShareParts,
    viewer: Annotated[OdsText, Query()],
    subject: Annotated[OdsText, Query()],
    indicator: Annotated[str, Query(max_length=64)],
    at: Annotated[datetime | None, Query(description="With an offset; now otherwise")] = None,
) -> dict[str, Any]:
    """Whether a viewer may see a subject's indicator, or could at a moment, and the clause that
    decided. For the viewer and the subject, by the agreements that name them; for an operator by
    all."""
    operator = OPERATE in principal.scopes
    if not operator:
        principal.require_scope(READ)
        if not {viewer, subject} & principal.practices:
            raise AuthError(403, "the token covers neither the viewer nor the subject", "practice")
    if indicator not in share.catalogue:
        close = difflib.get_close_matches(indicator, share.catalogue, 1)
        meant = f"; is {close[0]} meant?" if close else ""
        raise Problem(422, "not-valid", f"indicator: there is no indicator “{indicator}”{meant}")
    if at is not None and at.tzinfo is None:
        raise Problem(422, "not-valid", "at: needs an offset, such as 2026-04-01T12:00:00Z")
    now = share.clock()
    moment = now if at is None else millis(at)
    if moment < 0:
        raise Problem(422, "not-valid", "at: lies before 1970, of which nothing is known")
    if moment > now:
        raise Problem(422, "not-valid", "at: lies in the future, of which nothing is known")
    with share.database.read() as connection:
        records = store.records(connection, at=None if at is None else moment)
    if not operator:
        records = tuple(r for r in records if any(r.names(ods) for ods in principal.practices))
    found = explain(
        records, moment, network=network, viewer=viewer, subject=subject, indicator=indicator
    )
    return {
        "network": network,
        "viewer": viewer,
        "subject": subject,
        "indicator": indicator,
        "at": iso_millis(moment),
        "level": found.level.name.lower(),
        "clause": found.clause.value,
        "agreement": None
        if found.agreement is None
        else {"id": found.agreement, "version": found.version},
        "place": found.place or None,
        "why": found.why,
    }


@router.post("/practices/succeeded")
def succeeded(request: Succession, principal: Caller, share: ShareParts) -> dict[str, Any]:
    """Agreements do not pass over: the predecessors leave all of theirs."""
    principal.require_scope(OPERATE)
    actor = Actor(request.successor, principal.subject, principal.name, "operator")
    try:
        left = share.acts.succeed(
            request.predecessors, request.successor, day_of(request.date), actor
        )
    except RefusedError as error:
        raise Problem(409, error.code, error.detail) from error
    return {"successor": request.successor, "agreements": left}
