"""Which faults come, in which order, and when each strikes: all of it follows from a seed."""

from dataclasses import dataclass
from random import Random

DECK = (
    "kill",
    "kill",
    "hold",
    "freeze",
    "late",
    "join",
    "leave",
    "broker-restart",
    "broker-kill",
    "broker-freeze",
)
"""Shuffled, dealt, and shuffled again: ten faults have every kind.

- kill: a worker is killed
- hold: records reach the broker slowly, and after a commit not at all; then their worker is killed
- freeze: a worker is stopped, for twice as long as its session lasts, and goes on
- late: a worker is cut off with a batch on its way, which arrives when others took over
- join, leave: one more worker, one less
- broker-*: the broker is stopped in order and started; killed and started; stopped and goes on
"""


@dataclass(frozen=True)
class Fault:
    kind: str
    burst: int
    """Events sent before it."""
    progress: int
    """Records of ``patient.state`` after which it comes; 0 for at once, whatever is going on."""
    cut: bool
    """A release cut within the burst."""
    choice: float
    """Which of the workers or partitions, from 0 to 1."""
    inner: str
    """What else happens meanwhile, where a fault takes its time."""
    lost: bool
    """What is on its way of a worker that dies never arrives; else it does, late."""
    check: bool
    """Everything is compared afterwards."""


def schedule(seed: int, faults: int) -> list[Fault]:
    random = Random(f"faults {seed}")
    deck: list[str] = []
    found = []
    for _ in range(faults):
        if not deck:
            deck = list(DECK)
            random.shuffle(deck)
        found.append(
            Fault(
                deck.pop(),
                random.randint(15, 60),
                random.choice((0, random.randint(1, 80), random.randint(1, 80))),
                random.random() < 0.6,
                random.random(),
                random.choice(("", "", "kill", "join", "broker-restart")),
                random.random() < 0.6,
                random.random() < 0.3,
            )
        )
    return found
