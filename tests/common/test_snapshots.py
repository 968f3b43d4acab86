"""A snapshot is whole or it is not used, and says the same whatever order it was built in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerview_common.snapshots import (
    BrokenSnapshot,
    SnapshotChunk,
    build_body,
    contributions,
    decode_body,
    decode_chunk,
    encode_chunk,
    join_chunks,
    origin_hash,
    split_body,
)

pairs = st.tuples(st.integers(1, 9), st.integers(0, 2**32 - 1))
tables = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.tuples(st.just("2025.1"), st.dictionaries(st.integers(0, 2**64 - 1), pairs, max_size=20)),
)


def chunks_of(body: bytes, size: int) -> list[SnapshotChunk]:
    return split_body(
        body, practice="A99001", cut=1, cut_id="c", attempt="x", as_of=1, data_through=1,
        definitions="d", chunk_bytes=size,
    )  # fmt: skip


@given(tables, st.integers(1, 64), st.randoms())
def test_chunks_in_any_order_give_back_every_contribution(
    table: dict[str, tuple[str, dict[int, tuple[int, int]]]], size: int, random: object
) -> None:
    chunks = [decode_chunk(encode_chunk(c)) for c in chunks_of(build_body(table, gps=3), size)]
    random.shuffle(chunks)  # type: ignore[attr-defined]
    body = join_chunks(chunks)
    assert body is not None
    found = decode_body(body)
    assert {name: contributions(found, name) for name in table} == {
        name: rows for name, (_, rows) in table.items()
    }


@given(tables)
def test_the_same_contributions_give_the_same_bytes(
    table: dict[str, tuple[str, dict[int, tuple[int, int]]]],
) -> None:
    turned = {
        name: (version, dict(reversed(rows.items())))
        for name, (version, rows) in reversed(table.items())
    }
    assert build_body(table, gps=1) == build_body(turned, gps=1)


def test_a_missing_chunk_means_not_yet() -> None:
    chunks = chunks_of(b"x" * 100, 30)
    assert join_chunks(chunks[:-1]) is None
    assert join_chunks([]) is None


def test_a_changed_byte_is_refused() -> None:
    first, *rest = chunks_of(b"x" * 100, 30)
    bent = decode_chunk(encode_chunk(first).replace(b"xxx", b"xyx", 1))
    with pytest.raises(BrokenSnapshot, match="A99001"):
        join_chunks([bent, *rest])


def test_a_patients_hash_needs_the_key() -> None:
    origin = b"p" * 16
    assert origin_hash(b"k" * 32, origin) == origin_hash(b"k" * 32, origin)
    assert origin_hash(b"k" * 32, origin) != origin_hash(b"j" * 32, origin)
