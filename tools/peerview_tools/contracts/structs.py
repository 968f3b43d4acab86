"""JSON Schema of msgspec structs, with each field's name and meaning, also where fields are places.

The schema is of the decoded form: a MessagePack map is an object, an array an array, and binary is
written as base64 text, marked ``x-msgpack: bin``.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from peerview_common.facts import (
    NATIONAL_CATEGORIES,
    AppointmentStatus,
    GeneralPractice,
    ResourceType,
    Sex,
    Unit,
)

Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_UNIT: Final = {"enum": [int(each) for each in Unit]}
_NARROWER: Final[Mapping[tuple[str, str], Schema]] = {
    ("Fact", "type"): {"enum": [int(each) for each in ResourceType]},
    ("Person", "sex"): {"enum": [int(each) for each in Sex]},
    ("Person", "practice"): {"enum": [int(each) for each in GeneralPractice]},
    ("Coded", "unit"): _UNIT,
    ("Component", "unit"): _UNIT,
    ("Appointment", "status"): {"enum": [int(each) for each in AppointmentStatus]},
    ("Appointment", "category"): {"enum": [*range(len(NATIONAL_CATEGORIES)), None]},
}
"""Fields that are plain numbers to the decoder, so that reading stays quick, and are not to us."""


def struct_schema(kind: type[msgspec.Struct], *, formatted: int | None = None) -> Schema:
    """The schema of ``kind``, whole, with all that it refers to under ``$defs``; ``formatted`` is
    the only ``format`` that readers take."""
    (root,), defs = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    for each in sorted(_reachable(kind), key=lambda found: found.__name__):
        _name_fields(defs[each.__name__], each)
    schema = defs.pop(root["$ref"].rpartition("/")[2])
    if formatted is not None:
        _fields(schema, kind)["format"]["const"] = formatted
    found: Schema = {"$schema": DIALECT, **schema}
    if defs:
        found["$defs"] = dict(sorted(defs.items()))
    _mark(found)
    return found


def _reachable(kind: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    seen: set[type] = set()
    waiting: list[Any] = [msgspec.inspect.type_info(kind)]
    while waiting:
        info = waiting.pop()
        if isinstance(info, msgspec.inspect.StructType):
            if info.cls in seen:
                continue
            seen.add(info.cls)
            yield info.cls
            waiting += [field.type for field in info.fields]
        for name in ("types", "item_types"):
            waiting += getattr(info, name, ())
        for name in ("item_type", "key_type", "value_type"):
            if hasattr(info, name):
                waiting.append(getattr(info, name))


def _name_fields(schema: Schema, kind: type[msgspec.Struct]) -> None:
    meanings = _meanings(kind)
    if kind.__doc__:
        schema["description"] = _plain(kind.__doc__)
    tag = kind.__struct_config__.tag
    if kind.__struct_config__.array_like and tag is not None:
        schema["prefixItems"][0] = {"title": "kind", "const": tag}
    for name, field in _fields(schema, kind).items():
        field["title"] = name
        if name in meanings:
            field["description"] = meanings[name]
        narrower = _NARROWER.get((kind.__name__, name))
        if narrower is not None:
            field.pop("anyOf", None)
            field.pop("type", None)
            field.update(narrower)


def _fields(schema: Schema, kind: type[msgspec.Struct]) -> dict[str, Schema]:
    names = kind.__struct_encode_fields__
    if not kind.__struct_config__.array_like:
        return {name: schema["properties"][name] for name in names}
    tagged = kind.__struct_config__.tag is not None
    return dict(zip(names, schema["prefixItems"][int(tagged) :], strict=True))


def _meanings(kind: type) -> dict[str, str]:
    """The texts under a class's fields."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)  # noqa: S101 - the source of a class is one
    found: dict[str, str] = {}
    name: str | None = None
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and name:
            found[name] = _plain(str(node.value.value))
        else:
            name = None
    return found


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("``", "`")


def _mark(schema: Any) -> None:
    """Say what is binary, and of a map's fields that others may stand beside them."""
    if isinstance(schema, list):
        for each in schema:
            _mark(each)
    elif isinstance(schema, dict):
        if schema.get("contentEncoding") == "base64":
            schema["x-msgpack"] = "bin"
        for each in schema.values():
            _mark(each)
