"""What is about to be released of the visitor's practice, on a page: hold it, confirm it, take it
back. For the practice alone: counts and reasons are here, and peers never see them."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from peerview_common.catalogue import IndicatorInfo
from peerview_common.problem import Problem
from peerview_share.agreements.viewers import viewers_of
from peerview_share.api.callers import ShareParts
from peerview_share.disclosure.cell import Cell
from peerview_share.release import reasons
from peerview_share.release.previewing import NothingToHoldError, Preview, PreviewCell
from peerview_share.release.retracting import NothingToRetractError
from peerview_share.service import Share
from peerview_share.store.previews import JUMP
from peerview_share.web import words
from peerview_share.web.agreement_pages import common
from peerview_share.web.forms import Submitted
from peerview_share.web.rendering import html
from peerview_share.web.routes import PageRoute
from peerview_share.web.visitor import Looking, Visitor

router = APIRouter(prefix="/release", include_in_schema=False, route_class=PageRoute)

DONE: Final = {
    "hold": "The figure is held: peers keep the earlier one at this release.",
    "confirm": "The figure is confirmed. Nothing holds it any more.",
    "take-back": "The figure is taken back. Peers see it no more; who read it may have kept it.",
}
MOST: Final = 1000


@router.get("")
def release_page(
    request: Request,
    share: ShareParts,
    visitor: Looking,
    done: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    return _page(request, share, visitor, {}, {}, done=DONE.get(done, ""))


@router.post("/take-back")
def take_back(request: Request, share: ShareParts, visitor: Looking, fields: Submitted) -> Response:
    """Retract a figure that is wrong, of the release at which it was released."""
    actor = visitor.actor()
    figure, reason = fields.one("figure"), fields.one("reason")
    indicator, _, epoch = figure.partition(" ")
    errors = {}
    if not (epoch.isascii() and epoch.isdigit() and len(epoch) < 10):
        errors["figure"] = "Choose the figure that is wrong"
    if not 1 <= len(reason) <= MOST:
        errors["reason"] = f"Say what was wrong, in at most {MOST:,} characters"
    if fields.one("confirmed") != "yes":
        errors["confirmed"] = "Confirm it first"
    if not errors:
        try:
            share.retractions.retract(
                visitor.own, int(epoch), [indicator], by=actor.subject, reason=reason
            )
        except NothingToRetractError as error:
            errors["figure"] = _sentence(error)
        else:
            return RedirectResponse("/release?done=take-back", status_code=303)
    kept = {name: fields.one(name) for name in ("figure", "reason", "confirmed")}
    return _page(request, share, visitor, errors, kept)


@router.post("/{act}")
def decide(
    request: Request,
    act: Literal["hold", "confirm"],
    share: ShareParts,
    visitor: Looking,
    fields: Submitted,
) -> Response:
    actor, indicator = visitor.actor(), fields.one("indicator")
    if indicator not in share.catalogue:
        raise Problem(404, "not-found", "there is no such indicator")
    doing: dict[str, Callable[[], object]] = {
        "hold": lambda: share.previews.hold(visitor.own, indicator, by=actor.subject, note=""),
        "confirm": lambda: share.previews.confirm(visitor.own, indicator, by=actor.subject),
    }
    try:
        doing[act]()
    except NothingToHoldError as error:
        return _page(request, share, visitor, {f"row-{indicator}": _sentence(error)}, {})
    return RedirectResponse(f"/release?done={act}", status_code=303)


def _page(
    request: Request,
    share: Share,
    visitor: Visitor,
    errors: Mapping[str, str],
    kept: Mapping[str, str],
    *,
    done: str = "",
) -> Response:
    found = share.previews.of(visitor.own)
    cells = {} if found is None else found.cells
    compiled = share.agreements.get()
    seen = viewers_of(compiled.records, compiled.index, visitor.own, share.clock())
    return html(
        request,
        share,
        "release.html",
        status=422 if errors else 200,
        **common(share, visitor) | {"section": "release"},
        errors=errors,
        kept=kept,
        done=done,
        stands=_stands(found),
        rows=[
            _row(share.catalogue[name], cell, found) | {"viewers": len(seen.get(name, ()))}
            for name, cell in cells.items()
            if found
        ],
        # what can be taken back: figures that peers see now
        shown={
            f"{name} {cell.now.epoch}": f"{share.catalogue[name].title}: "
            f"{_said(cell.now, share.catalogue[name])}"
            for name, cell in cells.items()
            if cell.now is not None and cell.now.figure is not None
        },
    )


def _stands(found: Preview | None) -> dict[str, Any] | None:
    if found is None:
        return None
    epoch = found.epoch
    state = "published" if epoch.published_at else "preview" if epoch.closed_at else "open"
    return {
        "number": epoch.number,
        "state": state,
        "day": words.day(epoch.day),
        "publishes": None if epoch.publish_at is None else words.moment(epoch.publish_at),
    }


def _row(info: IndicatorInfo, cell: PreviewCell, found: Preview) -> dict[str, Any]:
    in_preview = found.decided and found.epoch.published_at is None
    happens = "held" if cell.holds else "moves" if cell.moves else "stays"
    counts = cell.account.get("counts")
    return {
        "id": info.id,
        "title": info.title,
        "now": "nothing yet" if cell.now is None else _said(cell.now, info),
        "then": _said(cell.then, info),
        "happens": happens,
        "why": " ".join(x for x in (reasons.why(cell), reasons.gate(cell)) if x),
        "counts": ""
        if not counts
        else words.counts(counts["numerator"], counts["denominator"], info),
        "holds": in_preview and cell.moves and not cell.holds,
        "confirms": bool(cell.holds),
        "jumped": any(item.kind == JUMP for item in cell.holds),
    }


def _said(cell: Cell, info: IndicatorInfo) -> str:
    """The figure with its counts and state, as peers read them."""
    figure = cell.figure
    if figure is None:
        return words.state(cell)
    counts = words.counts(figure.numerator, figure.denominator, info)
    return f"{words.shown(figure.value, info)}, {counts}, {words.state(cell)}"


def _sentence(error: Exception) -> str:
    told = str(error)
    return told[:1].upper() + told[1:]
