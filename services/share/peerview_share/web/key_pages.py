"""The practice's signing key on a page: how it stands, and the objection to its revocation."""

from collections.abc import Mapping

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from peerview_share.agreements import keys
from peerview_share.agreements.acts import RefusedError
from peerview_share.api.callers import ShareParts
from peerview_share.service import Share
from peerview_share.web import key_proof
from peerview_share.web.agreement_acts import sentence
from peerview_share.web.agreement_pages import common
from peerview_share.web.forms import Submitted
from peerview_share.web.rendering import html
from peerview_share.web.routes import PageRoute
from peerview_share.web.visitor import Looking, Visitor

router = APIRouter(prefix="/signing-key", include_in_schema=False, route_class=PageRoute)


@router.get("")
def key_page(request: Request, share: ShareParts, visitor: Looking) -> Response:
    return _page(request, share, visitor, {}, {})


@router.post("")
def object_to_revocation(
    request: Request, share: ShareParts, visitor: Looking, fields: Submitted
) -> Response:
    actor = visitor.actor()
    reason, proof = fields.one("reason"), key_proof.pasted(fields)
    errors = {}
    if not 1 <= len(reason) <= 1000:
        errors["reason"] = "Say why, in at most 1,000 characters: all that are told can read it"
    if fields.one("confirmed") != "yes":
        errors["confirmed"] = "Confirm it first"
    if not errors:
        try:
            share.keys.stop(actor, reason, operator=False, proof=proof)
        except RefusedError as error:
            told = key_proof.told(error, proof)
            errors = {"reason": sentence(error)} if told is None else {key_proof.FIELD: told}
        else:
            return RedirectResponse("/signing-key", status_code=303)
    kept = {name: fields.one(name) for name in ("reason", "confirmed", key_proof.FIELD)}
    return _page(request, share, visitor, errors, kept)


def _page(
    request: Request,
    share: Share,
    visitor: Visitor,
    errors: Mapping[str, str],
    kept: Mapping[str, str],
) -> Response:
    state, now = share.keys.state(visitor.own), share.clock()
    asked = None
    if state.public_key is not None and state.waiting(now):
        message = keys.keep_message(visitor.own, state.public_key)
        asked = key_proof.asked(share, visitor, message)
    return html(
        request,
        share,
        "signing_key.html",
        status=422 if errors else 200,
        **common(share, visitor) | {"section": ""},
        errors=errors,
        kept=kept,
        key=state.public_key,
        revoked=state.revoked(now),
        waiting=state.waiting(now),
        revocation=state.revocation,
        asked=asked,
    )
