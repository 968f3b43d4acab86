"""Two workers that share the patients, and a supervisor that starts again what ends."""

import contextlib
from collections.abc import Callable, Iterator

from peerview_tools.bench.processes import Worker, wait_until
from peerview_tools.bench.surroundings import Topics


class Pair:
    """A worker that fails ends itself and is started anew, as the engine's documentation asks of
    whoever runs it; ``restarts`` counts how often that was needed."""

    def __init__(self, start: Callable[[], Worker], patients: int) -> None:
        self._start = start
        self._patients = patients
        self.workers = [start(), start()]
        self.restarts = 0

    @property
    def whole(self) -> bool:
        """Both are ready, and together hold everybody."""
        for place, worker in enumerate(self.workers):
            if worker.ended:
                self.restarts += 1
                self.workers[place] = self._start()
                return False
        return (
            all(worker.ready for worker in self.workers)
            and sum(worker.patients for worker in self.workers) == self._patients
        )

    def until_whole(self, pause: float = 0.5) -> None:
        wait_until(lambda: self.whole, "two workers with all patients", 600, pause)

    @property
    def told(self) -> str:
        """For ``against``: nothing, where nothing went wrong."""
        return f"; workers that failed and were restarted: {self.restarts}" if self.restarts else ""


@contextlib.contextmanager
def pair(place: Topics, patients: int, **over: str) -> Iterator[Pair]:
    found = Pair(lambda: place.worker(**over), patients)
    try:
        yield found
    finally:
        for worker in found.workers:
            worker.kill()
