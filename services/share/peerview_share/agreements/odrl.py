"""An agreement as an ODRL 2.2 policy in JSON-LD, for systems that read no clauses of ours.

Source: W3C, ODRL Information Model 2.2 and ODRL Vocabulary & Expression 2.2. An agreement is a
policy of type Agreement, which names assigners and assignees; a draft is an Offer. A rule with
several assigners or assignees is a compact one: it stands for one rule of each pair (section
2.7.1). How much may be seen, and the clauses for which ODRL has no word, are terms of our profile.
"""

from typing import Any, Final

from peerview_common.days import iso_millis
from peerview_share.agreements.clauses import Role
from peerview_share.agreements.level import Level, PeerMode
from peerview_share.agreements.life import AgreementRecord, PartyRecord

CONTEXT: Final = "http://www.w3.org/ns/odrl.jsonld"
PROFILE: Final = "urn:peerview:odrl:1"
NAMESPACE: Final = f"{PROFILE}:"
ACTIONS: Final = {
    Level.DISTRIBUTION: "peerview:seeDistribution",
    Level.ANONYMOUS: "peerview:seeAnonymous",
    Level.NAMED: "peerview:seeByName",
}
"""Each is included in ODRL's ``read``, and in the one after it."""


def policy(record: AgreementRecord) -> dict[str, Any]:
    """Its parties are those who take part now; of a draft, those whom it names."""
    document = record.document
    people = [party for party in record.remaining if party.takes_part] or list(record.remaining)
    signed = record.complete_since is not None
    sharing = [party for party in people if party.role is not Role.RECIPIENT]
    looking = list(people) if document.members_may_see else []
    looking += [party for party in record.audience if party.takes_part or not signed]
    return {
        "@context": [CONTEXT, {"peerview": NAMESPACE}],
        "@type": "Agreement" if signed else "Offer",
        "uid": _uid(record),
        "profile": PROFILE,
        **({"replaces": _before(record)} if document.version > 1 else {}),
        "conflict": "prohibit",
        "peerview:title": document.title,
        "peerview:network": document.network.id,
        "peerview:termsHash": record.terms_hash,
        "permission": [
            rule
            for name in sorted(document.indicators)
            for rule in _permission(record, name, sharing, looking)
        ],
        "prohibition": _prohibited(record, sharing, looking),
        "obligation": _obligations(record, people),
    }


def _permission(
    record: AgreementRecord,
    indicator: str,
    sharing: list[PartyRecord],
    looking: list[PartyRecord],
) -> list[dict[str, Any]]:
    level = record.document.peer_identification.of(indicator).level
    if level is Level.NONE:
        return []
    document = record.document
    constraints = [
        _constraint("purpose", "isAnyOf", [f"peerview:{name}" for name in document.purposes]),
        _constraint("dateTime", "gteq", _moment(record.starts)),
    ]
    if record.ends is not None:
        constraints.append(_constraint("dateTime", "lt", _moment(record.ends)))
    terms = document.peer_identification
    if terms.reciprocal:
        constraints.append(_constraint("peerview:assigneeShares", "eq", indicator))
    if terms.min_peers:
        constraints.append(_constraint("peerview:otherSharers", "gteq", terms.min_peers))
    return [
        {
            "target": f"urn:peerview:indicator:{indicator}",
            "assigner": [_party(party) for party in sharing],
            "assignee": [_party(party) for party in looking],
            "action": ACTIONS[level],
            "constraint": constraints,
        }
    ]


def _prohibited(
    record: AgreementRecord, sharing: list[PartyRecord], looking: list[PartyRecord]
) -> list[dict[str, Any]]:
    document = record.document
    common = {
        "assigner": [_party(party) for party in sharing],
        "assignee": [_party(party) for party in looking],
    }
    found = [
        {
            "target": f"urn:peerview:indicator:{name}",
            **common,
            "action": "use",
            "constraint": [_constraint("purpose", "eq", f"peerview:{use}")],
        }
        for use in document.prohibited_uses
        for name in sorted(document.indicators)
    ]
    for name in sorted(document.indicators):
        if document.peer_identification.of(name) is PeerMode.PROHIBIT:
            target = f"urn:peerview:indicator:{name}"
            found.append({"target": target, **common, "action": "read"})
    return found


def _obligations(record: AgreementRecord, people: list[PartyRecord]) -> list[dict[str, Any]]:
    withdrawal = record.document.withdrawal
    whoever_leaves = [_party(party) for party in people]
    found: list[dict[str, Any]] = [
        {
            "assignee": whoever_leaves,
            "action": "inform",
            "constraint": [
                _constraint("event", "eq", "peerview:withdrawal"),
                _constraint("elapsedTime", "lteq", f"P{withdrawal.notice_days}D", "duration"),
            ],
        }
    ]
    if withdrawal.past_data == "remove":
        found.append(
            {
                "assignee": whoever_leaves,
                "action": "delete",
                "target": "urn:peerview:cells-of-whoever-withdraws",
                "constraint": [_constraint("event", "eq", "peerview:withdrawal")],
            }
        )
    return found


def _constraint(left: str, operator: str, right: Any, kind: str | None = None) -> dict[str, Any]:
    value = right if kind is None else {"@value": right, "@type": f"xsd:{kind}"}
    return {"leftOperand": left, "operator": operator, "rightOperand": value}


def _moment(millis: int) -> dict[str, str]:
    return {"@value": iso_millis(millis), "@type": "xsd:dateTime"}


def _party(party: PartyRecord) -> str:
    return f"urn:peerview:practice:{party.ods}"


def _uid(record: AgreementRecord) -> str:
    identity, version = record.key
    return f"urn:peerview:agreement:{identity}:{version}"


def _before(record: AgreementRecord) -> str:
    identity, version = record.key
    return f"urn:peerview:agreement:{identity}:{version - 1}"
