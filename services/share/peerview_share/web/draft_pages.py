"""Drafting an agreement, or its next version: fill in, check, propose."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from peerview_common.problem import Problem
from peerview_share.agreements.acts import (
    Actor,
    ChangedMeanwhileError,
    RefusedError,
    UnknownAgreementError,
)
from peerview_share.agreements.checking import check, check_over, parse
from peerview_share.agreements.document import Agreement
from peerview_share.agreements.life import AgreementRecord, Status
from peerview_share.api.callers import ShareParts
from peerview_share.service import Share
from peerview_share.store import agreements as store
from peerview_share.web import draft_form, draft_rows, terms
from peerview_share.web.agreement_pages import common, may, may_now, version_of, versions_of
from peerview_share.web.draft_words import CHOICES, LABELS
from peerview_share.web.forms import Fields, Submitted
from peerview_share.web.rendering import html
from peerview_share.web.routes import PageRoute
from peerview_share.web.visitor import Looking, Visitor, names

router = APIRouter(prefix="/agreements", include_in_schema=False, route_class=PageRoute)


@router.get("/new")
def new_page(request: Request, share: ShareParts, visitor: Looking) -> Response:
    visitor.actor()
    own = {"odsCode": visitor.own, "name": common(share, visitor)["name"]}
    start = draft_form.fields_of({"parties": [own], "peerIdentification": {"mode": "named"}})
    return _form(request, share, visitor, start, _New())


@router.get("/{agreement}/next-version")
def next_page(request: Request, agreement: str, share: ShareParts, visitor: Looking) -> Response:
    visitor.actor()
    found = versions_of(share, visitor, agreement)
    record, status = found[-1]
    if status is Status.DRAFT:
        # there is one already: that one is changed
        return RedirectResponse(f"/agreements/{agreement}/edit", status_code=303)
    if "next" not in may_now(found, visitor):
        raise Problem(409, "not-a-party", "only a party that has not left drafts the next version")
    return _form(request, share, visitor, draft_form.fields_of(record.text), _Next(record.text))


@router.get("/{agreement}/edit")
def edit_page(request: Request, agreement: str, share: ShareParts, visitor: Looking) -> Response:
    visitor.actor()
    record, status = version_of(share, visitor, agreement, None)
    _must_be_draft(record, status, visitor)
    return _form(
        request,
        share,
        visitor,
        draft_form.fields_of(record.text),
        _Edit(record.text, edition=record.edition),
    )


@router.post("/{agreement}/edit")
def edit(
    request: Request, agreement: str, share: ShareParts, visitor: Looking, fields: Submitted
) -> Response:
    record, status = version_of(share, visitor, agreement, None)
    # what was typed stays, also where all have signed meanwhile
    closed = None if "edit" in may(record, status, visitor) else NO_DRAFT
    work = _Edit(record.text, edition=record.edition, closed=closed)
    return _take(request, share, visitor, fields, work)


@router.post("/new")
def new(request: Request, share: ShareParts, visitor: Looking, fields: Submitted) -> Response:
    return _take(request, share, visitor, fields, _New())


@router.post("/{agreement}/next-version")
def following(
    request: Request, agreement: str, share: ShareParts, visitor: Looking, fields: Submitted
) -> Response:
    record, _ = version_of(share, visitor, agreement, None)
    return _take(request, share, visitor, fields, _Next(record.text))


@dataclass(frozen=True, slots=True)
class _New:
    """An agreement that is not there yet. ``before`` is the text that it changes."""

    before: Mapping[str, Any] = field(default_factory=dict)
    heading: str = "Draft an agreement"
    done: str = "proposed"
    edition: str = ""
    """Which text a draft has now."""
    closed: str | None = None
    """Why nothing can be changed now."""

    @property
    def address(self) -> str:
        return "/agreements/new"

    def fixed(self) -> dict[str, Any]:
        """Clauses that the form does not decide."""
        return {}

    def act(self, share: Share, of: str) -> Callable[[Agreement, Actor], None]:
        """What is done in the end. ``of``: the edition that the form began with."""
        return share.acts.create


@dataclass(frozen=True, slots=True)
class _Next(_New):
    """The next version of one."""

    heading: str = "Draft the next version"

    @property
    def address(self) -> str:
        return f"/agreements/{self.before['id']}/next-version"

    def fixed(self) -> dict[str, Any]:
        number = int(self.before["version"])
        return {"id": self.before["id"], "version": number + 1, "supersedes": number}


@dataclass(frozen=True, slots=True)
class _Edit(_New):
    """Another text for a draft."""

    heading: str = "Change the draft"
    done: str = "edited"

    @property
    def address(self) -> str:
        return f"/agreements/{self.before['id']}/edit"

    def fixed(self) -> dict[str, Any]:
        return {name: self.before[name] for name in ("id", "version", "supersedes")}

    def act(self, share: Share, of: str) -> Callable[[Agreement, Actor], None]:
        return partial(share.acts.edit, of={of})


NO_DRAFT: Final = (
    "only a draft is changed, by its parties, and this is none any more: propose the next version"
)


def _overtaken(share: Share, work: _New, began: str, document: dict[str, Any]) -> dict[str, Any]:
    """Who saved meanwhile, what that changed, and where this form differs from it."""
    identity, version = str(work.before["id"]), int(work.before["version"])
    number, _, edit = began.partition(".")
    known = number == str(version) and edit.isascii() and edit.isdigit() and len(edit) < 7
    with share.database.read() as connection:
        saved = store.saved(connection, identity, version)
        before = store.text(connection, identity, version, int(edit)) if known else None
    return {
        "by": saved.by,
        "practice": names(share).get(saved.practice or "", saved.practice or ""),
        "at": saved.at,
        "theirs": [] if before is None else terms.changes(before, work.before),
        "ours": terms.changes(
            work.before, document if check(document) else parse(document).plain()
        ),
    }


def _must_be_draft(record: AgreementRecord, status: Status, visitor: Visitor) -> None:
    if "edit" not in may(record, status, visitor):
        raise Problem(409, "not-a-draft", "only a draft is changed, by its parties")


def _take(request: Request, share: Share, visitor: Visitor, fields: Fields, work: _New) -> Response:
    actor = visitor.actor()
    if fields.one("do") == "rows":
        return _form(request, share, visitor, fields, work, more=3 * draft_rows.EMPTY_ROWS)
    if work.closed is not None:
        return _form(request, share, visitor, fields, work, wrong=[("", work.closed)])
    document = draft_form.document_of(fields, work.before) | work.fixed()
    of = fields.one("edition")
    if work.edition and of != work.edition:
        return _form(request, share, visitor, fields, work, overtaken=(of, document))
    wrong = [(fault.clause, fault.why) for fault in check(document)]
    if wrong:
        return _form(request, share, visitor, fields, work, wrong=wrong)
    agreement = parse(document)
    over = [(fault.clause, fault.why) for fault in check_over(agreement, share.clock())]
    if over:
        return _form(request, share, visitor, fields, work, wrong=over)
    if fields.one("do") != "propose":
        return _form(request, share, visitor, fields, work, checked=agreement)
    try:
        work.act(share, of)(agreement, actor)
    except UnknownAgreementError:
        # an id that others use; nothing is said of theirs
        told = [("id", "choose another id")]
        return _form(request, share, visitor, fields, work, wrong=told)
    except ChangedMeanwhileError as error:
        now = replace(work, before=error.record.text, edition=error.record.edition)
        return _form(request, share, visitor, fields, now, overtaken=(of, document))
    except RefusedError as error:
        clause, _, why = error.detail.partition(": ")
        told = [(clause, why) if why else ("", error.detail)]
        return _form(request, share, visitor, fields, work, wrong=told)
    where = f"/agreements/{agreement.id}?version={agreement.version}&done={work.done}"
    return RedirectResponse(where, status_code=303)


def _form(
    request: Request,
    share: Share,
    visitor: Visitor,
    fields: Fields,
    work: _New,
    *,
    wrong: list[tuple[str, str]] | None = None,
    checked: Agreement | None = None,
    more: int = draft_rows.EMPTY_ROWS,
    overtaken: tuple[str, dict[str, Any]] | None = None,
) -> Response:
    """``overtaken``: the edition that the form began with, and what the form says, where somebody
    saved another text meanwhile."""
    text = None if checked is None else checked.plain()
    changes = [] if text is None or not work.before else terms.changes(work.before, text)
    return html(
        request,
        share,
        "draft.html",
        status=412 if overtaken else 409 if work.closed else 422 if wrong else 200,
        overtaken=None if overtaken is None else _overtaken(share, work, *overtaken),
        # a form that comes back for other reasons goes on with the text that it began with
        edition=work.edition if overtaken else fields.one("edition") or work.edition,
        **common(share, visitor),
        fields=fields,
        before=work.before,
        heading=work.heading,
        address=work.address,
        tables={table.prefix: table for table in draft_rows.TABLES},
        rows={table.prefix: draft_rows.count(table, fields, more) for table in draft_rows.TABLES},
        errors=draft_form.read(fields, work.before).placed(wrong or []),
        checked=checked,
        terms_hash=None if checked is None else checked.terms_hash(),
        clauses=[] if text is None else terms.clauses(text, share.catalogue),
        changes=[change for change in changes if change.place not in ("version", "supersedes")],
        indicators=list(share.catalogue.values()),
        choices=CHOICES,
        labels=LABELS,
    )
