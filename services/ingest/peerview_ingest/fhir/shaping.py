"""JSON into the types of ``shapes``: at once where it fits, else looked at place by place."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar, cast, overload

import msgspec
from msgspec import inspect

from peerview_ingest.fhir import shapes
from peerview_ingest.fhir.issues import Notes

T = TypeVar("T")

OBJECT, LIST, TEXT = "must be an object", "must be a list", "must be a text"
FLAG = "must be true or false"


def shaped(value: Mapping[str, Any], shape: type[T], place: str, notes: Notes) -> T:
    """``value`` as a ``shape``. Where something in it does not fit, that is noted once it is asked
    for, and is absent: in a resource that counts for nothing much is never asked for."""
    try:
        return msgspec.convert(value, shape)
    except (msgspec.ValidationError, UnicodeEncodeError):  # a text of half a character
        return cast(T, _Careful(value, shape, place, notes))


def shaped_line(line: bytes) -> object:
    """One line of JSON: a shape where it is a resource of a mapped type that fits, without a detour
    by all that is in it; else whatever JSON it is. Raises what msgspec raises where it is none."""
    try:
        return _of_mapped_types(line)
    except msgspec.ValidationError:
        return _of_anything(line)


_of_mapped_types = msgspec.json.Decoder(
    shapes.Appointment
    | shapes.Condition
    | shapes.Encounter
    | shapes.EpisodeOfCare
    | shapes.Immunization
    | shapes.MedicationRequest
    | shapes.Observation
    | shapes.Patient
    | shapes.Procedure
).decode
_of_anything = msgspec.json.Decoder().decode


class _Careful:
    """Has the fields of a shape."""

    __slots__ = ("_known", "_notes", "_place", "_shape", "_value")

    def __init__(self, value: Mapping[str, Any], shape: type, place: str, notes: Notes) -> None:
        self._value, self._shape, self._place, self._notes = value, shape, place, notes
        self._known: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if name not in self._known:
            written, kind = _fields(self._shape)[name]
            place = f"{self._place}.{written}"
            self._known[name] = _looked_at(self._value.get(written), kind, place, self._notes)
        return self._known[name]


class _CarefulItems(Sequence[_Careful]):
    """A list of objects; what is none in it is noted, and empty, so that places still hold."""

    def __init__(self, items: list[Any], shape: type, place: str, notes: Notes) -> None:
        self._items, self._shape, self._place, self._notes = items, shape, place, notes
        for number, item in enumerate(items):
            if not isinstance(item, dict):
                notes.fault(f"{place}[{number}]", "structure", OBJECT)

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> _Careful: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[_Careful]: ...
    def __getitem__(self, index: int | slice) -> _Careful | Sequence[_Careful]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        item = self._items[index]
        value = item if isinstance(item, dict) else {}
        return _Careful(value, self._shape, f"{self._place}[{index}]", self._notes)

    def __iter__(self) -> Iterator[_Careful]:
        for number in range(len(self._items)):
            yield self[number]


def _looked_at(value: Any, kinds: tuple[inspect.Type, ...], place: str, notes: Notes) -> Any:
    """A field's value as one of these kinds; None where it is none of them."""
    if value is None:
        return None
    for kind in kinds:
        match kind:
            case inspect.AnyType():
                return value
            case inspect.StrType() if isinstance(value, str):
                return value
            case inspect.BoolType() if isinstance(value, bool):
                return value
            case inspect.StructType() if isinstance(value, dict):
                return _Careful(value, kind.cls, place, notes)
            case inspect.ListType(item_type=inspect.StructType(cls=cls)) if isinstance(value, list):
                return _CarefulItems(value, cls, place, notes)
    notes.fault(place, "structure", _wanted(kinds))
    return None


def _wanted(kinds: tuple[inspect.Type, ...]) -> str:
    words = {
        inspect.StructType: OBJECT,
        inspect.ListType: LIST,
        inspect.StrType: TEXT,
        inspect.BoolType: FLAG,
    }
    found = {words[type(kind)] for kind in kinds if type(kind) in words}
    # where several will do, an object is what is usual
    return next(word for word in words.values() if word in found)


def _kinds(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    return tuple(kind.types) if isinstance(kind, inspect.UnionType) else (kind,)


def _described(shape: type) -> dict[str, tuple[str, tuple[inspect.Type, ...]]]:
    """Of a shape's fields, by name: how FHIR writes it, and what it may be."""
    found = inspect.type_info(shape)
    assert isinstance(found, inspect.StructType)  # noqa: S101 - shapes are nothing else
    return {field.name: (field.encode_name, _kinds(field.type)) for field in found.fields}


_fields: Callable[[type], dict[str, tuple[str, tuple[inspect.Type, ...]]]] = cache(_described)
