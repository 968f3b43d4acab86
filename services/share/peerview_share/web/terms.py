"""An agreement's terms as people read them: every clause, also those left at their defaults."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from peerview_common.catalogue import IndicatorInfo
from peerview_share.web.clause_words import OF_ZERO, PHRASES, SEEN, VALUES

TITLES: Final = {
    "id": "Id",
    "version": "Version",
    "title": "Title",
    "parties": "Parties",
    "network": "Network",
    "purposes": "Purposes",
    "prohibitedUses": "Prohibited uses",
    "lawfulBasis": "Lawful basis",
    "confidentialityBasis": "Basis in the duty of confidence",
    "dpiaRef": "Data protection impact assessment",
    "caldicottApproval": "Caldicott approval",
    "dataItems": "Indicators shared",
    "audiences": "Who may see",
    "peerIdentification": "How practices are identified",
    "epochs": "Releases",
    "disclosureControl": "Protection of patients",
    "optOuts": "Patients' opt-outs honoured",
    "validFrom": "Holds from",
    "validTo": "Holds to the end of",
    "reviewDate": "To be reviewed on",
    "withdrawal": "Withdrawal",
    "retention": "How long figures are kept",
    "onwardSharing": "What may be passed on",
    "contacts": "Contacts",
    "admission": "Admission of new parties",
    "supersedes": "Supersedes version",
}


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause: its name in the document, and what it says, a line each."""

    key: str
    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One place that differs between two versions; empty where it is not there."""

    place: str
    before: str
    after: str


def clauses(text: Mapping[str, Any], catalogue: Mapping[str, IndicatorInfo]) -> list[Clause]:
    """All terms in the document's order. ``text`` is the whole document as JSON values."""
    found = []
    for key, value in text.items():
        if key == "parties":
            continue
        if key == "dataItems":
            lines = tuple(_items(value, text["peerIdentification"], catalogue))
        elif key == "peerIdentification":
            lines = tuple(_identification(value))
        elif key == "audiences":
            lines = tuple(_audience(audience) for audience in value)
        elif isinstance(value, Mapping):
            lines = tuple(_phrase(f"{key}.{name}", name, inner) for name, inner in value.items())
        elif isinstance(value, list):
            words = VALUES.get(key, {})
            lines = tuple(words.get(x, x) if isinstance(x, str) else _line(x) for x in value)
        else:
            lines = (VALUES.get(key, {}).get(value, _word(value)),)
        found.append(Clause(key, TITLES.get(key, key), lines or ("none",)))
    return found


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Every place whose value differs, also among the parties."""
    was, now = dict(_places("", before)), dict(_places("", after))
    order = dict.fromkeys([*was, *now])
    return [
        Change(place, was.get(place, ""), now.get(place, ""))
        for place in order
        if was.get(place) != now.get(place)
    ]


def _items(
    items: list[Mapping[str, Any]],
    identification: Mapping[str, Any],
    catalogue: Mapping[str, IndicatorInfo],
) -> Iterator[str]:
    for item in items:
        name = item["indicatorId"]
        title = catalogue[name].title if name in catalogue else name
        mode = identification["perIndicator"].get(name, identification["mode"])
        more = {k: v for k, v in item.items() if k not in ("indicatorId", "versionRange")}
        rest = "".join(f"; {_spaced(key)}: {value}" for key, value in more.items())
        versions = item.get("versionRange", "*")
        which = "" if versions == "*" else f"; versions {versions} of its definition alone"
        yield f"{title} ({name}): seen {SEEN.get(mode, mode)}{which}{rest}"


def _identification(value: Mapping[str, Any]) -> Iterator[str]:
    mode = value["mode"]
    yield f"Practices are seen {SEEN.get(mode, mode)}, where an indicator says nothing else"
    for name, own in value["perIndicator"].items():
        yield f"{name}: seen {SEEN.get(own, own)}"
    yield (
        "Reciprocal: who shares nothing sees nothing"
        if value["reciprocal"]
        else "Not reciprocal: who shares nothing may see"
    )
    for key, rest in value.items():
        if key not in ("mode", "perIndicator", "reciprocal"):
            yield _phrase(f"peerIdentification.{key}", key, rest)


def _audience(audience: Any) -> str:
    if isinstance(audience, Mapping) and audience.keys() == {"odsCode", "name"}:
        return f"{audience['name']} ({audience['odsCode']}), a recipient that shares nothing"
    if isinstance(audience, str):
        return VALUES["audiences"].get(audience, audience)
    return _line(audience)


def _phrase(clause: str, name: str, value: Any) -> str:
    """One clause of a group; of a name that is not known here, the name and the value."""
    if isinstance(value, Mapping | list):
        return f"{_spaced(name)}: {_line(value)}"
    told = VALUES.get(clause, {}).get(value, _word(value))
    if value == 0 and value is not False and clause in OF_ZERO:
        return OF_ZERO[clause]
    phrase = PHRASES.get(clause)
    return f"{_spaced(name)}: {told}" if phrase is None else phrase.format(told)


def _line(value: Any) -> str:
    return "; ".join(_said(value))


def _said(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield f"{_spaced(key)}: {'; '.join(_said(inner))}"
    elif isinstance(value, list):
        if not value:
            yield "none"
        for inner in value:
            yield "; ".join(_said(inner))
    else:
        yield _word(value)


def _word(value: Any) -> str:
    if value is None or value == "":
        return "not said"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _spaced(key: str) -> str:
    """``noticeDays`` as ``notice days``."""
    return "".join(f" {c.lower()}" if c.isupper() else c for c in key)


def _places(at: str, value: Any) -> Iterator[tuple[str, str]]:
    """Every value with its place: lists of objects by the code or id of each, others as a whole."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _places(f"{at}.{key}" if at else str(key), inner)
    elif isinstance(value, list) and all(isinstance(x, Mapping) for x in value) and value:
        for inner in value:
            names = [inner[key] for key in ("odsCode", "indicatorId", "name") if key in inner]
            if at == "parties" or at == "dataItems":
                yield from _places(f"{at}.{names[0]}", inner)
            else:
                yield f"{at}.{names[0] if names else ''}", "; ".join(_said(inner))
    else:
        yield at, ", ".join(_said(value))
