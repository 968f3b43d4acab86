"""Who sends, and for which practice."""

import re
from typing import Final

from fastapi import Request

from peerview_common.auth import AuthError, Principal, TokenVerifier
from peerview_common.ids import ods_code
from peerview_common.problem import Problem
from peerview_common.settings import IngestSettings
from peerview_ingest.fhir.keys import holds_nhs_number
from peerview_ingest.submission import Sender

SCOPE: Final = "ingest:write"
OPERATE: Final = "ingest:operate"
PSEUDONYMS: Final = "pseudonyms:read"
PATIENTS: Final = "patients:write"
CLINICAL: Final = "clinical"
MAX_SOURCE: Final = 100

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


class Senders:
    """Lets callers in, each for what they may do. Raises AuthError (401, 403) or Problem (400,
    403)."""

    def __init__(self, verifier: TokenVerifier, settings: IngestSettings) -> None:
        self._verifier = verifier
        self._settings = settings

    def __call__(self, request: Request) -> Sender:
        """Somebody who sends a practice's records."""
        principal = self._principal(request, SCOPE)
        return self._sender(request, principal)

    def operator(self, request: Request) -> Principal:
        """The operator: for no practice in particular."""
        return self._principal(request, OPERATE)

    def clinician(self, request: Request) -> tuple[Principal, Sender]:
        """The practice's own clinical staff: never a supplier, whose token covers several practices
        or may send."""
        principal = self._principal(request, PSEUDONYMS)
        if CLINICAL not in principal.roles:
            raise AuthError(403, "the token lacks the role clinical")
        if len(principal.practices) > 1 or SCOPE in principal.scopes:
            raise AuthError(403, "pseudonyms are for a practice's own staff, never for suppliers")
        return principal, self._sender(request, principal)

    def keeper(self, request: Request) -> tuple[Principal, Sender]:
        """Somebody who erases patients of a practice, or notes their objection."""
        principal = self._principal(request, PATIENTS)
        return principal, self._sender(request, principal, opted_out_too=True)

    def _principal(self, request: Request, scope: str) -> Principal:
        principal = self._verifier.principal(request.headers.get("authorization"))
        principal.require_scope(scope)
        return principal

    def _sender(
        self, request: Request, principal: Principal, *, opted_out_too: bool = False
    ) -> Sender:
        named = request.headers.get("ods-code")
        if named is None:
            if not principal.practices:
                raise Problem(403, "no-practice", "the token covers no practice")
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
        if practice in self._settings.opted_out_practices and not opted_out_too:
            raise Problem(403, "opted-out", "this practice has opted out: nothing of it is taken")
        if len(principal.system) > MAX_SOURCE:
            raise Problem(400, "source-too-long", "the token's claim system is too long")
        return Sender(practice, principal.system, _trace(request))


def _trace(request: Request) -> str | None:
    """The caller's trace context; a new one is made where there is none, or where its digits could
    be a person's number (one random context in forty)."""
    text = request.headers.get("traceparent", "")
    return text if _TRACEPARENT.fullmatch(text) and not holds_nhs_number(text) else None
