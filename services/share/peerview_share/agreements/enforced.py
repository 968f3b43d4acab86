"""Clauses that may be written and are not held to. They are refused by name: accepting and ignoring
one is what a signatory could never find out."""

from collections.abc import Iterator
from typing import Final

from peerview_share.agreements.clauses import DisclosureControl
from peerview_share.agreements.consistency import Clauses, Fault

HELD: Final = frozenset({"min_denominator", "min_count", "extremes_from", "rounding_base"})
"""Stricter figures that views hold to."""
_ONE_SERIES = (
    "a practice has one series of releases for all its networks, so this is the same everywhere; "
    "minDenominator, minCount, extremesFrom and roundingBase can be stricter"
)


def faults(clauses: Clauses) -> Iterator[Fault]:
    control = clauses.get("disclosure_control")
    if control is not None:
        plain = DisclosureControl()
        for name, info in DisclosureControl.model_fields.items():
            if name not in HELD and getattr(control, name) != getattr(plain, name):
                yield Fault(f"disclosureControl.{info.alias}", _ONE_SERIES)
