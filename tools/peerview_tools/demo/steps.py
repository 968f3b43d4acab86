"""What the demonstration prints while it works: one line a step, with what it waits for."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console
from rich.table import Table

SAY_EVERY_S: Final = 10.0


@dataclass
class Step:
    """One step that is under way. `done` is what its line says in the end."""

    name: str
    doing: str
    done: str = ""
    seconds: float = 0.0
    _show: object = field(default=None, repr=False)

    def waiting(self, text: str) -> None:
        """Say what it waits for just now."""
        if callable(self._show):
            self._show(text)


class Steps:
    """Prints steps as they end, and keeps their times for the table at the end."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.taken: list[Step] = []

    @contextmanager
    def step(self, name: str, doing: str) -> Iterator[Step]:
        began = time.monotonic()
        step = Step(name, doing)
        if self.console.is_terminal:
            with self.console.status(f"[bold]{name:<11}[/] {doing}") as status:
                step._show = lambda text: status.update(
                    f"[bold]{name:<11}[/] {doing}: {_short(text)} "
                    f"[dim]({time.monotonic() - began:.0f} s)[/]"
                )
                yield step
        else:
            self.console.print(f"  ... {name:<11} {doing}", highlight=False)
            step._show = self._now_and_then(name)
            yield step
        step.seconds = time.monotonic() - began
        self.taken.append(step)
        self.console.print(
            f"  [green]ok[/]  [bold]{name:<11}[/] {step.done or doing} "
            f"[dim]({step.seconds:.1f} s)[/]",
            highlight=False,
            soft_wrap=True,
        )

    def _now_and_then(self, name: str) -> Callable[[str], None]:
        """For logs: says what is waited for, but not at every turn."""
        last = time.monotonic()

        def show(text: str) -> None:
            nonlocal last
            if time.monotonic() - last >= SAY_EVERY_S:
                last = time.monotonic()
                self.console.print(
                    f"      {name:<11} {_short(text)}", highlight=False, markup=False
                )

        return show


def stage_table(rows: list[tuple[str, str]]) -> Table:
    """Counts and times, one a row."""
    table = Table(show_header=True, header_style="bold", title_justify="left")
    table.add_column("stage")
    table.add_column("what was seen")
    for name, seen in rows:
        table.add_row(name, seen)
    return table


def make_console(*, stderr: bool = False) -> Console:
    """Prints colours on a terminal only; on anything else plain text, 110 columns wide."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else 110)


def _short(text: str, most: int = 100) -> str:
    line = text.splitlines()[0] if text else ""
    return line if len(line) <= most else line[: most - 1] + "…"
