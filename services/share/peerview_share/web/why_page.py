"""Why somebody sees a figure or does not, now or at any moment before: on a page."""

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from peerview_common.days import LONDON, millis
from peerview_share.agreements.explain import explain
from peerview_share.agreements.level import Level
from peerview_share.api.callers import ShareParts
from peerview_share.service import Share
from peerview_share.store import agreements as store
from peerview_share.web import words
from peerview_share.web.agreement_pages import common
from peerview_share.web.clause_words import SEEN
from peerview_share.web.rendering import html
from peerview_share.web.routes import PageRoute
from peerview_share.web.visitor import Looking, Visitor

router = APIRouter(include_in_schema=False, route_class=PageRoute)

Text = Annotated[str, Query(max_length=64)]
BOTH_WAYS: Final = {"they-see": "sees ours", "we-see": "is seen by us"}
"""Whether the other practice is the viewer or the subject."""


@router.get("/why")
def why_page(
    request: Request,
    share: ShareParts,
    visitor: Looking,
    network: Text = "",
    other: Text = "",
    way: Text = "they-see",
    indicator: Text = "",
    at: Text = "",
) -> Response:
    with share.database.read() as connection:
        records = [r for r in store.records(connection) if r.names(visitor.own)]
    networks = {
        r.document.network.id: r.document.network.name or r.document.network.id for r in records
    }
    others = {
        party.ods: f"{party.name} ({party.ods})"
        for record in records
        for party in (*record.audience, *record.parties)
        if party.ods != visitor.own
    }
    typed = {"network": network, "other": other, "way": way, "indicator": indicator, "at": at}
    errors: dict[str, str] = {}
    asked = bool(network or other or indicator)
    moment = _moment(at, share.clock(), errors)
    if asked:
        for name, known, what in (
            ("network", networks, "a network"),
            ("other", others, "a practice"),
            ("indicator", share.catalogue, "an indicator"),
            ("way", BOTH_WAYS, "who looks"),
        ):
            if typed[name] not in known:
                errors[name] = f"Choose {what}"
    return html(
        request,
        share,
        "why.html",
        status=422 if errors else 200,
        **common(share, visitor),
        errors=errors,
        typed=typed,
        networks=networks,
        others=others,
        ways=BOTH_WAYS,
        indicators={info.id: info.title for info in share.catalogue.values()},
        answer=_answer(share, visitor, typed, moment) if asked and not errors else None,
        reached=words.moment(share.clock() if moment is None else moment),
    )


def _moment(text: str, now: int, errors: dict[str, str]) -> int | None:
    """Milliseconds UTC of a moment in Europe/London; None for now."""
    if not text.strip():
        return None
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        errors["at"] = "Enter a moment such as 2026-03-31 14:05"
        return None
    moment = millis(found if found.tzinfo else found.replace(tzinfo=LONDON))
    if moment < 0:
        errors["at"] = "Nothing is known of so long ago"
        return None
    if moment > now:
        errors["at"] = "This moment has not come: nothing is known of it"
    return moment


def _answer(
    share: Share, visitor: Visitor, typed: dict[str, str], moment: int | None
) -> dict[str, Any]:
    now = share.clock()
    with share.database.read() as connection:
        found = store.records(connection, at=moment)
    theirs = typed["way"] == "they-see"
    told = explain(
        # as over the API: by the agreements that name the practice
        (record for record in found if record.names(visitor.own)),
        now if moment is None else moment,
        network=typed["network"],
        viewer=typed["other"] if theirs else visitor.own,
        subject=visitor.own if theirs else typed["other"],
        indicator=typed["indicator"],
    )
    return {
        "granted": told.level is not Level.NONE,
        "seen": SEEN[told.level.name.lower()],
        "why": told.why,
        "clause": told.clause.value,
        "agreement": told.agreement,
        "version": told.version,
        "place": told.place,
    }
