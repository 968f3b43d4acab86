"""Clauses that the draft form has one field for: how each is shown in it, and read from it. Pure.

A field that comes back as the form showed it leaves its clause exactly as it was, also where a
browser cannot show it exactly (line breaks in a line, white space at its ends).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from peerview_share.agreements.clauses import Network, PeerIdentification
from peerview_share.agreements.document import Agreement
from peerview_share.web.forms import Fields

MISSING: Final = object()
"""The value of a clause that a document does not have."""


class Kind(Enum):
    LINE = "a line of text"
    AREA = "a text of several lines"
    CODE = "an organisation's code"
    NUMBER = "a whole number"
    CHOICE = "one of a few words, or a day"


@dataclass(frozen=True, slots=True)
class OneField:
    clause: str
    """Its place in the document: ``withdrawal.noticeDays``."""
    field: str
    label: str
    """On the page, and where a fault names it."""
    kind: Kind = Kind.LINE


ONE_FIELD: Final = (
    OneField("id", "id", "Id"),
    OneField("title", "title", "Title"),
    OneField("network.id", "network-id", "Id of the network"),
    OneField("network.name", "network-name", "Name of the network"),
    OneField("network.type", "network-type", "Kind of network", Kind.CHOICE),
    OneField("network.odsCode", "network-ods", "Code of the network's own organisation", Kind.CODE),
    OneField(
        "peerIdentification.mode",
        "mode",
        "How practices are seen, where an indicator says nothing else",
        Kind.CHOICE,
    ),
    OneField(
        "peerIdentification.minPeers",
        "minPeers",
        "Other practices that must share an indicator before it is shown",
        Kind.NUMBER,
    ),
    OneField("epochs.every", "every", "Which releases peers see", Kind.NUMBER),
    OneField(
        "epochs.lagDays", "lagDays", "Days that a release rests before peers see it", Kind.NUMBER
    ),
    OneField(
        "disclosureControl.minChange",
        "minChange",
        "Patients who must have changed before a figure is renewed",
        Kind.NUMBER,
    ),
    OneField(
        "disclosureControl.minPatients", "minPatients", "Smallest number of patients", Kind.NUMBER
    ),
    OneField(
        "disclosureControl.minDenominator", "minDenominator", "Smallest denominator", Kind.NUMBER
    ),
    OneField("disclosureControl.minCount", "minCount", "Smallest count", Kind.NUMBER),
    OneField(
        "disclosureControl.extremesFrom",
        "extremesFrom",
        "Smallest denominator of 0% and 100%",
        Kind.NUMBER,
    ),
    OneField(
        "disclosureControl.roundingBase",
        "roundingBase",
        "Counts are rounded to a multiple of",
        Kind.NUMBER,
    ),
    OneField("validFrom", "validFrom", "Holds from", Kind.CHOICE),
    OneField("validTo", "validTo", "Holds to the end of", Kind.CHOICE),
    OneField("reviewDate", "reviewDate", "To be reviewed on", Kind.CHOICE),
    OneField(
        "withdrawal.noticeDays",
        "noticeDays",
        "Days within which the others are told of a withdrawal",
        Kind.NUMBER,
    ),
    OneField(
        "withdrawal.pastData",
        "pastData",
        "Earlier figures of a practice that has left",
        Kind.CHOICE,
    ),
    OneField("lawfulBasis.art6", "art6", "Lawful basis: UK GDPR, Article 6"),
    OneField("lawfulBasis.art9", "art9", "Condition for health data: UK GDPR, Article 9"),
    OneField(
        "lawfulBasis.dpa2018Sched1",
        "dpa2018Sched1",
        "Condition in the Data Protection Act 2018, Schedule 1",
    ),
    OneField(
        "confidentialityBasis",
        "confidentialityBasis",
        "How the duty of confidence is met",
        Kind.CHOICE,
    ),
    OneField("dpiaRef", "dpiaRef", "Reference of the data protection impact assessment"),
    OneField("caldicottApproval", "caldicottApproval", "Caldicott approval"),
    OneField("retention", "retention", "How long figures are kept", Kind.AREA),
    OneField("onwardSharing", "onwardSharing", "What may be passed on", Kind.AREA),
)
_DEFAULTS: Final[Mapping[str, Any]] = Agreement.model_construct(
    network=Network.model_construct(), peer_identification=PeerIdentification.model_construct()
).model_dump(mode="json", by_alias=True)
_MOST_DIGITS: Final = 9


def with_defaults(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document, perhaps of few clauses, with every clause that has a default."""
    return _over(_DEFAULTS, document)


def show(document: Mapping[str, Any]) -> dict[str, list[str]]:
    """``{field: [text]}`` of a document with its defaults."""
    return {one.field: [shown(one.kind, _get(document, one.clause))] for one in ONE_FIELD}


def take(fields: Fields, document: dict[str, Any], base: Mapping[str, Any]) -> None:
    """Put the clauses of those fields that were sent into ``document``, a copy of ``base``."""
    for one in ONE_FIELD:
        if one.field not in fields.values:
            continue
        before = _get(base, one.clause)
        value = taken(one.kind, fields.one(one.field), before)
        *groups, name = one.clause.split(".")
        group = document
        for each in groups:
            group[each] = group = dict(group.get(each) or {})
        if value is MISSING:
            group.pop(name, None)
        else:
            group[name] = value


def taken(kind: Kind, typed: str, before: Any = MISSING) -> Any:
    """The value that was typed, MISSING where the field was left open.

    What makes no sense is kept as it was typed, for the check to tell. ``before`` is the value that
    the form showed, and is returned itself where nothing was changed.
    """
    text = _plain(kind, typed)
    if before is not MISSING and text == shown(kind, before):
        return before
    match kind:
        case Kind.LINE | Kind.AREA:
            return text
        case Kind.CODE:
            return text.upper() or MISSING
        case Kind.NUMBER if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS:
            return int(text)
        case _:
            return text or MISSING


def shown(kind: Kind, value: Any) -> str:
    """As a browser has it in the field."""
    return "" if value is None or value is MISSING else _plain(kind, str(value))


def _plain(kind: Kind, text: str) -> str:
    if kind is Kind.AREA:
        return text.replace("\r\n", "\n").replace("\r", "\n").strip()
    return text.replace("\r", "").replace("\n", "").strip()


def _get(document: Mapping[str, Any], clause: str) -> Any:
    found: Any = document
    for name in clause.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return MISSING
        found = found[name]
    return found


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(below)
    for name, value in above.items():
        under = below.get(name)
        whole = not (isinstance(value, Mapping) and isinstance(under, Mapping))
        # who decides on new parties is one of two forms: their clauses do not mix
        found[name] = value if whole or name == "admission" else _over(under, value)
    return found
