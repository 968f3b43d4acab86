"""Where everything is, for whoever looks at a worker that does not get on: ``kill -USR1 PID``.

Every task of the main loop becomes a log line; the threads' stacks go to standard error.
"""

import asyncio
import faulthandler
import signal
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

import structlog

log = structlog.get_logger(__name__)


def install(loop: asyncio.AbstractEventLoop) -> None:
    """Tell at SIGUSR1. Threads also when the loop itself is stuck."""
    loop.add_signal_handler(signal.SIGUSR1, tell, loop)
    faulthandler.register(signal.SIGUSR1, all_threads=True, chain=True)


def tell(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        log.info("task", name=task.get_name(), at=list(_frames(task.get_coro())))
    log.info("tasks told", count=len(tasks))


def _frames(waiting: Any) -> Iterator[str]:
    """From the task's own coroutine to the innermost that it waits for."""
    while waiting is not None:
        frame = _first(waiting, "cr_frame", "gi_frame", "ag_frame")
        if frame is None:
            yield repr(waiting)
            return
        code = frame.f_code
        yield f"{code.co_qualname} ({PurePath(code.co_filename).name}:{frame.f_lineno})"
        waiting = _first(waiting, "cr_await", "gi_yieldfrom", "ag_await")


def _first(thing: Any, *names: str) -> Any:
    return next((found for name in names if (found := getattr(thing, name, None))), None)
