"""Who looks at a page, for which practice, and whether they may bind it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Cookie, Depends, Header

from peerview_common.problem import Problem
from peerview_common.settings import Mode
from peerview_share.agreements.acts import Actor
from peerview_share.api.callers import READ, SIGNATORY, OdsHeader, ShareParts, practice_of
from peerview_share.service import Share
from peerview_share.web import session

DEMO_READER = "demo session"


class NoPracticeError(Exception):
    """The demo has no practice yet."""


@dataclass(frozen=True, slots=True)
class Visitor:
    own: str
    """The practice's ODS code."""
    reader: str
    """The subject of the token."""
    name: str
    may_sign: bool
    practices: Mapping[str, str]
    """In the demo, all practices that may be chosen, by code; else none."""

    def actor(self) -> Actor:
        """Raises Problem 403 for somebody who may not bind the practice."""
        if not self.may_sign:
            raise Problem(403, "not-allowed", "only a signatory of the practice may do this")
        return Actor(self.own, self.reader, self.name)


def visitor(
    share: ShareParts,
    authorization: Annotated[str | None, Header()] = None,
    ods: OdsHeader = None,
    peerview_demo: Annotated[str | None, Cookie()] = None,
) -> Visitor:
    """Raises NoPracticeError, AuthError, and Problem."""
    if share.settings.mode is Mode.DEMO and authorization is None:
        practices = demo_practices(share)
        chosen = session.chosen(peerview_demo, share.session_key)
        own = chosen if chosen in practices else next(iter(practices), None)
        if own is None:
            raise NoPracticeError
        return Visitor(own, DEMO_READER, "Visitor of the demonstration", True, practices)
    principal = share.verifier.principal(authorization)
    principal.require_scope(READ)
    return Visitor(
        practice_of(principal, ods),
        principal.subject,
        principal.name,
        SIGNATORY in principal.roles,
        {},
    )


Looking = Annotated[Visitor, Depends(visitor)]


def names(share: Share) -> dict[str, str]:
    """Practices' names, as agreements give them."""
    with_names = share.agreements.get().records
    return {
        member.ods: member.name
        for record in with_names
        for member in (*record.asking, *record.audience, *record.parties)
    }


def demo_practices(share: Share) -> dict[str, str]:
    """All practices of the demo, by code."""
    known = names(share)
    return {ods: known.get(ods, ods) for ods in sorted(share.figures.practices() | known.keys())}
