"""What would break a reader: a schema beside the one that was released.

Records stay for months, and services are upgraded one after the other. So a record that was valid
must stay valid, and what a reader finds in it must stay where it was, and be what it was. There may
be more: fields and places that need not be there, words of an enumeration, further kinds of
structures among alternatives; readers are then upgraded before writers. All is checked by
structure, rule by rule, and errs towards refusing: what is not understood has to be the same.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

_WORDS: Final = frozenset(
    {"$schema", "$id", "$defs", "title", "description", "examples", "default", "x-msgpack"}
)
"""They say nothing of what is valid; titles are compared where they name a place."""
_LOWER: Final = {"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"}
_UPPER: Final = {"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"}
_KNOWN: Final = _LOWER | _UPPER | {
    "type", "properties", "required", "items", "prefixItems", "anyOf", "enum", "const", "$ref",
    "additionalProperties", "pattern", "format", "multipleOf", "contentEncoding", "uniqueItems",
}  # fmt: skip


def incompatibilities(old: Schema, new: Schema) -> list[str]:
    """What in ``new`` breaks readers or records of ``old``, each with its place; empty for none."""
    return list(_Comparison(old, new).of(old, new, ""))


class _Comparison:
    def __init__(self, old: Schema, new: Schema) -> None:
        self._old, self._new = old, new
        self._seen: set[tuple[str, str]] = set()

    def of(self, old: Schema, new: Schema, place: str) -> Iterator[str]:
        pair = (old.get("$ref", ""), new.get("$ref", ""))
        if any(pair):
            if pair in self._seen:
                return
            self._seen.add(pair)
        old, new = _resolved(old, self._old), _resolved(new, self._new)
        if ("anyOf" in old) or ("anyOf" in new):
            yield from self._alternatives(old, new, place)
            return
        yield from self._type(old, new, place)
        yield from self._values(old, new, place)
        yield from _limits(old, new, place)
        yield from self._object(old, new, place)
        yield from self._array(old, new, place)
        for word in sorted((old.keys() | new.keys()) - _KNOWN - _WORDS):
            if old.get(word) != new.get(word):
                yield f"{place or '/'}: {word} differs, and is not understood"

    def _alternatives(self, old: Schema, new: Schema, place: str) -> Iterator[str]:
        before, after = old.get("anyOf", [old]), new.get("anyOf", [new])
        for each in before:
            if not any(self._fits(each, other, place) for other in after):
                yield f"{place or '/'}: it can no longer be {self._name(each, self._old)}"
        for each in after:
            added = "title" not in _resolved(each, self._new)
            if added and not any(self._fits(other, each, place) for other in before):
                yield f"{place or '/'}: it can be {self._name(each, self._new)} now"

    @staticmethod
    def _name(schema: Schema, root: Schema) -> str:
        found = _resolved(schema, root)
        return str(found.get("title") or found.get("type") or _allowed(found))

    def _fits(self, old: Schema, new: Schema, place: str) -> bool:
        seen = set(self._seen)
        fits = not list(self.of(old, new, place))
        if not fits:
            self._seen = seen
        return fits

    def _type(self, old: Schema, new: Schema, place: str) -> Iterator[str]:
        before, after = _types(old), _types(new)
        if after is not None and (before is None or not before <= after):
            yield f"{place or '/'}: type {_told(before)} became {_told(after)}"
        elif before is not None and after is None and not _closed(new):
            yield f"{place or '/'}: type {_told(before)} became anything"
        elif before is not None and after is not None and after - before:
            yield f"{place or '/'}: type {_told(before)} became {_told(after)}"

    def _values(self, old: Schema, new: Schema, place: str) -> Iterator[str]:
        before, after = _allowed(old), _allowed(new)
        if after is None:
            return
        if before is None:
            yield f"{place or '/'}: only {_told(after)} are left of all values"
        elif gone := [value for value in before if value not in after]:
            yield f"{place or '/'}: {_told(gone)} are no longer allowed"

    def _object(self, old: Schema, new: Schema, place: str) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        for name, schema in before.items():
            if name not in after:
                yield f"{place}/{name}: removed"
            else:
                yield from self.of(schema, after[name], f"{place}/{name}")
        for name in new.get("required", []):
            if name not in old.get("required", []):
                yield f"{place}/{name}: required now, and was not"
        for name in old.get("required", []):
            if name in after and name not in new.get("required", []):
                yield f"{place}/{name}: no longer always there"
        yield from self._rest(old, new, place)

    def _rest(self, old: Schema, new: Schema, place: str) -> Iterator[str]:
        before, after = (each.get("additionalProperties", True) for each in (old, new))
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from self.of(before, after, f"{place}/*")
        elif after is False and before is not False:
            yield f"{place or '/'}: further fields are no longer allowed"
        elif isinstance(after, Mapping) != isinstance(before, Mapping):
            yield f"{place or '/'}: what further fields may be has changed"

    def _array(self, old: Schema, new: Schema, place: str) -> Iterator[str]:
        before, after = old.get("prefixItems", []), new.get("prefixItems", [])
        for number, schema in enumerate(before):
            here = f"{place}/{schema.get('title', number)}"
            if number >= len(after):
                yield f"{here}: removed"
                continue
            other = after[number]
            if schema.get("title") != other.get("title"):
                yield f"{here}: place {number} holds {other.get('title', 'something else')} now"
            yield from self.of(schema, other, here)
        items = [each.get("items") for each in (old, new)]
        if isinstance(items[0], Mapping) and isinstance(items[1], Mapping):
            yield from self.of(items[0], items[1], f"{place}[]")
        elif items[0] != items[1]:
            yield f"{place or '/'}: what the list holds has changed"


def _limits(old: Schema, new: Schema, place: str) -> Iterator[str]:
    for words, narrower in ((_LOWER, lambda a, b: b > a), (_UPPER, lambda a, b: b < a)):
        for word in sorted(words):
            before, after = old.get(word), new.get(word)
            if after is None or (word.startswith("min") and after == 0):
                continue
            if before is None or narrower(before, after):
                yield f"{place or '/'}: {word} {before} became {after}"
    before, after = old.get("minItems", 0), new.get("minItems", 0)
    if after < before and "prefixItems" in old:
        yield f"{place or '/'}: places that were always there need not be any more"
    for word in ("pattern", "format", "multipleOf", "contentEncoding", "uniqueItems"):
        if old.get(word) != new.get(word) and (word in new or word == "contentEncoding"):
            yield f"{place or '/'}: {word} {old.get(word)} became {new.get(word)}"


def _resolved(schema: Schema, root: Schema) -> Schema:
    while "$ref" in schema:
        found: Any = root
        for name in str(schema["$ref"]).removeprefix("#/").split("/"):
            found = found[name]
        rest = {name: value for name, value in schema.items() if name != "$ref"}
        schema = {**found, **rest}
    return schema


def _types(schema: Schema) -> frozenset[str] | None:
    found = schema.get("type")
    if found is None:
        return None
    return frozenset([found] if isinstance(found, str) else found)


def _allowed(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    found: list[Any] | None = schema.get("enum")
    return found


def _closed(schema: Schema) -> bool:
    return _allowed(schema) is not None


def _told(value: Any) -> str:
    if value is None:
        return "anything"
    return ", ".join(sorted(map(str, value)))
