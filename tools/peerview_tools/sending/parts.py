"""Lines as parts: what one request carries."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import zstandard

from peerview_tools.sending.files import Line

PART_BYTES: Final = 2_000_000
PART_LINES: Final = 2_500
"""As many as ingest commits at once: a part is then taken whole or not at all, and what becomes of
it is answered before the next one is read from the disk."""


@dataclass
class Part:
    first: int = 0
    count: int = 0
    size: int = 0
    data: list[bytes] = field(default_factory=list, repr=False)
    places: list[tuple[int, Path, int]] = field(default_factory=list, repr=False)
    """Where each file's lines in it begin: line number, file, number in the file."""

    def add(self, line: Line) -> None:
        if not self.count:
            self.first = line.number
        if not self.places or self.places[-1][1] != line.file:
            self.places.append((line.number, line.file, line.in_file))
        self.data.append(line.data)
        self.count += 1
        self.size += len(line.data)

    @property
    def after(self) -> int:
        return self.first + self.count

    def place(self, number: int) -> tuple[Path, int]:
        """The file that holds a line, and its number there."""
        begun = [place for place in self.places if place[0] <= number]
        first, path, in_file = begun[-1] if begun else self.places[0]
        return path, in_file + number - first

    def packed(self) -> bytes:
        """As ``Content-Encoding: zstd``."""
        return zstandard.compress(b"".join(self.data))


def parts(lines: Iterable[Line]) -> Iterator[Part]:
    part = Part()
    for line in lines:
        if part.count and (part.size + len(line.data) > PART_BYTES or part.count >= PART_LINES):
            yield part
            part = Part()
        part.add(line)
    if part.count:
        yield part
