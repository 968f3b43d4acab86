"""How every test waits: for a condition, never for a time."""

import linecache
import sys
import time
from collections.abc import Callable
from typing import TypeVar

PAUSE_S = 0.05
_SHOWN = 600
"""Characters of the last answer in a failure's message."""

T = TypeVar("T")


def wait_until(
    met: Callable[[], T],
    what: str = "",
    seconds: float = 60.0,
    *,
    pause: float = PAUSE_S,
    last: Callable[[], object] | None = None,
    meanwhile: Callable[[], object] | None = None,
) -> T:
    """Ask until the answer is true; returns it.

    ``meanwhile`` is called before each question, for what must go on. Raises AssertionError after
    ``seconds``: it says ``what`` was waited for (left out: the caller's line), and what ``last``
    tells of how far it came (left out: the last answer).
    """
    caller = sys._getframe(1)
    place, line = caller.f_code.co_filename, caller.f_lineno
    began = time.monotonic()
    asked = 0
    while True:
        if meanwhile is not None:
            meanwhile()
        found = met()
        asked += 1
        if found:
            return found
        took = time.monotonic() - began
        if took > seconds:
            break
        time.sleep(min(pause, max(0.0, seconds - took)))
    what = what or linecache.getline(place, line).strip() or f"{place}:{line}"
    came = str(last()) if last is not None else f"the last answer was {found!r}"
    if len(came) > _SHOWN and last is None:
        came = f"{came[:_SHOWN]}..."
    raise AssertionError(f"not within {seconds:g} s (asked {asked} times): {what}\n{came}")
