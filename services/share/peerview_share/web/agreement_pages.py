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
from peerview_share.web import key_notices, preview, terms
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
HOLDS: Final = (Status.SIGNED, Status.ACTIVE, Status.SUSPENDED)
"""What all have signed, and is not over."""
Versions = list[tuple[AgreementRecord, Status]]
"""Of one agreement, oldest first."""
DONE: Final = {
    "proposed": "The agreement is proposed. Each party signs it next.",
    "signed": "You have signed for your practice.",
    "suspended": "Suspended. Nobody sees anybody under this agreement now.",
    "resumed": "Resumed, as far as your practice is concerned.",
    "edited": "The draft is changed. Whoever signed other terms signs again.",
    "asked": "You have signed, and asked to join. Those decide whom the terms name.",
    "agreed": "You have agreed to the practice that asks to join.",
    "limited": "Your practice allows what you have chosen, from now on.",
    "taken-back": "Your practice does not ask to join any more.",
    "withdrawn": "Your practice has withdrawn. Nobody sees new figures of it under this agreement.",
}
EVENTS: Final = {
    "asked": "asked to join",
    "agreed": "agreed to a practice that asks to join",
    "taken-back": "took back that it asked to join",
    "limited": "limited what it shows",
    "succeeded": "was succeeded by another practice",
    "key-revocation-asked": "its signing key is to be revoked: the operator asked for it",
    "key-revocation-stopped": "the revocation of its signing key was stopped",
    "key-registered": "registered a new signing key, after the former was revoked",
}


def versions_of(share: Share, visitor: Visitor, agreement: str) -> Versions:
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
    """What the visitor's practice may do now with this version alone."""
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
    return found


def may_now(found: Versions, visitor: Visitor) -> list[str]:
    """What it may do with the agreement, whatever version is looked at: these acts hold for all
    versions, so a draft of the next one does not stand in their way."""
    if not visitor.may_sign:
        return []
    if asks(found, visitor):
        return ["take-back"]
    present = [
        (record, status)
        for record, status in found
        if (member := record.participant(visitor.own)) is not None and member.withdrawn_at is None
    ]
    as_party = [
        (party, status)
        for record, status in present
        if (party := record.party(visitor.own)) is not None
    ]
    acts = []
    if any(party.suspended_at is not None for party, _ in as_party):
        acts.append("resume")
    elif any(status in HOLDS for _, status in as_party):
        acts.append("suspend")
    over = (Status.EXPIRED, Status.WITHDRAWN)
    if any(status not in over for _, status in as_party):
        acts.append("limit")
    if any(status not in over for _, status in present):
        acts.append("withdraw")
    if as_party and found[-1][1] is not Status.DRAFT:
        acts.append("next")
    return acts


def in_hand(found: Versions) -> tuple[AgreementRecord, Status]:
    """What an act is about: the version that holds, also beside a draft of the next, else the
    newest."""
    return ([each for each in found if each[1] in HOLDS] or found)[-1]


def asks(found: Versions, visitor: Visitor) -> bool:
    """Whether the visitor's practice only asks to join so far."""
    own = visitor.own
    return any(who.ods == own for r, _ in found for who in r.asking) and not any(
        (member := r.participant(own)) is not None and member.withdrawn_at is None for r, _ in found
    )


def standing(found: Versions, visitor: Visitor) -> str:
    """How the visitor's practice stands in an agreement, where its state alone would mislead."""
    if asks(found, visitor):
        return "Your practice asks to join, and waits: it sees nobody, and nobody sees it"
    members = [(r.participant(visitor.own), s) for r, s in found]
    there = [(member, status) for member, status in members if member is not None]
    if any(member.withdrawn_at is not None for member, _ in there):
        return "Your practice has withdrawn: it sees nobody, and nobody sees new figures of it"
    if any(member.suspended_at is not None for member, _ in there):
        return "Your practice has suspended it"
    in_force = [member for member, status in there if status is Status.ACTIVE]
    if in_force and in_force[-1].signed_at is None:
        return "Your practice has not signed it: it sees nobody"
    return ""


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
    agreements: dict[str, Versions] = {}
    for record in records:
        if record.names(visitor.own):
            agreements.setdefault(record.document.id, []).append((record, states[record.key]))
    rows = [_row(found, visitor) for found in agreements.values()]
    return html(request, share, "agreements.html", **common(share, visitor), rows=rows)


def _row(found: Versions, visitor: Visitor) -> dict[str, Any]:
    """An agreement in the list: what all have signed stands there beside the draft of what comes
    next, for figures are shared under it meanwhile."""
    newest = found[-1][0]
    shown = [each for each in found[:-1] if each[1] in HOLDS] + [found[-1]]
    return {
        "id": newest.document.id,
        "title": newest.document.title,
        "network": newest.document.network.name or newest.document.network.id,
        "standing": standing(found, visitor),
        "states": [
            {
                "version": record.document.version,
                "status": status.value,
                "meaning": MEANINGS[status],
            }
            for record, status in shown
        ],
        "waits": [
            record.document.version
            for record, status in shown
            if "sign" in may(record, status, visitor)
        ],
        "asking": [
            (record.document.version, number)
            for record, _ in shown
            if (number := len(may_admit(record, visitor)))
        ],
    }


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
    now = may_now(found, visitor)
    return page(
        request,
        share,
        visitor,
        "agreement.html",
        record,
        status,
        done=DONE.get(done, ""),
        acts=may(record, status, visitor) + now,
        standing=standing(found, visitor),
        present="withdraw" in now,
        meanwhile=[
            (other.document.version, state.value)
            for other, state in found
            if other.key != record.key and state in HOLDS
        ],
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
        "key_notices": key_notices.notices(share, visitor.own),
    }
