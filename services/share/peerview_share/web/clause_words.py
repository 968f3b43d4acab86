"""What clauses and their values are called, alike where they are read and where they are chosen."""

from collections.abc import Mapping
from typing import Any, Final, get_args

from peerview_share.agreements.clauses import Prohibited, Purpose

SEEN: Final = {
    "named": "by name",
    "anonymous": "anonymously, counted in bands",
    "distribution": "as part of a distribution only",
    "none": "not at all",
    "prohibit": "not at all, under no agreement",
}
"""How a level of peer identification is said."""
VALUES: Final[Mapping[str, Mapping[Any, str]]] = {
    "network.type": {
        "super-partnership": "super-partnership",
        "federation": "federation",
        "pcn": "primary care network (PCN)",
        "mcp": "multispecialty community provider (MCP)",
        "informal": "informal",
    },
    "purposes": {name: name.replace("-", " ") for name in get_args(Purpose)},
    "prohibitedUses": {
        # the hyphen that does not break is part of the word
        name: name.replace("re-", "re\u2011").replace("-", " ")
        for name in get_args(Prohibited)
    },
    "audiences": {
        "members": "The member practices: each party sees the others",
        "network-staff": "The network's own staff",
    },
    "epochs.every": {1: "every release", 3: "every third release"},
    "admission.by": {
        "quorum": "The parties decide",
        "lead-practice": "One lead practice decides alone",
    },
    "withdrawal.pastData": {
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
    "optOuts": {"type1": "type 1: such patients are never counted"},
}
"""``{clause: {value: words}}``, of clauses that have one of a few values."""
PHRASES: Final[Mapping[str, str]] = {
    "network.id": "Id: {}",
    "network.name": "Name: {}",
    "network.type": "Kind: {}",
    "network.odsCode": "Code of its own organisation: {}",
    "lawfulBasis.art6": "UK GDPR, Article 6: {}",
    "lawfulBasis.art9": "UK GDPR, Article 9, for health data: {}",
    "lawfulBasis.dpa2018Sched1": "Data Protection Act 2018, Schedule 1: {}",
    "peerIdentification.minPeers": "An indicator is shown once {} other practices share it",
    "epochs.every": "Peers see {}",
    "epochs.lagDays": "A release rests at least {} days before peers see it",
    "disclosureControl.minChange": (
        "A figure is renewed only when at least {} patients have changed"
    ),
    "disclosureControl.minPatients": "A figure of fewer than {} patients is not shown",
    "disclosureControl.minDenominator": "A figure of a denominator under {} is not shown",
    "disclosureControl.minCount": "A count under {}, other than 0, is not shown",
    "disclosureControl.extremesFrom": "0% and 100% are shown from a denominator of {} on",
    "disclosureControl.roundingBase": "Counts are rounded to a multiple of {}",
    "withdrawal.noticeDays": (
        "It takes effect at once, and the others are told of it within {} days"
    ),
    "withdrawal.pastData": "Earlier figures of a practice that has left {}",
    "admission.by": "{}",
    "admission.percent": "{} per cent of them must agree",
    "admission.practice": "It is {}",
}
"""``{clause: sentence}`` around a value."""
OF_ZERO: Final[Mapping[str, str]] = {
    "peerIdentification.minPeers": "An indicator is shown however few other practices share it",
    "epochs.lagDays": "A release rests as long as the service lets it, and no longer",
    "withdrawal.noticeDays": "It takes effect at once, and the others are told of it at once",
}
"""``{clause: sentence}`` where the value is 0."""
