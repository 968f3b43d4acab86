"""A body as groups of numbered lines: memory holds one group, whatever the length of the stream."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

GROUP_BYTES: Final = 600_000
GROUP_LINES: Final = 750
"""A group ends with whichever comes first; it is read, sent and committed as one."""
PIECE: Final = 65_536
"""Bytes looked at together: a million lines of one byte must not be a million objects at once."""


@dataclass(frozen=True, slots=True)
class Group:
    lines: list[tuple[int, bytes | None]]
    """Numbers and lines, without blank ones; None for a line that was too long to be kept."""
    after: int
    """The number of the line that follows the group, counting blank ones too."""
    size: int
    """Bytes."""


async def groups(
    chunks: AsyncIterator[bytes], *, longest: int, first: int = 1, wanted: int = 1
) -> AsyncIterator[Group]:
    """The lines of a body whose first line has the number ``first``.

    Lines before ``wanted`` are passed over. A line over ``longest`` bytes is not kept. What follows
    the last line end is a line too, unless it is empty.
    """
    splitter = _Splitter(longest, first, wanted)
    told = max(first, wanted)
    async for chunk in chunks:
        for start in range(0, len(chunk), PIECE):
            for group in splitter.feed(chunk[start : start + PIECE]):
                told = group.after
                yield group
    last = splitter.end()
    if last.lines or last.after > told:
        yield last


class _Splitter:
    def __init__(self, longest: int, first: int, wanted: int) -> None:
        self._longest = longest
        self._wanted = wanted
        self._number = first
        """Of the line that has begun."""
        self._begun: list[bytes] = []
        self._length = 0
        self._lines: list[tuple[int, bytes | None]] = []
        self._size = 0

    def feed(self, piece: bytes) -> "list[Group]":
        found: list[Group] = []
        head, *others = piece.split(b"\n")
        self._begin(head)
        for other in others:
            self._end_line()
            if self._size >= GROUP_BYTES or len(self._lines) >= GROUP_LINES:
                found.append(self._group())
            self._begin(other)
        return found

    def end(self) -> Group:
        if self._length:
            self._end_line()
        return self._group()

    def _begin(self, part: bytes) -> None:
        self._length += len(part)
        if self._length > self._longest:
            self._begun.clear()
        elif part and self._number >= self._wanted:
            self._begun.append(part)

    def _end_line(self) -> None:
        if self._number >= self._wanted:
            line = b"".join(self._begun) if self._length <= self._longest else None
            if line is None or line.strip():
                self._lines.append((self._number, line))
                self._size += len(line or b"")
        self._number += 1
        self._begun.clear()
        self._length = 0

    def _group(self) -> Group:
        group = Group(self._lines, self._number, self._size)
        self._lines, self._size = [], 0
        return group
