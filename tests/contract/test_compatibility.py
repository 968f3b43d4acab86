"""The check of compatibility finds each kind of change that breaks a reader, and lets additions
pass."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from peerview_tools.contracts.compatibility import incompatibilities
from peerview_tools.contracts.events import schemas

Json = dict[str, Any]

BASE: Json = {
    "type": "object",
    "properties": {
        "practice": {"type": "string", "pattern": "^[A-Z]+$"},
        "count": {"type": "integer", "minimum": 0, "maximum": 10},
        "state": {"enum": ["current", "late"]},
        "day": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "body": {"anyOf": [{"$ref": "#/$defs/Person"}, {"$ref": "#/$defs/Coded"}]},
        "codes": {"type": "array", "items": {"type": "integer"}},
        "until": {"type": "object", "additionalProperties": {"type": "integer"}},
        "part": {"type": "string", "contentEncoding": "base64"},
        "format": {"const": 1},
    },
    "required": ["practice", "count"],
    "$defs": {
        "Person": {
            "title": "Person",
            "type": "array",
            "prefixItems": [
                {"title": "kind", "const": 1},
                {"title": "birth", "type": "integer"},
                {"title": "sex", "enum": [0, 1, 2]},
            ],
            "minItems": 3,
        },
        "Coded": {
            "title": "Coded",
            "type": "array",
            "prefixItems": [
                {"title": "kind", "const": 3},
                {"title": "day", "type": "integer"},
                {"title": "within", "anyOf": [{"$ref": "#/$defs/Coded"}, {"type": "null"}]},
            ],
            "minItems": 3,
        },
    },
}


def swap(places: list[Any], one: int, other: int) -> None:
    places[one], places[other] = places[other], places[one]


BREAKING: dict[str, tuple[Callable[[Json, Json], Any], str]] = {
    "a field removed": (lambda p, d: p.pop("codes"), "/codes: removed"),
    "a field renamed": (lambda p, d: p.update(ods=p.pop("practice")), "/practice: removed"),
    "a type changed": (lambda p, d: p["count"].update(type="string"), "/count: type"),
    "a type widened": (lambda p, d: p["count"].update(type=["integer", "string"]), "/count: type"),
    "a type left out": (lambda p, d: p["practice"].pop("type"), "/practice: type"),
    "null allowed": (
        lambda p, d: p.update(count={"anyOf": [p["count"], {"type": "null"}]}),
        "/count: it can be null now",
    ),
    "null no longer allowed": (lambda p, d: p.update(day={"type": "integer"}), "/day: it can no"),
    "an alternative removed": (lambda p, d: p["body"]["anyOf"].pop(), "/body: it can no longer be"),
    "an alternative changed": (
        lambda p, d: d["Coded"]["prefixItems"][1].update(type="string"),
        "/body: it can no longer be Coded",
    ),
    "a word removed": (lambda p, d: p["state"]["enum"].remove("late"), "/state: late"),
    "any text became words": (lambda p, d: p.update(practice={"enum": ["A"]}), "/practice"),
    "a constant changed": (lambda p, d: p["format"].update(const=2), "/format: 1"),
    "a pattern changed": (lambda p, d: p["practice"].update(pattern="^a$"), "/practice: pattern"),
    "a least raised": (lambda p, d: p["count"].update(minimum=1), "/count: minimum"),
    "a greatest lowered": (lambda p, d: p["count"].update(maximum=9), "/count: maximum"),
    "a length bounded": (lambda p, d: p["practice"].update(maxLength=9), "/practice: maxLength"),
    "a multiple asked": (lambda p, d: p["count"].update(multipleOf=5), "/count: multipleOf"),
    "items of another type": (
        lambda p, d: p["codes"]["items"].update(type="string"),
        "/codes[]: type",
    ),
    "items bounded": (lambda p, d: p["codes"].update(maxItems=3), "/codes: maxItems"),
    "values of a map changed": (
        lambda p, d: p["until"].update(additionalProperties={"type": "string"}),
        "/until/*: type",
    ),
    "a map closed": (
        lambda p, d: p["until"].update(additionalProperties=False),
        "/until: further fields",
    ),
    "bytes became text": (lambda p, d: p["part"].pop("contentEncoding"), "/part: contentEncoding"),
    "a place removed at the end": (
        lambda p, d: d["Person"]["prefixItems"].pop(),
        "/body: it can no longer be Person",
    ),
    "two places changed": (
        lambda p, d: swap(d["Person"]["prefixItems"], 1, 2),
        "/body: it can no longer be Person",
    ),
    "a place put in between": (
        lambda p, d: d["Person"]["prefixItems"].insert(1, {"title": "new", "type": "integer"}),
        "/body: it can no longer be Person",
    ),
    "a new place always there": (
        lambda p, d: (
            d["Person"]["prefixItems"].append({"title": "new", "type": "integer"}),
            d["Person"].update(minItems=4),
        ),
        "/body: it can no longer be Person",
    ),
    "a place need no longer be there": (
        lambda p, d: d["Person"].update(minItems=2),
        "/body: it can no longer be Person",
    ),
    "a tag changed": (
        lambda p, d: d["Person"]["prefixItems"][0].update(const=9),
        "/body: it can no longer be Person",
    ),
    "a word of a place removed": (
        lambda p, d: d["Person"]["prefixItems"][2]["enum"].pop(),
        "/body: it can no longer be Person",
    ),
    "a rule nobody knows": (lambda p, d: p["count"].update({"not": {"const": 3}}), "/count: not"),
}

COMPATIBLE: dict[str, Callable[[Json, Json], Any]] = {
    "nothing": lambda p, d: None,
    "a field added": lambda p, d: p.update(new={"type": "string"}),
    "a word added": lambda p, d: p["state"]["enum"].append("rekeying"),
    "a word of a place added": lambda p, d: d["Person"]["prefixItems"][2]["enum"].append(3),
    "a place added at the end": lambda p, d: d["Person"]["prefixItems"].append(
        {"title": "new", "type": "integer"}
    ),
    "a kind of structure added": lambda p, d: (
        d.update(New={**d["Person"], "title": "New"}),
        p["body"]["anyOf"].append({"$ref": "#/$defs/New"}),
    ),
    "a structure renamed": lambda p, d: (
        d.update(Other=d.pop("Person")),
        p["body"]["anyOf"].__setitem__(0, {"$ref": "#/$defs/Other"}),
    ),
    "words about it": lambda p, d: p["count"].update(description="other words", examples=[1]),
    "a bound loosened": lambda p, d: p["count"].update(minimum=-1, maximum=20),
    "a pattern dropped": lambda p, d: p["practice"].pop("pattern"),
}


def changed(how: Callable[[Json, Json], Any]) -> Json:
    new = copy.deepcopy(BASE)
    how(new["properties"], new["$defs"])
    return new


@pytest.mark.parametrize("name", BREAKING)
def test_a_change_that_breaks_readers_is_found(name: str) -> None:
    how, told = BREAKING[name]
    found = incompatibilities(BASE, changed(how))
    assert any(told in each for each in found), found


@pytest.mark.parametrize("name", COMPATIBLE)
def test_an_addition_passes(name: str) -> None:
    assert incompatibilities(BASE, changed(COMPATIBLE[name])) == []


def test_a_field_required_from_now_on_is_found() -> None:
    new = copy.deepcopy(BASE)
    new["required"].append("state")
    assert incompatibilities(BASE, new) == ["/state: required now, and was not"]
    assert incompatibilities(new, BASE) == ["/state: no longer always there"]
    new["properties"]["new"] = {"type": "string"}
    new["required"] = [*BASE["required"], "new"]
    assert incompatibilities(BASE, new) == ["/new: required now, and was not"]


@pytest.mark.parametrize("name", sorted(schemas()))
def test_every_schema_of_ours_is_compatible_with_itself_and_not_without_a_part(name: str) -> None:
    schema = schemas()[name]
    assert incompatibilities(schema, copy.deepcopy(schema)) == []
    for key in ("properties", "prefixItems"):
        for part in list(schema.get(key, [])):
            new = copy.deepcopy(schema)
            if key == "properties":
                del new[key][part]
            else:
                new[key].remove(part)
            assert incompatibilities(schema, new), f"{part} is gone"
