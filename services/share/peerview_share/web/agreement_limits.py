"""What a practice allows of an agreement, where that is less than the terms do: on a page."""

from collections.abc import Iterable
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from peerview_share.agreements.clauses import Limits
from peerview_share.agreements.level import PeerMode
from peerview_share.agreements.life import AgreementRecord
from peerview_share.api.callers import ShareParts
from peerview_share.service import Share
from peerview_share.web.agreement_acts import attempt, back, sentence
from peerview_share.web.agreement_pages import in_hand, may_now, page, versions_of
from peerview_share.web.clause_words import SEEN
from peerview_share.web.forms import Submitted
from peerview_share.web.routes import PageRoute
from peerview_share.web.visitor import Looking, Visitor

router = APIRouter(prefix="/agreements", include_in_schema=False, route_class=PageRoute)

AS_AGREED: Final = "as the terms say"
_OWN: Final = "limit-"


@router.get("/{agreement}/limits")
def limits_page(request: Request, agreement: str, share: ShareParts, visitor: Looking) -> Response:
    return _form(request, share, visitor, agreement, None, {})


@router.post("/{agreement}/limits")
def limit(
    request: Request, agreement: str, share: ShareParts, visitor: Looking, fields: Submitted
) -> Response:
    actor = visitor.actor()
    record, _ = in_hand(versions_of(share, visitor, agreement))
    chosen = {"mode": fields.one("mode")} | {
        f"{_OWN}{name}": fields.one(f"{_OWN}{name}") for name in _listed([record])
    }
    errors = {
        name: "Choose one of the levels"
        for name, mode in chosen.items()
        if mode and mode not in list(PeerMode)
    }
    if not errors:
        own = {
            name: PeerMode(mode) for name in _listed([record]) if (mode := chosen[f"{_OWN}{name}"])
        }
        # what it said of indicators that this form does not have stays said
        kept = {
            name: mode
            for name, mode in _standing(record, visitor).per_indicator.items()
            if name not in _listed([record])
        }
        wanted = Limits(mode=PeerMode(chosen["mode"] or "named"), per_indicator=kept | own)
        refused = attempt(lambda: share.acts.limit(agreement, wanted, actor))
        if refused is None:
            return back(agreement, "limited")
        errors = {"mode": sentence(refused)}
    return _form(request, share, visitor, agreement, chosen, errors)


def _listed(records: Iterable[AgreementRecord]) -> list[str]:
    return sorted({name for record in records for name in record.document.indicators})


def _standing(record: AgreementRecord, visitor: Visitor) -> Limits:
    party = record.party(visitor.own)
    return Limits() if party is None else party.limits


def _form(
    request: Request,
    share: Share,
    visitor: Visitor,
    agreement: str,
    chosen: dict[str, str] | None,
    errors: dict[str, str],
) -> Response:
    found = versions_of(share, visitor, agreement)
    record, status = in_hand(found)
    limits, terms = _standing(record, visitor), record.document.peer_identification
    if chosen is None:
        chosen = {"mode": "" if limits.mode is PeerMode.NAMED else limits.mode.value}
        chosen |= {f"{_OWN}{name}": mode.value for name, mode in limits.per_indicator.items()}
    rows: list[dict[str, Any]] = [
        {
            "field": f"{_OWN}{info.id}",
            "title": info.title,
            "terms": SEEN[terms.of(info.id).value],
        }
        for info in share.catalogue.values()
        if info.id in record.document.indicators
    ]
    return page(
        request,
        share,
        visitor,
        "limits.html",
        record,
        status,
        errors=errors,
        open="limit" in may_now(found, visitor),
        chosen=chosen,
        rows=rows,
        levels={name: words for name, words in SEEN.items() if name != "named"},
        as_agreed=AS_AGREED,
        reciprocal=terms.reciprocal,
    )
