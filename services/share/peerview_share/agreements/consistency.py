"""What clauses say of each other: faults that no single clause shows."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from peerview_common.catalogue import catalogue
from peerview_share.agreements.clauses import LeadPractice, Recipient

Clauses = Mapping[str, Any]
"""Those clauses that are well by themselves, by their name in Python. Others are absent."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, in words for the people who write agreements."""

    clause: str
    """Its place in the document: ``peerIdentification.perIndicator.dna``."""
    why: str


def faults(clauses: Clauses) -> list[Fault]:
    """Everything at once. A rule whose clauses are not all there is silent."""
    return [fault for rule in _RULES for fault in rule(clauses)]


def _parties(c: Clauses) -> Iterator[Fault]:
    seen: set[str] = set()
    for number, party in enumerate(c.get("parties", ())):
        if party.ods_code in seen:
            yield Fault(
                f"parties.{number}.odsCode", f"{party.ods_code} is named twice; each practice is a "
                "party once",
            )  # fmt: skip
        seen.add(party.ods_code)


def _data_items(c: Clauses) -> Iterator[Fault]:
    seen: set[str] = set()
    for number, item in enumerate(c.get("data_items", ())):
        place = f"dataItems.{number}.indicatorId"
        if item.indicator_id not in catalogue():
            known = ", ".join(catalogue())
            yield Fault(place, f"there is no indicator “{item.indicator_id}”; there are {known}")
        if item.indicator_id in seen:
            yield Fault(place, f"{item.indicator_id} is listed twice")
        seen.add(item.indicator_id)
        first, _, last = item.version_range.partition("-")
        if last and _version(last) < _version(first):
            yield Fault(f"dataItems.{number}.versionRange", f"{last} is older than {first}")


def _per_indicator(c: Clauses) -> Iterator[Fault]:
    if "peer_identification" not in c or "data_items" not in c:
        return
    listed = {item.indicator_id for item in c["data_items"]}
    for name in c["peer_identification"].per_indicator:
        if name not in listed:
            yield Fault(
                f"peerIdentification.perIndicator.{name}", "this indicator is not in dataItems, so "
                "nothing of it is shared; list it there or leave it out here",
            )  # fmt: skip


def _dates(c: Clauses) -> Iterator[Fault]:
    start, end, review = c.get("valid_from"), c.get("valid_to"), c.get("review_date")
    if isinstance(start, date) and isinstance(end, date) and end < start:
        yield Fault("validTo", f"{end} lies before validFrom, {start}")
    if isinstance(start, date) and isinstance(review, date) and review < start:
        yield Fault("reviewDate", f"{review} lies before validFrom, {start}")


def _supersedes(c: Clauses) -> Iterator[Fault]:
    version, supersedes = c.get("version"), c.get("supersedes")
    if supersedes is None or version is None:
        return
    if supersedes != version - 1:
        wanted = f"{version - 1}, the version before this one" if version > 1 else "left out"
        yield Fault("supersedes", f"says {supersedes}; it must be {wanted}")


def _audiences(c: Clauses) -> Iterator[Fault]:
    audiences = c.get("audiences", ())
    if len(set(audiences)) != len(audiences):
        yield Fault("audiences", "the same audience is named twice")
    network, peers = c.get("network"), c.get("peer_identification")
    if "network-staff" in audiences and network is not None and network.ods_code is None:
        yield Fault(
            "network.odsCode", "audiences names the network's own staff, so the network's own "
            "organisation code is needed: staff sign in for that organisation",
        )  # fmt: skip
    outside = [a for a in audiences if a == "network-staff" or isinstance(a, Recipient)]
    if outside and peers is not None and peers.reciprocal:
        yield Fault(
            "peerIdentification.reciprocal", "an audience that is no party shares nothing, so with "
            "reciprocal it would see nothing; set reciprocal to false, or name members only",
        )  # fmt: skip
    codes = {party.ods_code for party in c.get("parties", ())}
    for number, audience in enumerate(audiences):
        if isinstance(audience, Recipient) and audience.ods_code in codes:
            yield Fault(
                f"audiences.{number}", f"{audience.ods_code} is a party, and sees as one already"
            )


def _admission(c: Clauses) -> Iterator[Fault]:
    admission = c.get("admission")
    if isinstance(admission, LeadPractice) and "parties" in c:
        codes = {party.ods_code for party in c["parties"]}
        if admission.practice not in codes:
            yield Fault("admission.practice", f"{admission.practice} is not among the parties")


def _opt_outs(c: Clauses) -> Iterator[Fault]:
    if "opt_outs" in c and c["opt_outs"] != ("type1",):
        yield Fault(
            "optOuts", 'must be ["type1"]: patients with a type 1 opt-out are never counted, and '
            "no other opt-out applies to these figures",
        )  # fmt: skip


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


_RULES: Final[tuple[Callable[[Clauses], Iterator[Fault]], ...]] = (
    _parties,
    _data_items,
    _per_indicator,
    _dates,
    _supersedes,
    _audiences,
    _admission,
    _opt_outs,
)
