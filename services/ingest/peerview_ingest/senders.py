"""Who sends, and for which practice."""

import re
from typing import Final

from fastapi import Request

from peerview_common.auth import Principal, TokenVerifier
from peerview_common.ids import ods_code
from peerview_common.problem import Problem
from peerview_common.settings import IngestSettings
from peerview_ingest.submission import Sender

SCOPE: Final = "ingest:write"
MAX_SOURCE: Final = 100

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


class Senders:
    """Lets callers in. Raises AuthError (401, 403) or Problem (400, 403)."""

    def __init__(self, verifier: TokenVerifier, settings: IngestSettings) -> None:
        self._verifier = verifier
        self._settings = settings

    def __call__(self, request: Request) -> Sender:
        return self.caller(request, SCOPE)[1]

    def caller(self, request: Request, *scopes: str) -> tuple[Principal, Sender]:
        """Somebody with at least one of ``scopes``, and the sender that they stand for."""
        principal = self._verifier.principal(request.headers.get("authorization"))
        if not principal.scopes & set(scopes):
            principal.require_scope(scopes[0])
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
        if practice in self._settings.opted_out_practices:
            raise Problem(403, "opted-out", "this practice has opted out: nothing of it is taken")
        if len(principal.system) > MAX_SOURCE:
            raise Problem(400, "source-too-long", "the token's claim system is too long")
        trace = request.headers.get("traceparent", "")
        traced = trace if _TRACEPARENT.fullmatch(trace) else None
        return principal, Sender(practice, principal.system, traced)
