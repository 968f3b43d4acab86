"""How far it is: a bar on a terminal, now and then a line elsewhere."""

import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

SAY_EVERY_S: Final = 10.0


class Showing:
    """Bytes are those on the disk, packed as they are there; lines are those that are committed."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._bytes = 0
        self._first: int | None = None
        self._line = 1
        self._began = self._said = time.monotonic()
        self._why: str | None = None
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TextColumn("{task.fields[lines]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("sending", total=total, lines="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def end(self) -> None:
        """Take the bar away."""
        self._progress.stop()

    def say(self, text: str) -> None:
        """A line above the bar."""
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def read(self, size: int) -> None:
        """So many bytes more were read."""
        self._bytes = min(self._bytes + size, self._total)
        self._progress.update(self._task, completed=self._bytes)

    def again(self) -> None:
        """Reading begins with the first file once more."""
        self._bytes = 0
        self._progress.reset(self._task, total=self._total)

    def line(self, next_line: int) -> None:
        """All lines before this one are committed."""
        if self._first is None:
            self._first = next_line
        if next_line != self._line:
            self._why = None
        self._line = next_line
        seconds = max(time.monotonic() - self._began, 0.001)
        rate = (next_line - self._first) / seconds
        lines = f"{next_line - 1:,} lines, {rate:,.0f}/s"
        self._progress.update(self._task, lines=lines)
        if not self._console.is_terminal and time.monotonic() - self._said >= SAY_EVERY_S:
            self._said = time.monotonic()
            share = f"{self._bytes / self._total:.0%}" if self._total else "all"
            self.say(f"{share} read, {lines}")

    def waiting(self, why: str | None, seconds: float = 0) -> None:
        """Why nothing goes on, and for how long nothing is tried; None while it is tried. A reason
        is told once, and again once something has been taken meanwhile."""
        if why and why != self._why:
            self.say(f"Waiting: {why}.")
            self._why = why
        doing = f"waiting {seconds:.0f} s" if why else "sending"
        self._progress.update(self._task, description=doing)
