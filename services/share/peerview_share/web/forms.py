"""What a form sent, once it is known to come from a page of ours.

A form carries a random token that is also in a cookie, which other sites can neither read nor send.
Nothing is kept on the server, so any replica can take any form.
"""

import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import Depends, Request, Response

from peerview_common.problem import Problem
from peerview_common.settings import Mode
from peerview_share.service import Share

FIELD: Final = "form_token"
MAX_BYTES: Final = 500_000
MAX_FIELDS: Final = 5_000
"""An agreement may have 500 parties, of four fields each."""
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a form, each with all its values in their order."""

    values: dict[str, list[str]]

    def one(self, name: str) -> str:
        """Its first value without white space around it; empty where it was not sent."""
        return (self.values.get(name) or [""])[0].strip()

    def all(self, name: str) -> list[str]:
        return self.values.get(name, [])


def cookie(share: Share) -> str:
    # the prefix keeps neighbouring hosts from setting it; browsers want https for it
    return "__Host-peerview_form" if _secure(share) else "peerview_form"


def token(request: Request, share: Share) -> str:
    """The visitor's token, a new one where there is none."""
    found = request.cookies.get(cookie(share), "")
    return found if _TOKEN.fullmatch(found) else secrets.token_urlsafe(32)


def remember(answer: Response, share: Share, value: str) -> None:
    answer.set_cookie(
        cookie(share), value, httponly=True, samesite="strict", secure=_secure(share), path="/"
    )


async def submitted(request: Request) -> Fields:
    """Raises Problem 403 for a form that is not ours, 413 for one that is too long."""
    share: Share = request.app.state.share
    length = request.headers.get("content-length", "")
    if not length.isdigit() or int(length) > MAX_BYTES:
        raise Problem(413, "too-long", f"a form may have at most {MAX_BYTES:,} bytes")
    _refuse_other_sites(request)
    form = await request.form(max_files=0, max_fields=MAX_FIELDS)
    found = Fields(
        # no text that is typed has a NUL, and no database keeps one
        {
            name: [v.replace("\0", "") for v in form.getlist(name) if isinstance(v, str)]
            for name in form
        }
    )
    kept = request.cookies.get(cookie(share), "")
    sent = found.one(FIELD)
    if not _TOKEN.fullmatch(kept) or not hmac.compare_digest(kept.encode(), sent.encode()):
        raise Problem(
            403,
            "form-not-ours",
            "this form was not made for your browser, or is too old: open the page again",
        )
    return found


Submitted = Annotated[Fields, Depends(submitted)]


def _refuse_other_sites(request: Request) -> None:
    """Browsers say where a form came from; one that says nothing still needs the token."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    host = request.headers.get("host", "")
    if site != "same-origin" or (origin is not None and urlsplit(origin).netloc != host):
        raise Problem(403, "form-not-ours", "this form was sent from another site")


def _secure(share: Share) -> bool:
    return share.settings.mode is Mode.PRODUCTION
