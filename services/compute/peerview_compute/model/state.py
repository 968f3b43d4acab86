"""A patient's state: the set of the newest versions of their facts, and a cache of what it gives.

States are joined like sets. The greatest ``(generation, objected)`` wins entirely; within one
generation the facts are united, the newest version of each key staying. That is associative,
commutative and idempotent, so any order, duplication or regrouping of what arrives ends in the same
set; facts are kept in one order, so equal sets have equal bytes.

The encoding is MessagePack, described for readers in other languages in ``docs/formats.md``.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec

from peerview_common.changes import PatientChange
from peerview_common.facts import Fact, newer

FORMAT: Final = 1


class Cell(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One indicator of a cache. Indicators that are out, and stay so, have none."""

    indicator: int
    """Its place in ``DefinitionSet.indicators``."""
    status: int
    denominator: int
    numerator: int
    next_change: int
    """The next day on which it may change with no new data."""


class Cache(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a set contributes. True of exactly the set it stands with, under the definitions of
    ``definitions``, on the days ``as_of <= day < next_change``."""

    definitions: bytes
    """The first 8 bytes of the hash of definitions and code list."""
    as_of: int
    next_change: int
    """The earliest of all indicators' next changes and of ``prune_from``."""
    prune_from: int
    """No fact is to be dropped before this day."""
    cells: tuple[Cell, ...]


class PatientState(msgspec.Struct, array_like=True, frozen=True):
    """The value of a record of ``patient.state``."""

    format: int
    generation: int
    objected: bool
    origins: tuple[bytes, ...]
    """Origin patient keys, sorted; empty when it is the key it is stored under."""
    cache: Cache | None
    facts: list[Fact]
    """Sorted by ``fact_order``, one for each key."""


class StateHeader(msgspec.Struct, array_like=True, frozen=True):
    """A ``PatientState`` whose facts are left undecoded."""

    format: int
    generation: int
    objected: bool
    origins: tuple[bytes, ...]
    cache: Cache | None
    facts: msgspec.Raw


class UnreadableState(ValueError):
    """Bytes that are no patient state, or one of a format this reader does not know."""


NOBODY: Final = PatientState(FORMAT, 0, False, (), None, [])
"""The state of a patient of whom nothing was ever received: the neutral element of ``join``."""

_NO_FACTS: Final = msgspec.msgpack.encode([])
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(PatientState)
_header_decoder = msgspec.msgpack.Decoder(StateHeader)


def encode(state: PatientState) -> bytes:
    return _encoder.encode(state)


def decode(data: bytes) -> PatientState:
    """Raises UnreadableState."""
    try:
        state = _decoder.decode(data)
    except msgspec.DecodeError as error:
        raise UnreadableState(f"not a patient state: {error}") from error
    if state.format != FORMAT:
        raise UnreadableState(f"state of format {state.format}, this reader knows {FORMAT}")
    return state


def decode_header(data: bytes) -> StateHeader:
    """Everything but the facts. Raises UnreadableState."""
    try:
        header = _header_decoder.decode(data)
    except msgspec.DecodeError as error:
        raise UnreadableState(f"not a patient state: {error}") from error
    if header.format != FORMAT:
        raise UnreadableState(f"state of format {header.format}, this reader knows {FORMAT}")
    return header


def has_facts(header: StateHeader) -> bool:
    return bytes(header.facts) != _NO_FACTS


fact_order: Final = attrgetter("source", "type", "id")
"""The order of facts in a state, and the identity that the versions of one share."""
_id_of: Final = attrgetter("id")


class Union(NamedTuple):
    """What came of taking new versions into a set."""

    facts: list[Fact]
    """Sorted, the newest version of each key."""
    came: list[Fact]
    """Versions that are in it now, or were until a newer one of them came."""
    went: list[Fact]
    """Versions that were in it before, and those of ``came`` that did not stay."""


def unite(known: list[Fact], new: Sequence[Fact]) -> Union:
    """``known`` is sorted, one version a key, and is left as it is; ``new`` is in any order and may
    hold several versions of one resource."""
    # ids alone tell almost all resources apart, and are cheaper to look up
    found = _unite(known, new, _id_of)
    if found is None:
        found = _unite(known, new, fact_order)
    assert found is not None  # noqa: S101  (the order is the key)
    return found


def _unite(known: list[Fact], new: Sequence[Fact], key_of: Callable[[Fact], Any]) -> Union | None:
    """None where resources that are not the same have the same ``key_of``."""
    placed = dict(zip(map(key_of, known), range(len(known)), strict=True))
    if len(placed) < len(known):
        return None
    facts = list(known)
    came: list[Fact] = []
    went: list[Fact] = []
    for fact in new:
        key = key_of(fact)
        place = placed.get(key)
        if place is None:
            placed[key] = len(facts)
            facts.append(fact)
        else:
            old = facts[place]
            if old.type != fact.type or old.source != fact.source:
                return None
            if fact.stamp < old.stamp or (fact.stamp == old.stamp and newer(old, fact) is old):
                continue
            went.append(old)
            facts[place] = fact
        came.append(fact)
    if len(facts) > len(known):
        facts.sort(key=fact_order)
    return Union(facts, came, went)


def join(a: PatientState, b: PatientState) -> PatientState:
    """The least state that holds both.

    A cache outlives the join only where its set is the joined set, so that no figure is ever taken
    from a cache of another set; of two such caches the greater one, in an order that means nothing
    but that everybody chooses alike.
    """
    origins = a.origins if a.origins == b.origins else tuple(sorted({*a.origins, *b.origins}))
    left, right = (a.generation, a.objected), (b.generation, b.objected)
    if left != right:
        winner = a if left > right else b
        return msgspec.structs.replace(winner, origins=origins)
    facts = unite(a.facts, b.facts).facts
    data = _encoder.encode(facts)
    caches = [
        state.cache
        for state in (a, b)
        if state.cache is not None and _encoder.encode(state.facts) == data
    ]
    return PatientState(
        FORMAT,
        a.generation,
        a.objected,
        origins,
        max(caches, key=_cache_order, default=None),
        facts,
    )


def _cache_order(cache: Cache) -> tuple[int, bytes]:
    return (cache.as_of, _encoder.encode(cache))


def of_change(change: PatientChange) -> PatientState:
    """A change as the state of somebody of whom nothing else is known."""
    facts = [] if change.objected else unite([], change.facts).facts
    return PatientState(FORMAT, change.generation, change.objected, (), None, facts)
