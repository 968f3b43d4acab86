"""The made-up network of the demonstration: who signs what, and what each caller's token says."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Final

from peerview_tools.issuer import DevelopmentIssuer
from peerview_tools.simulator import Practice

NETWORK: Final = "imberley"
NETWORK_NAME: Final = "Imberley Primary Care Network"
AGREEMENT: Final = "imberley-peer-review"
NOT_SHARED: Final = "dna"
"""The one indicator that the agreement leaves out, to show that absent means denied."""

TOKEN_S: Final = 12 * 3600


class Tokens:
    """Bearer tokens of the demonstration's people and systems, each made once."""

    def __init__(self, issuer: DevelopmentIssuer) -> None:
        self._issuer = issuer
        self._made: dict[tuple[str, ...], str] = {}

    def system(self, practice: Practice) -> str:
        """A practice's clinical system, which sends records."""
        return self._token(
            f"{practice.ods.lower()}-system",
            [practice.ods],
            scope="ingest:write",
            system=practice.system,
            name=f"{practice.name}: clinical system",
        )

    def staff(self, practice: Practice) -> str:
        """Somebody at a practice who looks at figures and sees the patients behind them."""
        return self._token(
            f"{practice.ods.lower()}-staff",
            [practice.ods],
            scope="share:read",
            roles=["clinical"],
            name=f"Staff of {practice.name}",
        )

    def signatory(self, practice: Practice) -> str:
        """Who signs for a practice."""
        return self._token(
            f"{practice.ods.lower()}-signatory",
            [practice.ods],
            scope="share:read",
            roles=["signatory"],
            name=f"Dr {practice.name.split()[0]}, partner",
        )

    def operator(self) -> str:
        """Who runs the service, and sees nobody's figures."""
        return self._token(
            "demo-operator", [], scope="release:operate", roles=["operator"], name="Operator"
        )

    def _token(
        self,
        subject: str,
        practices: Iterable[str],
        *,
        scope: str,
        roles: Iterable[str] = (),
        system: str = "demo",
        name: str = "",
    ) -> str:
        key = (subject, scope)
        if key not in self._made:
            self._made[key] = self._issuer.token(
                subject=subject,
                practices=practices,
                scope=scope,
                roles=roles,
                system=system,
                name=name,
                expires_in=TOKEN_S,
            )
        return self._made[key]


def agreement(
    practices: Sequence[Practice],
    indicators: Iterable[str],
    day: date,
    *,
    identity: str = AGREEMENT,
    network: str = NETWORK,
) -> dict[str, Any]:
    """Every party sees every other's released figures by name, for all but `NOT_SHARED`."""
    return {
        "id": identity,
        "version": 1,
        "title": f"{NETWORK_NAME}: quality improvement by peer review",
        "parties": [
            {"odsCode": practice.ods, "name": practice.name, "role": "joint-controller"}
            for practice in practices
        ],
        "network": {"id": network, "name": NETWORK_NAME, "type": "pcn"},
        "purposes": ["quality-improvement", "peer-review"],
        "dataItems": [{"indicatorId": name} for name in indicators if name != NOT_SHARED],
        "peerIdentification": {"mode": "named", "reciprocal": True},
        "validFrom": day.isoformat(),
        "reviewDate": day.replace(year=day.year + 1, day=min(day.day, 28)).isoformat(),
        "onwardSharing": "None. Figures stay within the parties.",
        "contacts": [{"name": "The network's manager (made up)"}],
    }
