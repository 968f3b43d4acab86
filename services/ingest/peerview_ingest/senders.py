"""Who sends, and for which practice."""

import re
from typing import Final

from fastapi import Request

from peerview_common.auth import AuthError, Principal, TokenVerifier
from peerview_common.ids import OdsCode, ods_code
from peerview_common.problem import Problem
from peerview_common.settings import IngestSettings
from peerview_ingest.fhir.keys import holds_nhs_number
from peerview_ingest.limits import Limits
from peerview_ingest.submission import Sender

SCOPE: Final = "ingest:write"
OPERATE: Final = "ingest:operate"
PSEUDONYMS: Final = "pseudonyms:read"
PATIENTS: Final = "patients:write"
CLINICAL: Final = "clinical"
MAX_SOURCE: Final = 100

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


class Senders:
    """Lets callers in, each for what they may do. ``admit`` is a dependency of every route, and
    checks the token without blocking the event loop; a route that needs a sender then calls this
    with its request.

    Raises AuthError (401, 403, 503) or Problem (400, 403, 429).
    """

    def __init__(self, verifier: TokenVerifier, settings: IngestSettings) -> None:
        self._verifier = verifier
        self._settings = settings
        self._limits = Limits(settings)

    async def admit(self, request: Request) -> None:
        """Check the token, if any; what comes of it waits in the request until it is asked for."""
        try:
            found: Principal | AuthError = await self._verifier.admit(
                _single(request, "authorization")
            )
        except AuthError as error:
            found = error
        request.state.caller = found

    def __call__(self, request: Request, *scopes: str) -> Sender:
        """Somebody who sends a practice's records: their token must have one of ``scopes``, by
        itself ``ingest:write``."""
        principal = self._principal(request, *(scopes or (SCOPE,)))
        return self._sender(request, principal)

    def operator(self, request: Request) -> Principal:
        """The operator: for no practice in particular."""
        return self._principal(request, OPERATE)

    def clinician(self, request: Request) -> tuple[Principal, Sender]:
        """The practice's own clinical staff: never a supplier, whose token covers several practices
        or may send."""
        principal = self._principal(request, PSEUDONYMS)
        if CLINICAL not in principal.roles:
            raise AuthError(403, "the token lacks the role clinical", "role")
        if len(principal.practices) > 1 or SCOPE in principal.scopes:
            raise AuthError(
                403, "pseudonyms are for a practice's own staff, never for suppliers", "role"
            )
        return principal, self._sender(request, principal)

    def keeper(self, request: Request) -> tuple[Principal, Sender]:
        """Somebody who erases patients of a practice, or notes their objection."""
        principal = self._principal(request, PATIENTS)
        return principal, self._sender(request, principal, opted_out_too=True)

    @staticmethod
    def _principal(request: Request, *scopes: str) -> Principal:
        principal = request.state.caller
        if isinstance(principal, AuthError):
            raise principal
        if principal.scopes.isdisjoint(scopes):
            principal.require_scope(scopes[0])
        found: Principal = principal
        return found

    def _sender(
        self, request: Request, principal: Principal, *, opted_out_too: bool = False
    ) -> Sender:
        practice = self._practice(principal, _single(request, "ods-code"))
        request.state.practice = practice
        if practice in self._settings.opted_out_practices and not opted_out_too:
            raise Problem(403, "opted-out", "this practice has opted out: nothing of it is taken")
        if len(principal.system) > MAX_SOURCE:
            raise Problem(400, "source-too-long", "the token's claim system is too long")
        allowance = self._limits.of(principal.subject, practice)
        allowance.begin()
        request.state.allowance = allowance
        trace = _trace(request)
        request.state.trace = trace[3:35] if trace else None
        return Sender(practice, principal.system, trace)

    @staticmethod
    def _practice(principal: Principal, named: str | None) -> OdsCode:
        if named is None:
            if not principal.practices:
                raise AuthError(403, "the token covers no practice", "practice")
            if len(principal.practices) > 1:
                raise Problem(
                    400,
                    "practice-needed",
                    "the token covers several practices: name one in the ODS-Code header",
                )
            (named,) = principal.practices
        try:
            practice = ods_code(named)
        except ValueError:
            raise Problem(
                400, "not-an-ods-code", "the practice is not named by an ODS code"
            ) from None
        principal.require_practice(practice)
        return practice


def _single(request: Request, name: str) -> str | None:
    """A header that must not be there twice: a proxy may have looked at the other one."""
    found = request.headers.getlist(name)
    if len(found) > 1:
        raise AuthError(401, f"there are several headers {name}", "malformed")
    return found[0] if found else None


def _trace(request: Request) -> str | None:
    """The caller's trace context; a new one is made where there is none, or where its digits could
    be a person's number (one random context in forty)."""
    text = request.headers.get("traceparent", "")
    return text if _TRACEPARENT.fullmatch(text) and not holds_nhs_number(text) else None
