"""Agreements on pages: the list, one with terms and history, what changed, who would see what."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response

from peerview_common.problem import Problem
from peerview_share.agreements.clauses import LeadPractice
from peerview_share.agreements.difference import difference
from peerview_share.agreements.life import AgreementRecord, Asking, Status, statuses
from peerview_share.api.callers import ShareParts
from peerview_share.service import Share
from peerview_share.store import agreements as store
from peerview_share.web import preview, terms
from peerview_share.web.rendering import html
from peerview_share.web.routes import PageRoute
from peerview_share.web.visitor import Looking, Visitor, names

router = APIRouter(prefix="/agreements", include_in_schema=False, route_class=PageRoute)

MEANINGS: Final = {
    Status.DRAFT: "not all parties have signed",
    Status.SIGNED: "all have signed; its first day has not come",
    Status.ACTIVE: "in force: figures are shared under it",
    Status.SUSPENDED: "nobody sees anybody under it until it is resumed",
    Status.EXPIRED: "its last day has passed, or a later version is in force",
    Status.WITHDRAWN: "fewer than two parties remain",
}
DONE: Final = {
    "proposed": "The agreement is proposed. Each party signs it next.",
    "signed": "You have signed for your practice.",
    "suspended": "Suspended. Nobody sees anybody under this agreement now.",
    "resumed": "Resumed, as far as your practice is concerned.",
    "edited": "The draft is changed. Whoever signed other terms signs again.",
    "asked": "You have signed, and asked to join. Those decide whom the terms name.",
    "agreed": "You have agreed to the practice that asks to join.",
    "withdrawn": "Your practice has withdrawn. Nobody sees new figures of it under this agreement.",
}
EVENTS: Final = {
    "asked": "asked to join",
    "agreed": "agreed to a practice that asks to join",
    "limited": "limited what it shows",
    "succeeded": "was succeeded by another practice",
}


def versions_of(
    share: Share, visitor: Visitor, agreement: str
) -> list[tuple[AgreementRecord, Status]]:
    """All versions that concern the visitor's practice, oldest first. Raises Problem 404."""
    with share.database.read() as connection:
        records = store.records(connection, agreement=agreement)
    states = statuses(records, share.clock())
    found = [(record, states[record.key]) for record in records if record.names(visitor.own)]
    if not found:
        raise Problem(404, "not-found", "there is no such agreement of this practice")
    return found


def version_of(
    share: Share, visitor: Visitor, agreement: str, version: int | None
) -> tuple[AgreementRecord, Status]:
    """One version, or the newest. Raises Problem 404."""
    found = versions_of(share, visitor, agreement)
    for record, status in reversed(found):
        if version in (None, record.document.version):
            return record, status
    raise Problem(404, "not-found", f"there is no version {version} of this agreement")


def may(record: AgreementRecord, status: Status, visitor: Visitor) -> list[str]:
    """The acts that are open to the visitor's practice now, in the order of its life."""
    member = record.participant(visitor.own)
    if member is None or member.withdrawn_at is not None or not visitor.may_sign:
        return []
    party = record.party(visitor.own) is not None
    signable = {Status.DRAFT, Status.SIGNED} | (set() if party else {Status.ACTIVE})
    found = []
    if member.signed_at is None and status in signable:
        found.append("sign")
    if party and status is Status.DRAFT:
        found.append("edit")
    if party and member.suspended_at is not None:
        found.append("resume")
    elif party and status in (Status.SIGNED, Status.ACTIVE, Status.SUSPENDED):
        found.append("suspend")
    if status not in (Status.EXPIRED, Status.WITHDRAWN):
        found.append("withdraw")
    return found


def may_admit(record: AgreementRecord, visitor: Visitor) -> list[Asking]:
    """Who asks to join, and waits for the visitor's practice among others."""
    party = record.party(visitor.own)
    if party is None or not party.takes_part or not visitor.may_sign:
        return []
    admission = record.document.admission
    if isinstance(admission, LeadPractice) and admission.practice != visitor.own:
        return []
    return [asking for asking in record.asking if visitor.own not in asking.agreed]


@router.get("")
def list_page(request: Request, share: ShareParts, visitor: Looking) -> Response:
    with share.database.read() as connection:
        records = store.records(connection)
    states = statuses(records, share.clock())
    newest: dict[str, tuple[AgreementRecord, Status]] = {}
    for record in records:
        if record.names(visitor.own):
            newest[record.document.id] = record, states[record.key]
    rows = [
        {
            "id": record.document.id,
            "title": record.document.title,
            "version": record.document.version,
            "network": record.document.network.name or record.document.network.id,
            "status": status.value,
            "meaning": MEANINGS[status],
            "waits": "sign" in may(record, status, visitor),
            "asking": len(may_admit(record, visitor)),
        }
        for record, status in newest.values()
    ]
    return html(request, share, "agreements.html", **common(share, visitor), rows=rows)


@router.get("/{agreement}")
def agreement_page(
    request: Request,
    agreement: str,
    share: ShareParts,
    visitor: Looking,
    version: Annotated[int | None, Query(ge=1)] = None,
    done: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Its status, parties, terms and history, and what the visitor may do."""
    found = versions_of(share, visitor, agreement)
    record, status = version_of(share, visitor, agreement, version)
    with share.database.read() as connection:
        signatures = store.signatures(connection, *record.key)
        history = store.history(connection, agreement)
    newest = found[-1][0].document.version
    return page(
        request,
        share,
        visitor,
        "agreement.html",
        record,
        status,
        done=DONE.get(done, ""),
        acts=may(record, status, visitor) if record.document.version == newest else [],
        versions=[(r.document.version, s.value) for r, s in found],
        newest=newest,
        parties=record.parties,
        audience=record.audience,
        asking=record.asking,
        admits=[asking.ods for asking in may_admit(record, visitor)],
        signed={
            item["practice"]: item for item in signatures if item["termsHash"] == record.terms_hash
        },
        history=[
            {
                "at": item["at"],
                "what": EVENTS.get(item["event"], item["event"]),
                "practice": item["practice"],
                "by": item["by"],
                "version": item["version"],
            }
            for item in history
        ],
    )


@router.get("/{agreement}/changes")
def changes_page(
    request: Request,
    agreement: str,
    share: ShareParts,
    visitor: Looking,
    before: Annotated[int, Query(alias="from", ge=1)],
    after: Annotated[int, Query(alias="to", ge=1)],
) -> Response:
    """What one version changed of another, place by place."""
    old, _ = version_of(share, visitor, agreement, before)
    new, status = version_of(share, visitor, agreement, after)
    found = terms.changes(old.text, new.text)
    return page(
        request,
        share,
        visitor,
        "changes.html",
        new,
        status,
        before=before,
        after=after,
        sentences=difference(old.document, new.document, practice=visitor.own),
        changes=[change for change in found if change.place != "version"],
    )


@router.get("/{agreement}/preview")
def preview_page(
    request: Request,
    agreement: str,
    share: ShareParts,
    visitor: Looking,
    version: Annotated[int | None, Query(ge=1)] = None,
) -> Response:
    """Exactly what each viewer would see of the visitor's practice."""
    record, status = version_of(share, visitor, agreement, version)
    with share.database.read() as connection:
        records = store.records(connection)
    epoch = share.published.get()
    own, now = visitor.own, share.clock()
    return page(
        request,
        share,
        visitor,
        "preview.html",
        record,
        status,
        epoch=epoch,
        viewers=preview.viewers(
            records,
            record,
            lambda seen: share.views.epoch(share.views.pace(seen), now),
            share.catalogue,
            own=own,
            now=now,
        ),
        levels=[]
        if epoch is None
        else preview.at_each_level(epoch, share.catalogue, record.document.indicators, own),
    )


def page(
    request: Request,
    share: Share,
    visitor: Visitor,
    template: str,
    record: AgreementRecord,
    status: Status,
    *,
    errors: Mapping[str, str] | None = None,
    **more: Any,
) -> Response:
    """A page about one version of an agreement; with ``errors`` of its form, answered with 422."""
    return html(
        request,
        share,
        template,
        status=422 if errors else 200,
        **common(share, visitor),
        **_about(record, status, share),
        errors=errors or {},
        **more,
    )


def _about(record: AgreementRecord, status: Status, share: Share) -> dict[str, Any]:
    """What every page of one agreement says of it."""
    document = record.document
    return {
        "id": document.id,
        "title": document.title,
        "version": document.version,
        "state": status.value,
        "meaning": MEANINGS[status],
        "terms_hash": record.terms_hash,
        "clauses": terms.clauses(record.text, share.catalogue),
        "document": json.dumps(record.text, indent=2, ensure_ascii=False),
    }


def common(share: Share, visitor: Visitor) -> dict[str, Any]:
    return {
        "section": "agreements",
        "own": visitor.own,
        "name": names(share).get(visitor.own, visitor.own),
        "may_sign": visitor.may_sign,
    }
