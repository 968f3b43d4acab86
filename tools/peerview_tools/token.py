"""`peerview token`: a development token. The services refuse its issuer in production mode."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from peerview_common.ids import ods_code
from peerview_tools.issuer import DevelopmentIssuer

SCOPES: Final = (
    "ingest:write",
    "ingest:confirm",
    "ingest:operate",
    "patients:write",
    "pseudonyms:read",
    "share:read",
    "release:operate",
    "keys:revoke",
    "attacks:read",
    "metrics:read",
)
ROLES: Final = ("clinical", "signatory", "operator")


def run(
    keys: Path,
    *,
    subject: str,
    practices: Sequence[str],
    scopes: Sequence[str],
    roles: Sequence[str],
    system: str,
    hours: float,
) -> int:
    """Print a token; 2 where what it should say is no possible token."""
    if os.environ.get("PEERVIEW_MODE", "").lower() == "production":
        print("peerview token: PEERVIEW_MODE is production: ask the real issuer", file=sys.stderr)
        return 2
    try:
        covered = [ods_code(practice) for practice in practices]
        _known("scope", scopes, SCOPES)
        _known("role", roles, ROLES)
    except ValueError as error:
        print(f"peerview token: {error}", file=sys.stderr)
        return 2
    issuer = DevelopmentIssuer(keys)
    print(
        issuer.token(
            subject=subject,
            practices=covered,
            scope=" ".join(scopes or SCOPES),
            roles=roles,
            system=system,
            expires_in=round(hours * 3600),
            name=subject,
        )
    )
    return 0


def _known(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise ValueError(f"no such {what}: {name} (there are {', '.join(known)})")
