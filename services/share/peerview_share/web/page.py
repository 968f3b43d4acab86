"""``GET /``: a practice's own live figures beside its peers' released ones."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Cookie, FastAPI, Form, Header, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from peerview_common.problem import Problem
from peerview_common.settings import Mode
from peerview_share.api.callers import READ, OdsHeader, ShareParts, practice_of
from peerview_share.api.networks import note, visible
from peerview_share.api.practices import objected_sentence
from peerview_share.service import Share
from peerview_share.web import model, session, words

router = APIRouter(include_in_schema=False)
_templates = Environment(
    loader=PackageLoader("peerview_share.web"),
    autoescape=select_autoescape(default=True, default_for_string=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def install(app: FastAPI) -> None:
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
    app.include_router(router)


@router.get("/")
def page(
    share: ShareParts,
    authorization: Annotated[str | None, Header()] = None,
    ods: OdsHeader = None,
    peerview_demo: Annotated[str | None, Cookie()] = None,
    network: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    demo = share.settings.mode is Mode.DEMO
    if demo and authorization is None:
        practices = _practices(share)
        chosen = session.chosen(peerview_demo, share.session_key)
        own = chosen if chosen in practices else next(iter(practices), None)
        reader = "demo session"
    else:
        principal = share.verifier.principal(authorization)
        principal.require_scope(READ)
        own, reader, practices = practice_of(principal, ods), principal.subject, {}
    if own is None:
        return _html("empty.html", demo=demo, share=share)
    return _html("practice.html", **_content(share, own, reader, network, practices))


@router.post("/demo/practice")
def choose(share: ShareParts, practice: Annotated[str, Form(max_length=10)]) -> Response:
    """Choose a practice. Demo mode only: elsewhere a person signs in."""
    if share.settings.mode is not Mode.DEMO:
        raise Problem(404, "not-found", "there is no demo here")
    if practice not in _practices(share):
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


def _names(share: Share) -> dict[str, str]:
    """Practices' names, as agreements give them."""
    with_names = share.agreements.get().records
    return {party.ods: party.name for record in with_names for party in record.parties}


def _practices(share: Share) -> dict[str, str]:
    """All practices of the demo, by code."""
    names = _names(share)
    return {ods: names.get(ods, ods) for ods in sorted(share.figures.practices() | names.keys())}


def _content(
    share: Share, own: str, reader: str, network: str | None, practices: dict[str, str]
) -> dict[str, Any]:
    compiled = share.agreements.get()
    networks = compiled.index.networks_of(own)
    shown = network if network in networks else next(iter(networks), None)
    epoch, cells = visible(share, shown, own) if shown is not None else (None, [])
    note(share, cells, own, reader, "page")
    values = share.figures.of(own)
    names = _names(share)
    titles = {
        record.document.network.id: record.document.network.name or record.document.network.id
        for record in compiled.records
    }
    now = share.clock()
    through = max((words.iso_to_millis(v.data_through) for v in values.values()), default=None)
    found = model.sections(share.catalogue, values, epoch, cells, own=own, names=names)
    settings = share.settings
    return {
        "demo": settings.mode is Mode.DEMO,
        "share": share,
        "practices": practices,
        "own": own,
        "name": names.get(own, own),
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


def _html(template: str, **content: Any) -> HTMLResponse:
    share: Share = content.pop("share")
    text = _templates.get_template(template).render(
        **content,
        calendar=share.calendar.words(),
        shortened=share.calendar.shortened or share.settings.lag_days < 1,
        lag_days=share.settings.lag_days,
        fixed_day=share.settings.clock_day,
    )
    return HTMLResponse(text, headers=HEADERS)
