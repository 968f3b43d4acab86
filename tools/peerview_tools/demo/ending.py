"""How a demonstration ends: by itself, by a signal, or by an error that says what to do."""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

from rich.console import Console

from peerview_tools.broker import BrokerUnavailableError
from peerview_tools.client import ServiceError
from peerview_tools.demo.actions import NotHappenedError
from peerview_tools.demo.freshness import NotSeenError
from peerview_tools.demo.stack import NotReadyError, ServiceDiedError
from peerview_tools.fhir_files import UnreadableFileError
from peerview_tools.synthea import SyntheaError

TOLD = (
    BrokerUnavailableError,
    NotHappenedError,
    NotReadyError,
    NotSeenError,
    ServiceDiedError,
    ServiceError,
    SyntheaError,
    UnreadableFileError,
)
"""Errors whose message is enough; any other is a defect of ours, with a traceback."""


class StoppedError(BaseException):
    """Somebody asked us to stop. No Exception, so that nobody takes it for a failure."""


class _Stopping:
    """Turns the first SIGINT, SIGTERM or SIGHUP into StoppedError; later ones do nothing, so that
    clearing up is not interrupted."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self.asked:
            self.asked = True
            raise StoppedError

    @contextmanager
    def listening(self) -> Iterator[None]:
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, self) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def run_to_its_end(
    work: Callable[[ExitStack], int], console: Console, *, until_stopped: bool = False
) -> int:
    """The exit code of `work`, after all that it put on the ExitStack has been ended.

    1 with the reason for an error. A signal gives 130, or 0 where being stopped is how it ends
    (`until_stopped`).
    """
    stopping = _Stopping()
    with stopping.listening():
        try:
            with ExitStack() as ending:
                try:
                    return work(ending)
                finally:
                    stopping.asked = True
                    if until_stopped:
                        console.print("\nStopping what was started ...", highlight=False)
        except StoppedError:
            console.print("Stopped. Nothing is left running.", highlight=False)
            return 0 if until_stopped else 130
        except TOLD as error:
            reason = str(error).replace("[", "\\[")
            console.print(f"\n[bold red]Failed:[/] {reason}", soft_wrap=True, highlight=False)
            return 1
