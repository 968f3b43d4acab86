"""A practice's own disclosures on a page: who saw its released cells, when and why they could."""

from datetime import date
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response

from peerview_common.days import iso_millis
from peerview_common.problem import Problem
from peerview_share.agreements.life import day_end, day_start
from peerview_share.api import csv_text
from peerview_share.api.callers import MAX_SEQ, ShareParts
from peerview_share.api.disclosures import as_csv, entries
from peerview_share.service import Share
from peerview_share.store import audit
from peerview_share.web.clause_words import SEEN
from peerview_share.web.rendering import html
from peerview_share.web.routes import PageRoute
from peerview_share.web.visitor import Looking, names

router = APIRouter(include_in_schema=False, route_class=PageRoute)

PAGE: Final = 50
CSV_LIMIT: Final = 10_000
CHANNELS: Final = {"api": "programme", "page": "page"}


class _Asked:
    """The filter as it was typed, and what it means or why it means nothing."""

    def __init__(self, share: Share, first: str, last: str, viewer: str, indicator: str) -> None:
        self.typed = {"from": first, "to": last, "viewer": viewer, "indicator": indicator}
        self.errors: dict[str, str] = {}
        since, until = self._day("from"), self._day("to")
        if since is not None and until is not None and until < since:
            self.errors["to"] = "The last day must not lie before the first"
        code = viewer.strip().upper()
        if code and not (code.isalnum() and code.isascii() and 3 <= len(code) <= 10):
            self.errors["viewer"] = "Enter a practice's code, such as A99001"
        if indicator and indicator not in share.catalogue:
            self.errors["indicator"] = "Choose one of the indicators"
        self.filter = audit.Filter(
            None if since is None else day_start(since),
            None if until is None else day_end(until),
            code or None,
            None,
            indicator or None,
        )

    def _day(self, name: str) -> date | None:
        text = self.typed[name].strip()
        try:
            return date.fromisoformat(text) if text else None
        except ValueError:
            self.errors[name] = "Enter a day as year-month-day, such as 2026-03-31"
            return None

    @property
    def query(self) -> dict[str, str]:
        return {name: value for name, value in self.typed.items() if value}


Text = Annotated[str, Query(max_length=64)]


def _asked(
    share: ShareParts,
    first: Annotated[str, Query(alias="from", max_length=64)] = "",
    last: Annotated[str, Query(alias="to", max_length=64)] = "",
    viewer: Text = "",
    indicator: Text = "",
) -> _Asked:
    return _Asked(share, first, last, viewer, indicator)


Asking = Annotated[_Asked, Depends(_asked)]


@router.get("/disclosures")
def disclosures_page(
    request: Request,
    share: ShareParts,
    visitor: Looking,
    asked: Asking,
    before: Annotated[int | None, Query(ge=1, le=MAX_SEQ)] = None,
) -> Response:
    known = names(share)
    found = []
    if not asked.errors:
        found = entries(share, visitor.own, asked.filter, before=before, limit=PAGE)
    older = {**asked.query, "before": found[-1]["seq"]} if len(found) == PAGE else None
    return html(
        request,
        share,
        "disclosures.html",
        status=422 if asked.errors else 200,
        section="disclosures",
        own=visitor.own,
        name=known.get(visitor.own, visitor.own),
        errors=asked.errors,
        typed=asked.typed,
        indicators=[(info.id, info.title) for info in share.catalogue.values()],
        rows=[_row(item, known, share) for item in found],
        older=None if older is None else urlencode(older),
        query=urlencode(asked.query),
        paged=before is not None,
    )


@router.get("/disclosures.csv")
def disclosures_csv(share: ShareParts, visitor: Looking, asked: Asking) -> Response:
    """The newest 10,000 that the filter leaves, for a spreadsheet."""
    if asked.errors:
        raise Problem(400, "no-such-filter", "; ".join(asked.errors.values()))
    found = [
        {**item, "at": iso_millis(item["at"])}
        for item in entries(share, visitor.own, asked.filter, before=None, limit=CSV_LIMIT)
    ]
    headers = {
        "Content-Disposition": f'attachment; filename="disclosures-{visitor.own}.csv"',
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(as_csv(found), media_type=csv_text.MEDIA_TYPE, headers=headers)


def _row(item: dict[str, Any], known: dict[str, str], share: Share) -> dict[str, Any]:
    return {
        "at": item["at"],
        "viewer": item["viewer"],
        "viewer_name": known.get(item["viewer"], item["viewer"]),
        "by": "sent to its topic"
        if item["channel"] == "topic"
        else f"{item['reader']}, by {CHANNELS.get(item['channel'], item['channel'])}",
        "epoch": item["epoch"],
        "network": item["network"],
        "agreement": item["agreement"],
        "version": item["agreement_version"],
        "seen": "told only that it is not shared"
        if item["level"] == "none"
        else f"seen {SEEN[item['level']]}",
        "level": item["level"],
        "indicators": [
            (share.catalogue[name].title if name in share.catalogue else name, clause)
            for name, clause in item["clauses"].items()
        ],
    }
