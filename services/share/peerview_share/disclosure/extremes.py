"""Rule 4: all or none of a group says something about each of its members."""

from typing import Final

from peerview_share.disclosure.size import Reason, Totals

MIN_DENOMINATOR: Final = 50


def too_extreme(found: Totals) -> Reason | None:
    """0% and 100% are shown only where the denominator is at least 50."""
    extreme = found.numerator == 0 or found.complement == 0
    return Reason.EXTREME if extreme and found.denominator < MIN_DENOMINATOR else None
