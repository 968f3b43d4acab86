"""Signing, suspending, resuming and withdrawing on pages: first what it means, then the act."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from peerview_common.problem import Problem
from peerview_share.agreements.acts import Actor, RefusedError, UnknownAgreementError
from peerview_share.api.callers import ShareParts
from peerview_share.service import Share
from peerview_share.web.agreement_pages import about, common, may, version_of
from peerview_share.web.forms import Submitted
from peerview_share.web.rendering import html
from peerview_share.web.routes import PageRoute
from peerview_share.web.visitor import Looking, Visitor

router = APIRouter(prefix="/agreements", include_in_schema=False, route_class=PageRoute)

HASH_START: Final = 8
"""So many characters of the SHA-256 does a signatory type, to have looked at it."""


@dataclass(frozen=True, slots=True)
class Act:
    """What a page says before an act, and what is confirmed."""

    heading: str
    consequences: tuple[str, ...]
    confirm: str
    button: str
    done: str


ACTS: Final = {
    "suspend": Act(
        "Suspend",
        (
            "Nobody sees anybody under this agreement, at once and everywhere within 5 seconds.",
            "It stays so until your practice resumes it.",
            "The other parties see in its history that you suspended it.",
        ),
        "Suspend it for all its parties",
        "Suspend",
        "suspended",
    ),
    "resume": Act(
        "Resume",
        (
            "The parties see each other again, as soon as nobody else has suspended it.",
            "They see the releases that were published meanwhile.",
        ),
        "Resume it",
        "Resume",
        "resumed",
    ),
    "withdraw": Act(
        "Withdraw",
        (
            "Nobody sees your practice under this agreement any more, at once and everywhere "
            "within 5 seconds: not its new figures, and not those of earlier releases.",
            "Your practice sees nobody under it any more.",
            "What others have copied before cannot be taken back.",
            "This is final. Your practice cannot come back into this agreement.",
        ),
        "I understand that this is final",
        "Withdraw our practice",
        "withdrawn",
    ),
}
OPEN: Final = Literal["suspend", "resume", "withdraw"]


@router.get("/{agreement}/sign")
def sign_page(
    request: Request,
    agreement: str,
    share: ShareParts,
    visitor: Looking,
    version: Annotated[int | None, Query(ge=1)] = None,
) -> Response:
    return _sign_form(request, share, visitor, agreement, version, {}, {})


@router.post("/{agreement}/sign")
def sign(
    request: Request,
    agreement: str,
    share: ShareParts,
    visitor: Looking,
    fields: Submitted,
) -> Response:
    """Signs exactly the terms that were shown: their hash came with the form."""
    actor = visitor.actor()
    version = fields.one("version")
    shown, typed = fields.one("terms_hash"), fields.one("hash_start").lower().replace(" ", "")
    if not version.isdigit():
        raise Problem(422, "invalid", "the form names no version")
    errors = {}
    if len(typed) < HASH_START or not shown.startswith(typed):
        errors["hash_start"] = (
            f"Enter the first {HASH_START} characters of the SHA-256 as it is shown above"
        )
    if fields.one("confirmed") != "yes":
        errors["confirmed"] = "Confirm that you have read the terms and may sign for the practice"
    if errors:
        kept = {"hash_start": fields.one("hash_start"), "confirmed": fields.one("confirmed")}
        return _sign_form(request, share, visitor, agreement, int(version), errors, kept)
    refused = _attempt(lambda: share.acts.sign(agreement, int(version), shown, actor))
    if refused is not None:
        return _sign_form(
            request, share, visitor, agreement, int(version), {"terms_hash": refused}, {}
        )
    return _back(agreement, "signed", int(version))


@router.get("/{agreement}/{act}")
def act_page(
    request: Request, agreement: str, act: OPEN, share: ShareParts, visitor: Looking
) -> Response:
    return _act_form(request, share, visitor, agreement, act, {})


@router.post("/{agreement}/{act}")
def act(
    request: Request,
    agreement: str,
    act: OPEN,
    share: ShareParts,
    visitor: Looking,
    fields: Submitted,
) -> Response:
    actor = visitor.actor()
    if fields.one("confirmed") != "yes":
        errors = {"confirmed": f"Confirm it first: {ACTS[act].confirm.lower()}"}
        return _act_form(request, share, visitor, agreement, act, errors)
    doing: dict[str, Callable[[str, Actor], None]] = {
        "suspend": share.acts.suspend,
        "resume": share.acts.resume,
        "withdraw": share.acts.withdraw,
    }
    refused = _attempt(lambda: doing[act](agreement, actor))
    if refused is not None:
        return _act_form(request, share, visitor, agreement, act, {"confirmed": refused})
    return _back(agreement, ACTS[act].done)


def _sign_form(
    request: Request,
    share: Share,
    visitor: Visitor,
    agreement: str,
    version: int | None,
    errors: dict[str, str],
    kept: dict[str, str],
) -> Response:
    record, status = version_of(share, visitor, agreement, version)
    return html(
        request,
        share,
        "sign.html",
        status=422 if errors else 200,
        **common(share, visitor),
        **about(record, status, share),
        open="sign" in may(record, status, visitor),
        person=visitor.name,
        characters=HASH_START,
        errors=errors,
        kept=kept,
    )


def _act_form(
    request: Request,
    share: Share,
    visitor: Visitor,
    agreement: str,
    act: str,
    errors: dict[str, str],
) -> Response:
    record, status = version_of(share, visitor, agreement, None)
    return html(
        request,
        share,
        "act.html",
        status=422 if errors else 200,
        **common(share, visitor),
        **about(record, status, share),
        open=act in may(record, status, visitor),
        act=act,
        saying=ACTS[act],
        errors=errors,
    )


def _attempt(action: Callable[[], None]) -> str | None:
    """Why it was refused, None where it was done."""
    try:
        action()
    except UnknownAgreementError as error:
        raise Problem(404, "not-found", "there is no such agreement of this practice") from error
    except RefusedError as error:
        return error.detail[:1].upper() + error.detail[1:]
    return None


def _back(agreement: str, done: str, version: int | None = None) -> RedirectResponse:
    which = "" if version is None else f"&version={version}"
    return RedirectResponse(f"/agreements/{agreement}?done={done}{which}", status_code=303)
