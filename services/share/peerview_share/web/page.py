"""``GET /``: a practice's own live figures beside its peers' released ones."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Form, Query, Request
from fastapi.responses import RedirectResponse, Response
from fastapi.staticfiles import StaticFiles

from peerview_common.problem import Problem
from peerview_common.settings import Mode
from peerview_share.api.callers import ShareParts
from peerview_share.api.networks import record, view
from peerview_share.api.practices import objected_sentence
from peerview_share.service import Share
from peerview_share.web import (
    agreement_acts,
    agreement_limits,
    agreement_pages,
    agreement_signing,
    disclosure_page,
    draft_pages,
    key_notices,
    key_pages,
    model,
    release_page,
    session,
    why_page,
    words,
)
from peerview_share.web.rendering import html
from peerview_share.web.routes import PageRoute
from peerview_share.web.visitor import Looking, Visitor, demo_practices, names

router = APIRouter(include_in_schema=False, route_class=PageRoute)


def install(app: FastAPI) -> None:
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
    # what is written out comes before what any name fits
    for part in (
        draft_pages, agreement_pages, agreement_signing, agreement_limits, agreement_acts,
        disclosure_page, key_pages, release_page, why_page,
    ):  # fmt: skip
        app.include_router(part.router)
    app.include_router(router)


@router.get("/")
def page(
    request: Request,
    share: ShareParts,
    visitor: Looking,
    network: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    return html(request, share, "practice.html", **_content(share, visitor, network))


@router.post("/demo/practice")
def choose(share: ShareParts, practice: Annotated[str, Form(max_length=10)]) -> Response:
    """Choose a practice. Demo mode only: elsewhere a person signs in."""
    if share.settings.mode is not Mode.DEMO:
        raise Problem(404, "not-found", "there is no demo here")
    if practice not in demo_practices(share):
        raise Problem(404, "not-found", "there is no such practice in the demo")
    answer = RedirectResponse("/", status_code=303)
    answer.set_cookie(
        session.COOKIE,
        session.sign(practice, share.session_key),
        httponly=True,
        samesite="strict",
        max_age=86_400,
    )
    return answer


def _content(share: Share, visitor: Visitor, network: str | None) -> dict[str, Any]:
    own = visitor.own
    compiled = share.agreements.get()
    networks = compiled.index.networks_of(own)
    shown = network if network in networks else next(iter(networks), None)
    seen = view(share, shown, own) if shown is not None else None
    epoch = None if seen is None else seen.epoch
    if seen is not None:
        record(share, seen.disclosures(), visitor.reader, "page")
    values = share.figures.of(own)
    known = names(share)
    titles = {
        record.document.network.id: record.document.network.name or record.document.network.id
        for record in compiled.records
    }
    now = share.clock()
    through = max((words.iso_to_millis(v.data_through) for v in values.values()), default=None)
    found = model.sections(
        share.catalogue,
        values,
        epoch,
        [] if seen is None else seen.cells,
        [] if seen is None else seen.derived,
        own=own,
        names=known,
    )
    return {
        "section": "figures",
        "key_notices": key_notices.notices(share, own),
        "practices": visitor.practices,
        "own": own,
        "name": known.get(own, own),
        "networks": [(key, titles[key]) for key in networks],
        "network": shown,
        "network_name": titles.get(shown or "", ""),
        "epoch": epoch,
        "published": words.moment(epoch.published_at) if epoch else None,
        "epoch_day": words.day(epoch.day) if epoch else None,
        "sections": found,
        "silent": [share.catalogue[x].title for x in share.catalogue if x not in
                   {section.info.id for section in found}],
        "live": bool(values),
        "through": words.moment(through) if through is not None else None,
        "through_ago": words.ago(through, now) if through is not None else None,
        "note": objected_sentence(max((v.objected for v in values.values()), default=0)),
        "meanings": [
            (words.state_word(name), text) for name, text in words.STATE_MEANINGS.items()
        ],
    }  # fmt: skip
