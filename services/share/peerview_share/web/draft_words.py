"""The choices of the draft form by its fields, each as the form says it."""

from collections.abc import Mapping
from typing import Final

from peerview_share.agreements.clauses import Role
from peerview_share.disclosure.steps import STEPS
from peerview_share.web import draft_form
from peerview_share.web.clause_words import SEEN, VALUES

CHOICES: Final[Mapping[str, Mapping[str, str]]] = {
    "network-type": VALUES["network.type"],
    "role": {role.value: role.value.replace("-", " ") for role in Role},
    "purposes": VALUES["purposes"],
    "prohibitedUses": VALUES["prohibitedUses"],
    "audiences": VALUES["audiences"],
    "mode": {name: words for name, words in SEEN.items() if name != "prohibit"},
    "own-mode": SEEN,
    "every": {str(value): words for value, words in VALUES["epochs.every"].items()},
    "minChange": {str(least): f"at least {least} patients" for least in STEPS},
    "admission": VALUES["admission.by"],
    "pastData": VALUES["withdrawal.pastData"],
    "confidentialityBasis": VALUES["confidentialityBasis"],
}
"""``{field: {value: words}}``"""
LABELS: Final = draft_form.LABELS
