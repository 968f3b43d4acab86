"""Bytes into rows: however they are cut, and whatever they are."""

import csv
import io
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerview_ingest.extracts.mapping import FileForm
from peerview_ingest.extracts.rows import (
    MAX_ROW,
    HeaderError,
    Row,
    Rows,
    Unreadable,
    checked_header,
)


def rows(data: bytes, step: int = 65_536, **form: object) -> list[Row | Unreadable]:
    reader = Rows(FileForm.model_validate(form))
    found: list[Row | Unreadable] = []
    for start in range(0, len(data), step):
        found.extend(reader.feed(data[start : start + step]))
    return [*found, *reader.end()]


def cells(data: bytes, **form: object) -> list[list[str]]:
    return [row.cells for row in rows(data, **form) if isinstance(row, Row)]


TRICKY = (
    'a,b\r\n1,"x\r\n""y"", z"\r\n\r\n2,é\n3,"stray\n4,ok\n5,"also"x\n6,"end"\n'
    '7,\x0cform\x85feed\n8,"'
)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64])
def test_it_does_not_matter_how_the_bytes_are_cut(step: int) -> None:
    assert rows(TRICKY.encode(), step) == rows(TRICKY.encode())


def test_a_line_that_is_no_row_costs_itself_alone() -> None:
    found = rows(TRICKY.encode())
    assert [row.line for row in found if isinstance(row, Unreadable)] == [6, 8, 11]
    assert [(row.line, row.cells) for row in found if isinstance(row, Row)] == [
        (1, ["a", "b"]),
        (2, ["1", 'x\r\n"y", z']),
        (5, ["2", "é"]),
        (7, ["4", "ok"]),
        (9, ["6", "end"]),
        (10, ["7", "\x0cform\x85feed"]),
    ]


@given(
    st.lists(
        st.lists(st.text(alphabet='ab,"\r\n é;', max_size=8), min_size=2, max_size=4),
        max_size=8,
    ),
    st.integers(1, 9),
)
def test_whatever_csv_writes_is_read_back(written: list[list[str]], step: int) -> None:
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows(written)
    found = rows(file.getvalue().encode(), step)
    assert [row.cells for row in found if isinstance(row, Row)] == written
    assert not [row for row in found if isinstance(row, Unreadable)]


def test_a_byte_order_mark_is_no_part_of_the_first_column() -> None:
    for encoding in ("utf-8", "utf-8-sig"):
        assert cells("\ufeffa|b\n".encode(), delimiter="pipe", encoding=encoding) == [["a", "b"]]


def test_without_quotes_a_quote_is_a_sign_like_others() -> None:
    data = "5\" dressing|'x\n".encode("cp1252")
    assert cells(data, delimiter="pipe", quote="none") == [['5" dressing', "'x"]]


def test_bytes_of_another_encoding_do_not_stop_the_file() -> None:
    (first, second) = cells("caf\xe9,1\nplain,2\n".encode("cp1252"))
    assert first == ["caf\udce9", "1"]
    assert second == ["plain", "2"]
    assert cells("£,“x”\n".encode("cp1252"), encoding="cp1252") == [["£", "“x”"]]


@pytest.mark.parametrize(
    ("data", "then"),
    [
        (b'1,"' + b"never closed\n" * 15_000, 0),
        (b"1," + b"x" * 3 * MAX_ROW + b"\n", 0),
        (b"1," + b"x" * 200_000 + b"\n", 0),
        (b"," * 3 * MAX_ROW + b"\n", 0),
    ],
    ids=["quote", "line", "field", "columns"],
)
def test_a_row_that_is_too_long_is_refused_and_the_next_is_read(data: bytes, then: int) -> None:
    found = rows(b"a,b\n" + data + b"2,end\n")
    assert isinstance(found[1], Unreadable)
    assert found[1].line == 2
    assert found[-1] == Row(data.count(b"\n") + 2, ["2", "end"])
    if data.count(b"\n") == 1:
        assert len(found) == 3, "one line is told once"


def test_memory_is_bounded_whatever_a_line_or_a_quote_holds() -> None:
    def endless() -> Iterator[bytes]:
        yield b'a,b\n1,"'
        for _ in range(640):
            yield b"y" * 65_536

    reader = Rows(FileForm())
    tracemalloc.start()
    found = [row for piece in endless() for row in reader.feed(piece)]
    found.extend(reader.end())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == 2
    assert peak < 8_000_000, "40 MB of one line"


def test_a_header_must_have_what_the_mapping_names_once() -> None:
    assert checked_header(["b ", "a", "c", "c"], ["a", "b"]) == {"b": 0, "a": 1, "c": 3}
    with pytest.raises(HeaderError, match="lacks the columns x, y"):
        checked_header(["a", "b"], ["a", "x", "y"])
    with pytest.raises(HeaderError, match="has c more than once"):
        checked_header(["a", "c", "c"], ["c"])
    with pytest.raises(HeaderError, match="delimiter"):
        checked_header(["a;b"], ["a"])
    with pytest.raises(HeaderError, match="the file is UTF-8"):
        checked_header(["ï»¿a", "b"], ["a"])
