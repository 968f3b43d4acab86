"""Bytes of a delimited file into rows, as they come.

The ``csv`` module decides where a row ends: it is given line after line, and when the bytes run out
in the middle of a row, the lines of that row are kept and read again with the next bytes. A row
that cannot be read costs its first line alone; reading goes on with the line after it, so that one
stray quote does not swallow what follows.
"""

import codecs
import csv
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from peerview_ingest.extracts.mapping import FileForm

MAX_ROW: Final = 1_000_000
"""Characters in one row, over all its lines. A field is bounded by ``csv`` at 131,072."""
TOO_LONG: Final = f"is over {MAX_ROW} characters long"
MAX_COLUMNS: Final = 2_000
BOM: Final = "\ufeff"


@dataclass(frozen=True, slots=True)
class Row:
    line: int
    """The line of the file at which the row begins, from 1."""
    cells: list[str]
    """As they stand in the file; bytes that are not of its encoding are lone surrogates."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line that is no row, with the reason. Nobody can say which record it was."""

    line: int
    reason: str


class HeaderError(ValueError):
    """A header that does not fit the mapping: nothing of the file can be read."""


class _MoreNeeded(Exception):
    """The lines are used up, and the row is not complete."""


class Rows:
    """One file. Feed it bytes; it gives the rows that are complete."""

    def __init__(self, form: FileForm) -> None:
        self._decoder = codecs.getincrementaldecoder(form.encoding)("surrogateescape")
        self._begun: list[str] = []  # pieces of a line that has not ended yet
        self._lines: deque[str] = deque()
        self._used: list[str] = []
        self._line = 1
        self._length = 0
        self._first = True
        self._ended = False
        self._reader = csv.reader(
            _Lines(self),
            delimiter=form.delimiter,
            quotechar=form.quote or '"',
            quoting=csv.QUOTE_NONE if form.quote is None else csv.QUOTE_MINIMAL,
            strict=True,
        )

    def feed(self, data: bytes) -> Iterator[Row | Unreadable]:
        """The rows that end in ``data``."""
        return self._more(self._decoder.decode(data))

    def end(self) -> Iterator[Row | Unreadable]:
        """The last row, where no line break follows it."""
        yield from self._more(self._decoder.decode(b"", final=True))
        last = "".join(self._begun)
        self._begun = []
        if last:
            self._lines.append(last)
        self._ended = True
        yield from self._rows()

    def _more(self, text: str) -> Iterator[Row | Unreadable]:
        if self._first and text:
            self._first = False
            text = text.removeprefix(BOM)
        # not splitlines: a form feed within a text ends no line
        first, *others = text.split("\n")
        # of a line that is too long only so much is kept that it is seen to be so
        first = first[: max(0, MAX_ROW + 1 - self._length)]
        self._begun.append(first)
        self._length += len(first)
        if others:
            self._lines.append("".join(self._begun) + "\n")
            self._lines.extend(line + "\n" for line in others[:-1])
            self._begun, self._length = [others[-1]], len(others[-1])
        return self._rows()

    def _rows(self) -> Iterator[Row | Unreadable]:
        while self._lines:
            self._used.clear()
            try:
                cells = next(self._reader)
            except _MoreNeeded:
                if sum(map(len, self._used)) <= MAX_ROW:
                    self._lines.extendleft(reversed(self._used))
                    return
                yield self._refused(TOO_LONG)
                continue
            except csv.Error as error:
                # the module's messages hold no text of the file beside its own signs
                yield self._refused(f"is no row: {error}")
                continue
            if sum(map(len, self._used)) > MAX_ROW:
                yield self._refused(TOO_LONG)
                continue
            line = self._line
            self._line += len(self._used)
            if cells:
                yield Row(line, cells)

    def _refused(self, reason: str) -> Unreadable:
        self._lines.extendleft(reversed(self._used[1:]))
        self._line += 1
        return Unreadable(self._line - 1, reason)

    def take(self) -> str:
        """A line for ``csv``; what it reads from may run dry, and be filled again."""
        if self._lines:
            line = self._lines.popleft()
            self._used.append(line)
            return line
        if self._ended:
            raise StopIteration
        raise _MoreNeeded


class _Lines(Iterator[str]):
    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def __next__(self) -> str:
        return self._rows.take()


def checked_header(cells: Sequence[str], wanted: Sequence[str]) -> dict[str, int]:
    """Places by column name. HeaderError where a wanted column is missing, or there twice."""
    names = [cell.strip() for cell in cells]
    if len(names) > MAX_COLUMNS:
        raise HeaderError(f"has more than {MAX_COLUMNS} columns")
    missing = [name for name in dict.fromkeys(wanted) if name not in names]
    if missing:
        hint = "" if len(names) > 1 else ": is it the delimiter that the mapping says?"
        if names and names[0].startswith("ï»¿"):
            hint = ": the file is UTF-8, and the mapping says cp1252"
        raise HeaderError(f"lacks the column{'s' * (len(missing) > 1)} {_named(missing)}{hint}")
    twice = [name for name in dict.fromkeys(wanted) if names.count(name) > 1]
    if twice:
        raise HeaderError(f"has {_named(twice)} more than once")
    return {name: place for place, name in enumerate(names)}


def _named(names: Sequence[str]) -> str:
    # these are the mapping's words, not the file's
    shown = ", ".join(names[:10])
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"
