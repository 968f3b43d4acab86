"""Clauses that may be written and are not held to yet. They are refused by name: accepting and
ignoring one is what a signatory could never find out."""

from collections.abc import Iterator

from peerview_share.agreements.clauses import DisclosureControl
from peerview_share.agreements.consistency import Clauses, Fault

_WHY = "this cannot be held to yet, so it is refused rather than ignored"


def faults(clauses: Clauses) -> Iterator[Fault]:
    epochs = clauses.get("epochs")
    if epochs is not None and epochs.every != 1:
        yield Fault("epochs.every", _WHY)
    if epochs is not None and epochs.lag_days != 0:
        yield Fault("epochs.lagDays", _WHY)
    control = clauses.get("disclosure_control")
    if control is not None:
        plain = DisclosureControl()
        for name, info in DisclosureControl.model_fields.items():
            if getattr(control, name) != getattr(plain, name):
                yield Fault(f"disclosureControl.{info.alias}", _WHY)
    withdrawal = clauses.get("withdrawal")
    if withdrawal is not None and withdrawal.past_data != "remove":
        yield Fault("withdrawal.pastData", _WHY)
    for number, item in enumerate(clauses.get("data_items", ())):
        if item.version_range != "*":
            yield Fault(f"dataItems.{number}.versionRange", _WHY)
