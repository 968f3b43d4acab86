"""Suspending, resuming and withdrawing on pages: first what it means, then the act."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from peerview_common.problem import Problem
from peerview_share.agreements.acts import Actor, RefusedError, UnknownAgreementError
from peerview_share.agreements.life import AgreementRecord
from peerview_share.api.callers import ShareParts
from peerview_share.service import Share
from peerview_share.web.agreement_pages import in_hand, may_now, page, versions_of
from peerview_share.web.forms import Submitted
from peerview_share.web.routes import PageRoute
from peerview_share.web.visitor import Looking, Visitor

router = APIRouter(prefix="/agreements", include_in_schema=False, route_class=PageRoute)


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
    "take-back": Act(
        "Do not join after all",
        (
            "Your practice does not ask to join any more. Nobody has seen anything of it.",
            "The signature that it gave to the terms stays in the record, and binds it to nothing.",
            "It may ask again, by the address that a party gave it.",
        ),
        "Take back that our practice asks to join",
        "Do not join",
        "taken-back",
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
RETAINED: Final = (
    "Nobody sees new figures of your practice under this agreement any more, at once and "
    "everywhere within 5 seconds. Those of earlier releases stay with those who see your practice "
    "by name, as the terms say."
)
OPEN: Final = Literal["suspend", "resume", "withdraw", "take-back"]


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
        "take-back": share.acts.take_back,
    }
    refused = attempt(lambda: doing[act](agreement, actor))
    if refused is not None:
        errors = {"confirmed": sentence(refused)}
        return _act_form(request, share, visitor, agreement, act, errors)
    if act == "take-back":
        # the agreement is none of its business any more
        return RedirectResponse("/agreements", status_code=303)
    return back(agreement, ACTS[act].done)


def _act_form(
    request: Request,
    share: Share,
    visitor: Visitor,
    agreement: str,
    act: str,
    errors: dict[str, str],
) -> Response:
    found = versions_of(share, visitor, agreement)
    record, status = in_hand(found)
    return page(
        request,
        share,
        visitor,
        "act.html",
        record,
        status,
        errors=errors,
        open=act in may_now(found, visitor),
        act=act,
        saying=_saying(act, record),
    )


def _saying(act: str, record: AgreementRecord) -> Act:
    found = ACTS[act]
    if act == "withdraw" and record.document.withdrawal.past_data == "retain":
        return replace(found, consequences=(RETAINED, *found.consequences[1:]))
    return found


def attempt(action: Callable[[], None]) -> RefusedError | None:
    """Why it was refused, None where it was done."""
    try:
        action()
    except UnknownAgreementError as error:
        raise Problem(404, "not-found", "there is no such agreement of this practice") from error
    except RefusedError as error:
        return error
    return None


def sentence(refused: RefusedError) -> str:
    return refused.detail[:1].upper() + refused.detail[1:]


def back(agreement: str, done: str, version: int | None = None) -> RedirectResponse:
    which = "" if version is None else f"&version={version}"
    return RedirectResponse(f"/agreements/{agreement}?done={done}{which}", status_code=303)
