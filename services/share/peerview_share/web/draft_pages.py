"""Drafting an agreement, or its next version: fill in, check, propose."""

from collections.abc import Mapping
from typing import Any, Final, get_args

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from peerview_common.problem import Problem
from peerview_share.agreements.acts import RefusedError, UnknownAgreementError
from peerview_share.agreements.document import Agreement, Network, Prohibited, Purpose, Role
from peerview_share.api.callers import ShareParts
from peerview_share.service import Share
from peerview_share.web import draft_form, terms
from peerview_share.web.agreement_pages import common, version_of
from peerview_share.web.forms import Fields, Submitted
from peerview_share.web.rendering import html
from peerview_share.web.routes import PageRoute
from peerview_share.web.visitor import Looking, Visitor

router = APIRouter(prefix="/agreements", include_in_schema=False, route_class=PageRoute)

PURPOSES: Final = get_args(Purpose)
PROHIBITED: Final = get_args(Prohibited)
NETWORKS: Final = get_args(Network.model_fields["type"].annotation)
ROLES: Final = tuple(role.value for role in Role)
MODES: Final = ("named", "anonymous", "distribution", "none")
OWN_MODES: Final = (*MODES, "prohibit")


@router.get("/new")
def new_page(request: Request, share: ShareParts, visitor: Looking) -> Response:
    visitor.actor()
    own = {"odsCode": visitor.own, "name": common(share, visitor)["name"]}
    start = draft_form.fields_of(
        {"parties": [own], "prohibitedUses": PROHIBITED, "peerIdentification": {"mode": "named"}}
    )
    return _form(request, share, visitor, start, None)


@router.get("/{agreement}/next-version")
def next_page(request: Request, agreement: str, share: ShareParts, visitor: Looking) -> Response:
    visitor.actor()
    record, _ = version_of(share, visitor, agreement, None)
    start = draft_form.fields_of(record.document.plain())
    return _form(request, share, visitor, start, record.document.plain())


@router.post("/new")
def new(request: Request, share: ShareParts, visitor: Looking, fields: Submitted) -> Response:
    return _take(request, share, visitor, fields, None)


@router.post("/{agreement}/next-version")
def following(
    request: Request, agreement: str, share: ShareParts, visitor: Looking, fields: Submitted
) -> Response:
    record, _ = version_of(share, visitor, agreement, None)
    return _take(request, share, visitor, fields, record.document.plain())


def faults(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """``(clause, why)`` of everything that is wrong with a document."""
    try:
        Agreement.model_validate(document)
    except ValidationError as error:
        found = []
        for item in error.errors(include_url=False):
            place = ".".join(str(part) for part in item["loc"])
            why = item["msg"].removeprefix("Value error, ")
            if not place:
                # a fault between clauses names its clause itself
                place, _, why = why.partition(": ")
            found.append((place, why[:1].upper() + why[1:]))
        return found
    return []


def _take(
    request: Request,
    share: Share,
    visitor: Visitor,
    fields: Fields,
    before: dict[str, Any] | None,
) -> Response:
    """``before`` is the version before, None for a new agreement."""
    actor = visitor.actor()
    if fields.one("do") == "rows":
        return _form(request, share, visitor, fields, before, more=3 * draft_form.EMPTY_ROWS)
    document = draft_form.document_of(fields, before or {})
    if before is not None:
        number = int(before["version"])
        document |= {"id": before["id"], "version": number + 1, "supersedes": number}
    wrong = faults(document)
    if wrong:
        return _form(request, share, visitor, fields, before, wrong=wrong)
    agreement = Agreement.model_validate(document)
    if fields.one("do") != "propose":
        return _form(request, share, visitor, fields, before, checked=agreement)
    try:
        share.acts.create(agreement, actor)
    except UnknownAgreementError as error:
        # an id that others use says nothing of theirs
        raise Problem(404, "not-found", "there is no such agreement of this practice") from error
    except RefusedError as error:
        clause, _, why = error.detail.partition(": ")
        told = (clause, why) if why else ("", error.detail)
        return _form(request, share, visitor, fields, before, wrong=[told])
    where = f"/agreements/{agreement.id}?version={agreement.version}&done=proposed"
    return RedirectResponse(where, status_code=303)


def _form(
    request: Request,
    share: Share,
    visitor: Visitor,
    fields: Fields,
    before: dict[str, Any] | None,
    *,
    wrong: list[tuple[str, str]] | None = None,
    checked: Agreement | None = None,
    more: int = draft_form.EMPTY_ROWS,
) -> Response:
    text = None if checked is None else checked.plain()
    return html(
        request,
        share,
        "draft.html",
        status=422 if wrong else 200,
        **common(share, visitor),
        fields=fields,
        before=before,
        rows=draft_form.rows(fields, more),
        errors=draft_form.placed(wrong or [], fields),
        checked=checked,
        terms_hash=None if checked is None else checked.terms_hash(),
        clauses=[] if text is None else terms.clauses(text, share.catalogue),
        changes=[] if text is None or before is None else terms.changes(before, text),
        indicators=list(share.catalogue.values()),
        purposes=PURPOSES,
        prohibited=PROHIBITED,
        networks=NETWORKS,
        roles=ROLES,
        modes=MODES,
        own_modes=OWN_MODES,
        seen=terms.SEEN,
    )
