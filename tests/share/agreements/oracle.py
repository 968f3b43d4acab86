"""Who may see what, written from the rules' paper alone: plain dicts, no code of the product.

An event is ``{"at", "act", "id", "version", "who", ...}``. Terms are ``{"network", "items", "mode",
"over", "reciprocal", "min_peers", "audience", "from", "to", "admission"}``: signing keeps a copy of
them where the product keeps a hash.
"""

from datetime import date, datetime, timedelta
from math import ceil
from zoneinfo import ZoneInfo

RANK = {"prohibit": 0, "none": 0, "distribution": 1, "anonymous": 2, "named": 3}


def midnight(day, plus=0):
    """The first moment of a day in London, in milliseconds."""
    local = date.fromisoformat(day) + timedelta(days=plus)
    start = datetime(local.year, local.month, local.day, tzinfo=ZoneInfo("Europe/London"))
    return int(start.timestamp() * 1000)


def fold(events, moment):
    """``{id: agreement}`` as they stand once all that happened up to the moment has."""
    found = {}
    for event in events:
        if event["at"] > moment:
            break
        agreement = found.setdefault(
            event["id"], {"versions": {}, "gone": set(), "suspended": set(), "limits": {}}
        )
        happen(agreement, event)
        for number, version in agreement["versions"].items():
            for who, asked in list(version["asked"].items()):
                if open_to_new(agreement, number, event["at"]) and admitted(
                    agreement, version, asked["votes"]
                ):
                    del version["asked"][who]
                    version["parties"][who] = asked["role"]
                    version["signed"][who] = version["terms"]
                    agreement["gone"].discard(who)
                    agreement["suspended"].discard(who)
                    agreement["limits"].pop(who, None)
                    for later, draft in agreement["versions"].items():
                        # a change of terms is signed by all
                        if later > number and not all_signed(agreement, draft):
                            draft["parties"].setdefault(who, asked["role"])
    return found


def happen(agreement, event):
    act, who = event["act"], event.get("who")
    versions = agreement["versions"]
    version = versions.get(event["version"])
    if act == "propose":
        versions[event["version"]] = {
            "terms": event["terms"], "parties": dict(event["parties"]), "signed": {}, "asked": {}
        }  # fmt: skip
    elif act == "edit":
        version["terms"], version["parties"] = event["terms"], dict(event["parties"])
    elif act == "sign":
        version["signed"][who] = event["terms"]
    elif act == "ask":
        version["asked"][who] = {"role": event["role"], "votes": set()}
    elif act == "agree":
        for each in versions.values():
            if event["to"] in each["asked"]:
                each["asked"][event["to"]]["votes"].add(who)
    elif act == "suspend":
        agreement["suspended"].add(who)
    elif act == "resume":
        agreement["suspended"].discard(who)
    elif act == "limit":
        agreement["limits"][who] = event["limits"]
    elif act in ("withdraw", "succeeded"):
        agreement["gone"].add(who)
        for each in versions.values():
            each["asked"].pop(who, None)
            if act == "succeeded":
                each["signed"].pop(who, None)


def remaining(agreement, version):
    return [who for who in version["parties"] if who not in agreement["gone"]]


def has_signed(version, who):
    return version["signed"].get(who) == version["terms"]


def all_signed(agreement, version):
    here = remaining(agreement, version)
    return len(here) >= 2 and all(has_signed(version, who) for who in here)


def ended(version, moment):
    last = version["terms"]["to"]
    return last is not None and moment >= midnight(last, plus=1)


def open_to_new(agreement, number, moment):
    version = agreement["versions"][number]
    later = [v for n, v in agreement["versions"].items() if n > number]
    return (
        all_signed(agreement, version)
        and not ended(version, moment)
        and not any(all_signed(agreement, v) for v in later)
    )


def admitted(agreement, version, votes):
    voters = {who for who in remaining(agreement, version) if has_signed(version, who)}
    how, much = version["terms"]["admission"]
    if how == "lead":
        return much in votes & voters
    return len(votes & voters) >= max(1, ceil(much * len(voters) / 100))


def runs(agreement, version, moment):
    """Active, were it the only version."""
    return (
        all_signed(agreement, version)
        and not agreement["suspended"] & set(remaining(agreement, version))
        and midnight(version["terms"]["from"]) <= moment
        and not ended(version, moment)
    )


def turning_points(events):
    """The moments at which something can begin to be active."""
    days = {event["terms"]["from"] for event in events if "terms" in event}
    return sorted({event["at"] for event in events} | {midnight(day) for day in days})


def first_active(events):
    """``{(id, version): when it was first active}``"""
    found = {}
    for moment in turning_points(events):
        for name, agreement in fold(events, moment).items():
            for number, version in agreement["versions"].items():
                if runs(agreement, version, moment):
                    found.setdefault((name, number), moment)
    return found


def active(events, began, moment):
    """``(agreement, version)`` of all that are active: the old one until the new one is."""
    return [
        (agreement, version)
        for name, agreement in fold(events, moment).items()
        for number, version in agreement["versions"].items()
        if runs(agreement, version, moment)
        and not any(
            began.get((name, later), moment + 1) <= moment
            for later in agreement["versions"]
            if later > number
        )
    ]


def word(agreement, who, indicator):
    limits = agreement["limits"].get(who, {"mode": "named", "over": {}})
    return limits["over"].get(indicator, limits["mode"])


def shares(agreement, version, who, indicator):
    return (
        who in remaining(agreement, version)
        and version["parties"][who] != "recipient"
        and RANK[word(agreement, who, indicator)] > 0
    )


def level(in_force, network, viewer, subject, indicator):
    """0 none, 1 distribution, 2 anonymous, 3 named. ``in_force`` is what `active` gives."""
    best = 0
    for agreement, version in in_force:
        terms = version["terms"]
        party = viewer in remaining(agreement, version)
        outside = (
            viewer not in version["parties"]
            and viewer in terms["audience"]
            and viewer not in agreement["gone"]
            and has_signed(version, viewer)
        )
        if viewer == subject or not (party or outside):
            continue
        if subject not in remaining(agreement, version) or indicator not in terms["items"]:
            continue
        words = [terms["over"].get(indicator, terms["mode"]), word(agreement, subject, indicator)]
        words.append(word(agreement, viewer, indicator))
        if "prohibit" in words:
            return 0
        others = [
            who
            for who in version["parties"]
            if who != viewer and shares(agreement, version, who, indicator)
        ]
        if (
            terms["network"] == network
            and (outside or "members" in terms["audience"])
            and version["parties"][subject] != "recipient"
            and (not terms["reciprocal"] or shares(agreement, version, viewer, indicator))
            and len(others) >= terms["min_peers"]
        ):
            best = max(best, min(RANK[each] for each in words))
    return best
