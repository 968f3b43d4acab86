"""The nightly attacks' reports, for whoever answers for disclosure control: they name practices of
all networks, so no practice reads them."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from peerview_common.days import from_millis, iso_millis
from peerview_common.problem import Problem
from peerview_share.api.callers import READ_ATTACKS, Caller, ShareParts
from peerview_share.attack.words import words
from peerview_share.store import attacks
from peerview_share.store.attacks import Kept

router = APIRouter(prefix="/v1/attacks", tags=["operator"])


@router.get("")
def nights(
    principal: Caller, share: ShareParts, limit: Annotated[int, Query(ge=1, le=400)] = 30
) -> dict[str, Any]:
    """What each night found, newest first, without the finds."""
    principal.require_scope(READ_ATTACKS)
    with share.database.read() as connection:
        found = attacks.newest(connection, limit)
    return {"attacks": [_plain(kept) for kept in found]}


@router.get("/last")
def last(request: Request, principal: Caller, share: ShareParts, response: Response) -> Any:
    """The newest report: as text for people where ``Accept`` is ``text/plain``, else as JSON."""
    principal.require_scope(READ_ATTACKS)
    with share.database.read() as connection:
        found = attacks.newest(connection, 1)
    if not found:
        raise Problem(404, "not-found", "no night has ended yet: the attack runs once a day")
    (kept,) = found
    headers = {"Cache-Control": "no-store", "Vary": "Accept, Authorization"}
    if "text/plain" in request.headers.get("accept", ""):
        when = f"{from_millis(kept.at):%d %B %Y, %H:%M} UTC"
        text = words(kept.report, when=when, seconds=kept.seconds)
        return Response(text, media_type="text/plain; charset=utf-8", headers=headers)
    response.headers.update(headers)
    return _plain(kept) | asdict(kept.report)


def _plain(kept: Kept) -> dict[str, Any]:
    return {
        "at": iso_millis(kept.at),
        "seconds": round(kept.seconds, 3),
        "trials": kept.trials,
        "finds": kept.finds,
    }
