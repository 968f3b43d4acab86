"""What peers read: released cells, under agreements, and nothing else."""

import hashlib
from dataclasses import asdict
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Header, Query, Response

from peerview_common import metrics
from peerview_common.auth import Principal
from peerview_common.days import day_text, iso_millis
from peerview_common.problem import Problem
from peerview_share.agreements.explain import Clause, viewer_clause
from peerview_share.api.callers import MAX_EPOCH, Caller, OdsHeader, ShareParts, reader
from peerview_share.delivery.viewing import View
from peerview_share.delivery.views import EpochCells, PeerCell, disclosures
from peerview_share.service import Share
from peerview_share.store import audit
from peerview_share.store.audit import Disclosure

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


def view(share: Share, network: str, viewer: str, epoch: int | None = None) -> View:
    """What the viewer may see of the newest (or a given) epoch that the network shows.

    Raises Problem 403 without an agreement, 404 for an epoch that is not shown; StaleError when
    agreements cannot be confirmed: nothing is shown then.
    """
    compiled = share.agreements.get()
    now = share.clock()
    if not compiled.index.of(network, viewer):
        metrics.decisions.labels("denied").inc()
        clause = viewer_clause(compiled.records, now, network=network, viewer=viewer)
        reason = REASONS.get(clause, REASONS[Clause.NO_AGREEMENT])
        raise Problem(403, "no-agreement", reason, clause=clause.value)
    found = share.views.of(compiled.index, network, viewer, now=now, number=epoch)
    if found.epoch is None:
        if epoch is not None:
            raise Problem(404, "not-found", f"epoch {epoch} is not published in this network")
        return found
    metrics.decisions.labels("granted").inc()
    return found


def visible(
    share: Share, network: str, viewer: str, epoch: int | None = None
) -> tuple[EpochCells | None, list[PeerCell]]:
    """The epoch, and the cells that the viewer sees by name. Raises as `view` does."""
    found = view(share, network, viewer, epoch)
    return found.epoch, found.cells


def note(share: Share, cells: list[PeerCell], viewer: str, by: str, channel: str) -> None:
    """Log a disclosure. Done before it is answered: what is not logged is not shown."""
    record(share, disclosures(cells, viewer), by, channel)


def record(share: Share, found: list[Disclosure], by: str, channel: str) -> None:
    audit.record(share.database, found, reader=by, channel=channel, at=share.clock())


@router.get("/indicators")
def indicators(
    network: str,
    principal: Caller,
    share: ShareParts,
    ods: OdsHeader = None,
    epoch: Annotated[int | None, Query(ge=1, le=MAX_EPOCH)] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """What the caller's practice may see: released cells by name, figures derived of those who are
    not named, and totals of the named."""
    return _answer(share, network, principal, ods, epoch, if_none_match, None)


@router.get("/indicators/{indicator}")
def indicator_cells(
    network: str,
    indicator: str,
    principal: Caller,
    share: ShareParts,
    ods: OdsHeader = None,
    epoch: Annotated[int | None, Query(ge=1, le=MAX_EPOCH)] = None,
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
    found = view(share, network, viewer, number)
    if indicator is not None:
        found = found.of(indicator)
    record(share, found.disclosures(), principal.subject, "api")
    body = msgspec.json.encode(
        {
            "network": network,
            "viewer": viewer,
            "epoch": _epoch(found.epoch),
            "cells": [cell.plain() for cell in found.cells],
            "derived": [cell.plain() for cell in found.derived],
            "totals": [
                {"indicator": name, "unit": share.catalogue[name].unit, **asdict(total)}
                for name, total in found.totals(share.catalogue).items()
            ],
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
