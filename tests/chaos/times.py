"""Where the time of a run goes."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Spent:
    seconds: float = 0.0
    times: int = 0


class Times:
    """Seconds by what they were spent on. Phases within phases count for the inner one."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self._spent: dict[str, Spent] = defaultdict(Spent)
        self._inner: list[float] = []

    @property
    def passed(self) -> float:
        return time.monotonic() - self.began

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        self._inner.append(0.0)
        try:
            yield
        finally:
            whole = time.monotonic() - began
            spent = self._spent[name]
            spent.seconds += whole - self._inner.pop()
            spent.times += 1
            if self._inner:
                self._inner[-1] += whole

    def __str__(self) -> str:
        most = sorted(self._spent.items(), key=lambda item: -item[1].seconds)
        return "\n".join(f"{s.seconds:7.1f} s  {s.times:4} x  {name}" for name, s in most)
