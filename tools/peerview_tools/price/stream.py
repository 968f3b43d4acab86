"""A practice's stream of changes, month by month: the course of things, corrections, reversions."""

import random
from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np

from peerview_share.disclosure.columns import Columns
from peerview_tools.price.rates import LIST_TURNOVER, RATES, Rate

MISS: Final = (1, 0)
MET: Final = (1, 1)
CORRECTED: Final = 0.05
"""Share of changes that were entered wrongly: taken back within two months."""
BULK: Final = 0.15
"""Chance of a month in which many records of one indicator change at once: an import, a template
that codes wrongly, a clinic. Half of these are taken back later, but for a few patients."""

State: TypeAlias = dict[int, tuple[int, int]]


class Practice:
    """``churn`` multiplies every rate. ``changes`` counts contributions that changed so far."""

    def __init__(
        self,
        patients: int,
        rng: random.Random,
        *,
        churn: float = 1.0,
        rates: Sequence[Rate] = RATES,
    ) -> None:
        self.size = patients
        self.changes = 0
        self.states: dict[str, State] = {}
        self._rates = rates
        self._rng = rng
        self._churn = churn
        self._list = list(range(patients))
        self._next = patients
        self._roster = np.zeros(0, np.uint64)
        self._undo: dict[int, list[tuple[str, int, tuple[int, int] | None]]] = {}
        self._month = 0
        for rate in rates:
            members = rng.sample(self._list, round(rate.share * patients))
            self.states[rate.indicator] = {p: self._status(rate) for p in members}

    def snapshots(self) -> dict[str, Columns]:
        """Every indicator's contributions now."""
        if self._next > len(self._roster):
            # room for those who come: columns over one roster are compared place by place
            self._roster = np.arange(self._next + self.size // 2, dtype=np.uint64)
        found = {}
        for indicator, state in self.states.items():
            whole, part = np.zeros((2, len(self._roster)), np.int64)
            members = np.fromiter(state, np.int64, count=len(state))
            whole[members] = 1
            part[members] = np.fromiter((met for _, met in state.values()), np.int64)
            found[indicator] = Columns(self._roster, whole, part)
        return found

    def month(self) -> None:
        """Let a month pass."""
        self._month += 1
        for indicator, patient, before in self._undo.pop(self._month, []):
            self._set(indicator, patient, before)
        self._turnover()
        for rate in self._rates:
            self._course(rate)
        if self._rng.random() < BULK * self._churn:
            self._bulk()

    def _status(self, rate: Rate) -> tuple[int, int]:
        return MET if self._rng.random() < rate.level else MISS

    def _set(self, indicator: str, patient: int, status: tuple[int, int] | None) -> None:
        state = self.states[indicator]
        if state.get(patient) == status:
            return
        self.changes += 1
        if status is None:
            del state[patient]
        else:
            state[patient] = status

    def _change(self, indicator: str, patient: int, status: tuple[int, int] | None) -> None:
        """A change as it is entered: some are wrong, and are corrected in the months after."""
        before = self.states[indicator].get(patient)
        self._set(indicator, patient, status)
        if self._rng.random() < CORRECTED:
            when = self._month + self._rng.choice((1, 1, 2))
            self._undo.setdefault(when, []).append((indicator, patient, before))

    def _turnover(self) -> None:
        rng = self._rng
        number = _some(rng, self.size * LIST_TURNOVER * self._churn)
        for _ in range(number):
            place = rng.randrange(len(self._list))
            gone, self._list[place] = self._list[place], self._next
            for rate in self._rates:
                self._set(rate.indicator, gone, None)
                if rng.random() < rate.share:
                    self._set(rate.indicator, self._next, self._status(rate))
            self._next += 1

    def _course(self, rate: Rate) -> None:
        rng, churn = self._rng, self._churn
        leaves = min(1.0, rate.renewal * churn)
        falls, rises = min(1.0, rate.falls * churn), min(1.0, rate.rises * churn)
        state = self.states[rate.indicator]
        steps: list[tuple[int, tuple[int, int] | None]] = []
        for patient, status in state.items():
            chance = rng.random()
            if chance < leaves:
                steps.append((patient, None))
            elif chance < leaves + (falls if status == MET else rises):
                steps.append((patient, MISS if status == MET else MET))
        for patient, changed in steps:
            self._change(rate.indicator, patient, changed)
        for _ in range(_some(rng, self.size * rate.share * leaves)):
            patient = self._list[rng.randrange(len(self._list))]
            if patient not in state:
                self._change(rate.indicator, patient, self._status(rate))

    def _bulk(self) -> None:
        rng = self._rng
        rate = self._rates[rng.randrange(len(self._rates))]
        state = self.states[rate.indicator]
        members = [p for p in sorted(state) if rng.random() < 0.15]
        reverted = rng.random() < 0.5
        when = self._month + rng.choice((1, 2, 3))
        kept = rng.randrange(6)
        for number, patient in enumerate(members):
            before = state[patient]
            self._set(rate.indicator, patient, MISS if before == MET else MET)
            if reverted and number >= kept:
                self._undo.setdefault(when, []).append((rate.indicator, patient, before))


def _some(rng: random.Random, expected: float) -> int:
    """A whole number that is ``expected`` on average, scattered as counts of events are."""
    return max(0, round(rng.gauss(expected, expected**0.5))) if expected > 0 else 0
