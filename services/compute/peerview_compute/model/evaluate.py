"""From a set of facts and a day to what each indicator counts, and until when."""

from collections.abc import Sequence

from peerview_common.facts import Fact

from peerview_compute.model.calendar import NEVER
from peerview_compute.model.definition import DefinitionSet
from peerview_compute.model.state import Cell

CONTACT_MONTHS = 12


class Evaluator:
    def __init__(self, definitions: DefinitionSet) -> None:
        self.everything = (1 << len(definitions.indicators)) - 1

    def touched_by(self, facts: Sequence[Fact]) -> int:
        return self.everything

    def prune_day(self, fact: Fact) -> int:
        return NEVER

    def prune(self, facts: list[Fact], day: int) -> tuple[list[Fact], int]:
        return facts, NEVER

    def evaluate(
        self, facts: Sequence[Fact], day: int, stale: int
    ) -> tuple[list[tuple[int, Cell]], int]:
        return [], 0
