"""The clause of an agreement's terms that a disclosure rested on, from what the audit kept of it.

The terms of a version never change, so the clause can be told at any later time.
"""

from typing import Final

from peerview_share.agreements.document import PeerIdentification

OWN_LIMIT: Final = "limits"
"""A party allowed less than the agreement."""
NOT_SHARED: Final = "not-shared"
"""The viewer was told that the practice does not share the indicator, and nothing else."""


def deciding_clause(terms: PeerIdentification, indicator: str, level: str) -> str:
    """Where in the agreement it says that this could be seen at ``level``."""
    if level == "none":
        return NOT_SHARED
    if terms.of(indicator).level.name.lower() != level:
        return OWN_LIMIT
    if indicator in terms.per_indicator:
        return f"peerIdentification.perIndicator.{indicator}"
    return "peerIdentification.mode"
