"""What an operator may ask of releases; a practice's signatory may take back its own."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from peerview_common.auth import AuthError, Principal
from peerview_common.days import day_text, iso_millis, iso_or_none
from peerview_common.ids import OdsText
from peerview_common.problem import Problem
from peerview_share.api.callers import MAX_EPOCH, OPERATE, SIGNATORY, Caller, ShareParts, Words
from peerview_share.release.epochs import EpochRunningError
from peerview_share.release.retracting import NothingToRetractError
from peerview_share.store import epochs as store
from peerview_share.store.epochs import Epoch

router = APIRouter(prefix="/v1/releases", tags=["operator"])


class Retraction(BaseModel):
    """``indicators`` empty: all that the practice released at that epoch."""

    model_config = ConfigDict(extra="forbid")

    practice: OdsText
    epoch: Annotated[int, Field(ge=1, le=MAX_EPOCH)]
    """The epoch at which the figure was released, as views say in ``released_epoch``."""
    indicators: tuple[str, ...] = ()
    reason: Annotated[Words, Field(min_length=1, max_length=1000)]


@router.post("/cut", status_code=202)
def cut(principal: Caller, share: ShareParts) -> dict[str, Any]:
    """Ask for a release cut now. The leader sends it; the answer names the epoch to wait for."""
    principal.require_scope(OPERATE)
    try:
        epoch = share.epochs.open(share.today())
    except EpochRunningError as error:
        raise Problem(
            409, "epoch-running", "an epoch is open or in preview; the next cut waits for it"
        ) from error
    return {"epoch": epoch.number, "cut": epoch.cut_id, "as_of": day_text(epoch.day)}


@router.get("")
def releases(
    principal: Caller, share: ShareParts, limit: Annotated[int, Query(ge=1, le=400)] = 12
) -> dict[str, Any]:
    """The epochs, newest first: when each was cut, closed and published. No counts."""
    principal.require_scope(OPERATE)
    with share.database.read() as connection:
        found = store.newest(connection, limit)
        submitted = {epoch.number: store.submitted(connection, epoch.number) for epoch in found[:1]}
    return {
        "epochs": [
            _plain(epoch)
            | (
                {"submitted": len(submitted[epoch.number])}
                if epoch.number in submitted and epoch.published_at is None
                else {}
            )
            for epoch in found
        ]
    }


@router.post("/retract")
def retract(request: Retraction, principal: Caller, share: ShareParts) -> dict[str, Any]:
    """Take a wrong release back, at once. Its snapshot stays in the gate, for it was seen."""
    _may_retract(principal, request.practice)
    try:
        found = share.retractions.retract(
            request.practice,
            request.epoch,
            request.indicators,
            by=principal.subject,
            reason=request.reason,
        )
    except NothingToRetractError as error:
        raise Problem(409, "nothing-to-retract", str(error)) from error
    return {"practice": request.practice, "epoch": request.epoch, "retracted": found}


def _may_retract(principal: Principal, practice: str) -> None:
    """The operator for anybody, a signatory for the practice."""
    if OPERATE in principal.scopes:
        return
    principal.require_practice(practice)
    if SIGNATORY not in principal.roles:
        raise AuthError(403, f"the token has neither the scope {OPERATE} nor the role {SIGNATORY}")


def _plain(epoch: Epoch) -> dict[str, Any]:
    return {
        "number": epoch.number,
        "as_of": day_text(epoch.day),
        "cut": iso_millis(epoch.opened_at),
        "closed": iso_or_none(epoch.closed_at),
        "publishes": iso_or_none(epoch.publish_at),
        "published": iso_or_none(epoch.published_at),
    }
