"""The figures that an agreement may ask for as its `minChange`.

Few, and from 10 on multiples of 5: what does and does not move under each of several agreements
tells, of the patients who changed, no more than such a step.
"""

from typing import Final, Literal, TypeAlias, get_args

MinChange: TypeAlias = Literal[8, 10, 15, 20, 30, 50, 100]
"""How many patients differ at least between two releases of a cell, where any do."""
STEPS: Final[tuple[int, ...]] = get_args(MinChange)
"""Ascending. The first is the gate's own, which always holds."""
TOP: Final = STEPS[-1]


def step(count: int) -> int:
    """The largest step that so many patients make; of fewer than the gate lets pass, the first."""
    return max((each for each in STEPS if each <= count), default=STEPS[0])
