"""What another version would change, in plain words: for the people who are to sign it."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from peerview_common.catalogue import catalogue
from peerview_share.agreements.clauses import LeadPractice, Recipient
from peerview_share.agreements.document import Agreement
from peerview_share.agreements.level import PeerMode

_SEEN: Final = {
    PeerMode.PROHIBIT: "nowhere, in no network",
    PeerMode.NONE: "not at all",
    PeerMode.DISTRIBUTION: "only as part of a distribution",
    PeerMode.ANONYMOUS: "anonymously",
    PeerMode.NAMED: "by name",
}
_CONTROL: Final = {
    "min_change": ("a figure is renewed only from a change of", "patients"),
    "min_patients": ("figures are shown from", "patients"),
    "min_denominator": ("figures are shown from a denominator of", ""),
    "min_count": ("counts are shown from", ""),
    "extremes_from": ("0% and 100% are shown from a denominator of", ""),
    "rounding_base": ("counts are rounded to a multiple of", ""),
}


def difference(old: Agreement, new: Agreement, *, practice: str | None = None) -> list[str]:
    """One sentence a change, what matters most to a practice first. For ``practice`` it is said as
    to its own people: "Your figures"."""
    own = practice in {party.ods_code for party in (*old.parties, *new.parties)}
    found: list[str] = []
    for part in (_items, _peers, _audience, _parties, _time, _control, _leaving, _words):
        found.extend(part(old, new, "Your" if own else "The parties'"))
    return found


def _items(old: Agreement, new: Agreement, whose: str) -> Iterator[str]:
    before, after = old.peer_identification, new.peer_identification
    for name in (*catalogue(), *sorted((old.indicators | new.indicators) - catalogue().keys())):
        was = before.of(name) if name in old.indicators else None
        now = after.of(name) if name in new.indicators else None
        if was is now:
            continue
        figures = f"{whose} figures of “{_title(name)}”"
        if was is None and now is not None:
            yield f"{figures} would now be shared, and seen {_SEEN[now]}."
        elif now is None and was is not None:
            yield f"{figures} would no longer be shared."
        elif was is not None and now is not None:
            yield f"{figures} would now be seen {_SEEN[now]} instead of {_SEEN[was]}."
    was_ranges = {item.indicator_id: item.version_range for item in old.data_items}
    for item in new.data_items:
        former = was_ranges.get(item.indicator_id, item.version_range)
        if former != item.version_range:
            yield (
                f"Of “{_title(item.indicator_id)}”, {_range(item.version_range)} would be shown "
                f"instead of {_range(former)}."
            )


def _peers(old: Agreement, new: Agreement, whose: str) -> Iterator[str]:
    before, after = old.peer_identification, new.peer_identification
    if before.reciprocal != after.reciprocal:
        yield (
            "A practice would now see an indicator only while it shares it."
            if after.reciprocal
            else "A practice could now see an indicator that it does not share."
        )
    if before.min_peers != after.min_peers:
        yield (
            f"An indicator would be shown once {after.min_peers} other practices share it, "
            f"instead of {before.min_peers}."
        )


def _audience(old: Agreement, new: Agreement, whose: str) -> Iterator[str]:
    was, now = _audiences(old), _audiences(new)
    for name in now:
        if name not in was:
            yield f"{name} could now see {whose.lower()} figures."
    for name in was:
        if name not in now:
            yield f"{name} could no longer see {whose.lower()} figures."
    for clause, verb in (("purposes", "used"), ("prohibited_uses", "")):
        before, after = set(getattr(old, clause)), set(getattr(new, clause))
        for use in sorted(after - before):
            yield (
                f"Figures could now be used for {use}."
                if verb
                else f"Using figures for {use} would now be forbidden."
            )
        for use in sorted(before - after):
            yield (
                f"Figures could no longer be used for {use}."
                if verb
                else f"Using figures for {use} would no longer be forbidden."
            )


def _parties(old: Agreement, new: Agreement, whose: str) -> Iterator[str]:
    was = {party.ods_code: party for party in old.parties}
    now = {party.ods_code: party for party in new.parties}
    for code, party in now.items():
        if code not in was:
            yield f"{party.name} ({code}) would be a party, as {party.role.value}."
        elif was[code].role is not party.role:
            yield (
                f"{party.name} ({code}) would be {party.role.value} instead of "
                f"{was[code].role.value}."
            )
    for code, party in was.items():
        if code not in now:
            yield f"{party.name} ({code}) would be no party."


def _time(old: Agreement, new: Agreement, whose: str) -> Iterator[str]:
    for clause, says, never in (
        ("valid_from", "It would hold from", ""),
        ("valid_to", "It would hold to the end of", "It would hold without an end"),
        ("review_date", "It would be reviewed on", "It would have no day of review"),
    ):
        was, now = getattr(old, clause), getattr(new, clause)
        if was != now:
            told = f"{says} {now}" if now is not None else never
            yield f"{told}, instead of {was}." if was is not None else f"{told}."
    if old.epochs.every != new.epochs.every:
        often = {1: "every release", 3: "every third release"}
        yield f"Peers would see {often[new.epochs.every]} instead of {often[old.epochs.every]}."
    if old.epochs.lag_days != new.epochs.lag_days:
        yield (
            f"A release would rest {new.epochs.lag_days} days at least before peers see it, "
            f"instead of {old.epochs.lag_days}."
        )


def _control(old: Agreement, new: Agreement, whose: str) -> Iterator[str]:
    for clause, (says, unit) in _CONTROL.items():
        was = getattr(old.disclosure_control, clause)
        now = getattr(new.disclosure_control, clause)
        if was != now:
            tail = f" {unit}" if unit else ""
            yield f"Protection would change: {says} {now}{tail} instead of {was}."


def _leaving(old: Agreement, new: Agreement, whose: str) -> Iterator[str]:
    if old.withdrawal.past_data != new.withdrawal.past_data:
        yield (
            "When a practice withdraws, its figures of earlier releases would stay with those "
            "who could see them."
            if new.withdrawal.past_data == "retain"
            else "When a practice withdraws, its figures of earlier releases would go too."
        )
    if old.withdrawal.notice_days != new.withdrawal.notice_days:
        yield (
            f"The others would be told of a withdrawal within {new.withdrawal.notice_days} days "
            f"instead of {old.withdrawal.notice_days}."
        )
    if old.admission != new.admission:
        yield f"New parties would be admitted by {_admission(new)} instead of {_admission(old)}."


def _words(old: Agreement, new: Agreement, whose: str) -> Iterator[str]:
    """Clauses that a machine only keeps."""
    for clause, name in (
        ("title", "The title"),
        ("network", "The network"),
        ("lawful_basis", "The lawful basis"),
        ("confidentiality_basis", "The basis in the duty of confidence"),
        ("dpia_ref", "The reference of the impact assessment"),
        ("caldicott_approval", "The Caldicott approval"),
        ("retention", "What is said of keeping figures"),
        ("onward_sharing", "What is said of passing figures on"),
        ("contacts", "The contacts"),
    ):
        was, now = getattr(old, clause), getattr(new, clause)
        if was != now:
            yield f"{name} would be {_shown(now)} instead of {_shown(was)}."


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return f"“{value}”" if value else "left open"
    if isinstance(value, tuple):
        return _listed(f"“{item.name}”" for item in value)
    return "; ".join(f"{k} {v}" for k, v in value.model_dump(mode="json").items() if v)


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words) or "none"


def _audiences(document: Agreement) -> list[str]:
    found = []
    for audience in document.audiences:
        if isinstance(audience, Recipient):
            found.append(f"{audience.name} ({audience.ods_code})")
        elif audience == "members":
            found.append("The member practices")
        else:
            found.append("The network's own staff")
    return found


def _admission(document: Agreement) -> str:
    admission = document.admission
    if isinstance(admission, LeadPractice):
        return f"the lead practice, {admission.practice},"
    if admission.percent == 100:
        return "all parties"
    return f"{admission.percent}% of the parties"


def _range(text: str) -> str:
    return "every definition version" if text == "*" else f"definition versions {text}"


def _title(indicator: str) -> str:
    known = catalogue().get(indicator)
    return known.title if known is not None else indicator
