"""Who has seen a practice's released cells: for the practice itself."""

from datetime import date
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse

from peerview_common.days import iso_millis
from peerview_common.ids import NetworkText, OdsText
from peerview_common.problem import Problem
from peerview_share.agreements.clause import deciding_clause
from peerview_share.agreements.life import day_end, day_start
from peerview_share.api import csv_text
from peerview_share.api.callers import MAX_SEQ, READ, Caller, ShareParts
from peerview_share.service import Share
from peerview_share.store import agreements as agreement_store
from peerview_share.store import audit

router = APIRouter(prefix="/v1/practices/{ods}", tags=["own practice"])

COLUMNS: Final = (
    "seq",
    "at",
    "viewer",
    "network",
    "epoch",
    "indicator",
    "level",
    "clause",
    "agreement",
    "agreement_version",
    "channel",
    "reader",
)
"""Of the CSV: a line an indicator."""


def entries(
    share: Share, subject: str, chosen: audit.Filter, *, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Disclosures of one subject, newest first, each with the clauses that allowed it."""
    with share.database.read() as connection:
        found = audit.of_subject(connection, subject, chosen, before=before, limit=limit)
        keys = {(item["agreement"], item["agreement_version"]) for item in found}
        documents = agreement_store.documents(connection, keys)
    for item in found:
        terms = documents[item["agreement"], item["agreement_version"]].peer_identification
        item["clauses"] = {
            name: deciding_clause(terms, name, item["level"]) for name in item["indicators"]
        }
    return found


def days(first: date | None, last: date | None) -> tuple[int | None, int | None]:
    """From the beginning of the first to the end of the last, in milliseconds UTC.

    Raises Problem 400 where the last lies before the first.
    """
    if first is not None and last is not None and last < first:
        raise Problem(400, "no-such-days", "to: lies before from")
    return (
        None if first is None else day_start(first),
        None if last is None else day_end(last),
    )


@router.get("/disclosures", responses={200: {"content": {csv_text.MEDIA_TYPE: {}}}})
def disclosures(
    ods: str,
    request: Request,
    principal: Caller,
    share: ShareParts,
    accept: Annotated[str | None, Header()] = None,
    before: Annotated[
        int | None, Query(ge=1, le=MAX_SEQ, description="The page's ``next``.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    first: Annotated[date | None, Query(alias="from", description="The first day.")] = None,
    last: Annotated[date | None, Query(alias="to", description="The last day.")] = None,
    viewer: Annotated[OdsText | None, Query()] = None,
    network: Annotated[NetworkText | None, Query()] = None,
    indicator: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    """Who saw this practice's released cells, newest first. ``next`` continues with ``before``."""
    principal.require_scope(READ)
    principal.require_practice(ods)
    if indicator is not None and indicator not in share.catalogue:
        raise Problem(404, "not-found", f"there is no indicator {indicator}")
    since, until = days(first, last)
    chosen = audit.Filter(since, until, viewer, network, indicator)
    found = [
        {**item, "at": iso_millis(item["at"])}
        for item in entries(share, ods, chosen, before=before, limit=limit)
    ]
    following = found[-1]["seq"] if len(found) == limit else None
    headers = {"Cache-Control": "private, no-store", "Vary": "Accept, Authorization"}
    if csv_text.wanted(accept):
        headers["Content-Disposition"] = f'attachment; filename="disclosures-{ods}.csv"'
        if following is not None:
            address = request.url.include_query_params(before=following)
            headers["Link"] = f'<{address.path}?{address.query}>; rel="next"'
        return Response(as_csv(found), media_type=csv_text.MEDIA_TYPE, headers=headers)
    return JSONResponse({"practice": ods, "disclosures": found, "next": following}, headers=headers)


def as_csv(found: list[dict[str, Any]]) -> str:
    return csv_text.table(
        COLUMNS,
        (
            {**item, "indicator": name, "clause": clause}
            for item in found
            for name, clause in item["clauses"].items()
        ),
    )
