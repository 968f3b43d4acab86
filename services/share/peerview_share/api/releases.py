"""What an operator may ask of releases."""

from typing import Any

from fastapi import APIRouter

from peerview_common.days import day_text
from peerview_common.problem import Problem
from peerview_share.api.callers import OPERATE, Caller, ShareParts
from peerview_share.release.epochs import EpochRunningError

router = APIRouter(prefix="/v1/releases", tags=["operator"])


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
