"""What peers read: released cells, under agreements, and nothing else."""

import hashlib
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Header, Query, Response

from peerview_common import metrics
from peerview_common.auth import Principal
from peerview_common.days import day_text, iso_millis
from peerview_common.problem import Problem
from peerview_share.agreements.explain import Clause, viewer_clause
from peerview_share.api.callers import Caller, OdsHeader, ShareParts, reader
from peerview_share.delivery.views import EpochCells, PeerCell, disclosures, named_cells
from peerview_share.service import Share
from peerview_share.store import audit

router = APIRouter(prefix="/v1/networks/{network}", tags=["peers"])

REASONS = {
    Clause.NO_AGREEMENT: "no active agreement lets this practice see peers in this network",
    Clause.NOT_SIGNED: "the agreement is not signed by all its parties yet",
    Clause.NOT_YET_VALID: "the agreement is not valid yet",
    Clause.SUSPENDED: "the agreement is suspended",
    Clause.EXPIRED: "the agreement has expired",
    Clause.WITHDRAWN: "the agreement has been withdrawn from",
    Clause.LEVEL_NONE: "the agreement lets this practice see no peer",
}
"""Each says only what concerns the viewer; a stranger always gets the first."""


def visible(
    share: Share, network: str, viewer: str, epoch: int | None = None
) -> tuple[EpochCells | None, list[PeerCell]]:
    """The newest (or a given) published epoch and the viewer's cells of it.

    Raises Problem 403 without an agreement, 404 for an epoch that is not published; StaleError
    when agreements cannot be confirmed: nothing is shown then.
    """
    compiled = share.agreements.get()
    now = share.clock()
    if not compiled.index.of(network, viewer):
        metrics.decisions.labels("denied").inc()
        clause = viewer_clause(compiled.records, now, network=network, viewer=viewer)
        reason = REASONS.get(clause, REASONS[Clause.NO_AGREEMENT])
        raise Problem(403, "no-agreement", reason, clause=clause.value)
    found = share.published.get(epoch)
    if found is None:
        if epoch is not None:
            raise Problem(404, "not-found", f"epoch {epoch} is not published")
        return None, []
    cells = named_cells(
        compiled.index, found, share.catalogue, network=network, viewer=viewer, now=now
    )
    metrics.decisions.labels("granted").inc()
    return found, cells


def note(share: Share, cells: list[PeerCell], viewer: str, by: str, channel: str) -> None:
    """Log a disclosure. Done before it is answered: what is not logged is not shown."""
    audit.record(
        share.database, disclosures(cells, viewer), reader=by, channel=channel, at=share.clock()
    )


@router.get("/indicators")
def indicators(
    network: str,
    principal: Caller,
    share: ShareParts,
    ods: OdsHeader = None,
    epoch: Annotated[int | None, Query(ge=1)] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Every released cell that the caller's practice may see by name."""
    return _answer(share, network, principal, ods, epoch, if_none_match, None)


@router.get("/indicators/{indicator}")
def indicator_cells(
    network: str,
    indicator: str,
    principal: Caller,
    share: ShareParts,
    ods: OdsHeader = None,
    epoch: Annotated[int | None, Query(ge=1)] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The same of one indicator."""
    return _answer(share, network, principal, ods, epoch, if_none_match, indicator)


def _answer(
    share: Share,
    network: str,
    principal: Principal,
    ods: str | None,
    number: int | None,
    if_none_match: str | None,
    indicator: str | None,
) -> Response:
    viewer = reader(principal, ods)
    if indicator is not None and indicator not in share.catalogue:
        raise Problem(404, "not-found", f"there is no indicator {indicator}")
    epoch, cells = visible(share, network, viewer, number)
    if indicator is not None:
        cells = [cell for cell in cells if cell.cell.indicator == indicator]
    note(share, cells, viewer, principal.subject, "api")
    body = msgspec.json.encode(
        {
            "network": network,
            "viewer": viewer,
            "epoch": _epoch(epoch),
            "cells": [cell.plain() for cell in cells],
        }
    )
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Authorization, ODS-Code"}
    if if_none_match is not None and tag in if_none_match:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def _epoch(epoch: EpochCells | None) -> dict[str, Any] | None:
    if epoch is None:
        return None
    return {
        "number": epoch.number,
        "as_of": day_text(epoch.day),
        "published": iso_millis(epoch.published_at),
    }
