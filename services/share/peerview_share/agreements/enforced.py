"""Clauses that may be written and are not held to yet. They are refused by name: accepting and
ignoring one is what a signatory could never find out."""

from collections.abc import Iterator
from typing import Final

from peerview_share.agreements.clauses import DisclosureControl
from peerview_share.agreements.consistency import Clauses, Fault

HELD: Final = frozenset({"rounding_base"})
"""Stricter figures that views hold to."""
_WHY = "this cannot be held to yet, so it is refused rather than ignored"


def faults(clauses: Clauses) -> Iterator[Fault]:
    control = clauses.get("disclosure_control")
    if control is not None:
        plain = DisclosureControl()
        for name, info in DisclosureControl.model_fields.items():
            if name in HELD:
                continue
            if getattr(control, name) != getattr(plain, name):
                yield Fault(f"disclosureControl.{info.alias}", _WHY)
    withdrawal = clauses.get("withdrawal")
    if withdrawal is not None and withdrawal.past_data != "remove":
        yield Fault("withdrawal.pastData", _WHY)
    for number, item in enumerate(clauses.get("data_items", ())):
        if item.version_range != "*":
            yield Fault(f"dataItems.{number}.versionRange", _WHY)
