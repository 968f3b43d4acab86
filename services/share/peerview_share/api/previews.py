"""What a practice sees of its own release before peers do, and how it holds or confirms it.

Counts and reasons are here and nowhere else: for the subject practice alone.
"""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from peerview_common.auth import AuthError, Principal
from peerview_common.days import day_text, iso_millis, iso_or_none
from peerview_common.problem import Problem
from peerview_share.agreements.viewers import viewers_of
from peerview_share.api.callers import READ, SIGNATORY, Caller, ShareParts, Words
from peerview_share.disclosure.cell import Cell
from peerview_share.release.previewing import NothingToHoldError, PreviewCell
from peerview_share.release.reasons import why
from peerview_share.service import Share
from peerview_share.store.epochs import Epoch
from peerview_share.store.previews import Hold

router = APIRouter(prefix="/v1/practices/{ods}/preview", tags=["own practice"])


class HoldRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    note: Annotated[Words, Field(max_length=1000)] = ""
    """Why, for the practice's own record."""


@router.get("")
def preview(ods: str, principal: Caller, share: ShareParts) -> dict[str, Any]:
    """The cut that is open (a dry run on what has come), in preview, or published last."""
    _own(principal, ods)
    found = share.previews.of(ods)
    if found is None:
        return {"practice": ods, "epoch": None, "cells": []}
    compiled = share.agreements.get()
    seen = viewers_of(compiled.records, compiled.index, ods, share.clock())
    return {
        "practice": ods,
        "epoch": _epoch(found.epoch),
        "cells": [
            _cell(share, name, cell) | {"viewers": len(seen.get(name, ()))}
            for name, cell in found.cells.items()
        ],
    }


@router.post("/{indicator}/hold")
def hold(
    ods: str,
    indicator: str,
    principal: Caller,
    share: ShareParts,
    request: HoldRequest | None = None,
) -> dict[str, Any]:
    """Do not release this indicator at the epoch in preview: the earlier figure stays."""
    _decides(principal, ods, share, indicator)
    try:
        share.previews.hold(
            ods, indicator, by=principal.subject, note=request.note if request else ""
        )
    except NothingToHoldError as error:
        raise Problem(409, "nothing-to-hold", str(error)) from error
    return preview(ods, principal, share)


@router.post("/{indicator}/confirm")
def confirm(ods: str, indicator: str, principal: Caller, share: ShareParts) -> dict[str, Any]:
    """The figure is right: end what holds it, a jump or the practice's own hold."""
    _decides(principal, ods, share, indicator)
    try:
        share.previews.confirm(ods, indicator, by=principal.subject)
    except NothingToHoldError as error:
        raise Problem(409, "nothing-to-confirm", str(error)) from error
    return preview(ods, principal, share)


def _own(principal: Principal, ods: str) -> None:
    principal.require_scope(READ)
    principal.require_practice(ods)


def _decides(principal: Principal, ods: str, share: Share, indicator: str) -> None:
    principal.require_practice(ods)
    if SIGNATORY not in principal.roles:
        raise AuthError(403, "the token lacks the role signatory")
    if indicator not in share.catalogue:
        raise Problem(404, "not-found", f"there is no indicator {indicator}")


def _epoch(epoch: Epoch) -> dict[str, Any]:
    state = "open" if epoch.closed_at is None else "preview"
    return {
        "number": epoch.number,
        "state": "published" if epoch.published_at else state,
        "as_of": day_text(epoch.day),
        "closed": iso_or_none(epoch.closed_at),
        "publishes": iso_or_none(epoch.publish_at),
        "published": iso_or_none(epoch.published_at),
    }


def _cell(share: Share, name: str, found: PreviewCell) -> dict[str, Any]:
    account = dict(found.account)
    return {
        "indicator": name,
        "unit": share.catalogue[name].unit,
        "now": None if found.now is None else _shown(found.now),
        "then": _shown(found.then),
        "moves": found.moves and not found.holds,
        "taken_back": found.taken_back,
        "why": why(found),
        **account,
        "held": [_hold(item) for item in found.holds],
    }


def _shown(cell: Cell) -> dict[str, Any]:
    figure = cell.figure
    return {
        "state": cell.state.value,
        "numerator": figure.numerator if figure else None,
        "denominator": figure.denominator if figure else None,
        "value": figure.value if figure else None,
        "as_of": None if cell.as_of is None else day_text(cell.as_of),
        "released_epoch": cell.epoch,
    }


def _hold(item: Hold) -> dict[str, Any]:
    return {"kind": item.kind, "at": iso_millis(item.at), "by": item.by, "note": item.note}
