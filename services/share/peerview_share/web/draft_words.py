"""The choices of the draft form, each as the form says it."""

from collections.abc import Mapping
from typing import Final, get_args

from peerview_share.agreements.clauses import Prohibited, Purpose, Role
from peerview_share.web import draft_form, terms

_SPACED: Final = str.maketrans("-", " ")
MODES: Final = ("named", "anonymous", "distribution", "none")
CHOICES: Final[Mapping[str, Mapping[str, str]]] = {
    "network-type": {
        "super-partnership": "super-partnership",
        "federation": "federation",
        "pcn": "primary care network (PCN)",
        "mcp": "multispecialty community provider (MCP)",
        "informal": "informal",
    },
    "role": {role.value: role.value.replace("-", " ") for role in Role},
    "purposes": {name: name.translate(_SPACED) for name in get_args(Purpose)},
    "prohibitedUses": {
        # the hyphen that does not break is part of the word
        name: name.replace("re-", "re\u2011").translate(_SPACED)
        for name in get_args(Prohibited)
    },
    "audiences": {
        "members": "The member practices: each party sees the others",
        "network-staff": "The network's own staff",
    },
    "mode": {name: terms.SEEN[name] for name in MODES},
    "own-mode": {name: terms.SEEN[name] for name in (*MODES, "prohibit")},
    "every": {"1": "every release", "3": "every third release"},
    "admission": {
        "quorum": "The parties decide",
        "lead-practice": "One lead practice decides alone",
    },
    "pastData": {
        "remove": "are taken out of every view, also of earlier releases",
        "retain": (
            "stay in earlier releases, for those who could see the practice by name at that time"
        ),
    },
    "confidentialityBasis": {
        "anonymised": "The figures are anonymised: nothing of a patient leaves the practice",
        "consent": "The patients have consented",
        "s251": "There is support under section 251 of the NHS Act 2006",
        "direct-care": "It is for the patients' direct care",
    },
}
"""``{field: {value: words}}``"""
LABELS: Final = draft_form.LABELS
