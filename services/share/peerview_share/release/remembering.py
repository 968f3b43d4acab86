"""At each publication: whose cells are in each derived figure from now on (rule 8)."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

from sqlalchemy import Connection

from peerview_common.catalogue import IndicatorInfo
from peerview_share.agreements.current import Compiled
from peerview_share.agreements.level import Level
from peerview_share.delivery.sight import Sight, sight
from peerview_share.disclosure import membership
from peerview_share.disclosure.cell import Cell
from peerview_share.disclosure.membership import Members, Step
from peerview_share.disclosure.nested import Choice
from peerview_share.store import derived, margins
from peerview_share.store import epochs as store
from peerview_share.store.derived import DerivedSet
from peerview_share.store.epochs import Epoch


class DerivedSets:
    """Called in the transaction that publishes an epoch, so that all moves at one instant.

    ``agreements`` gives those in force; it raises StaleError rather than old ones.
    """

    def __init__(
        self,
        catalogue: Mapping[str, IndicatorInfo],
        agreements: Callable[[], Compiled],
        clock: Callable[[], int],
        lag_days: float,
    ) -> None:
        self._catalogue = catalogue
        self._agreements = agreements
        self._clock = clock
        self._lag_days = lag_days

    def remember(self, connection: Connection, epoch: Epoch) -> None:
        index = self._agreements().index
        now = self._clock()
        cells = store.cells(connection, epoch.number)
        choice = margins.choice_of(partial(nullcontext, connection), epoch.number, cells)
        history = derived.history(connection)
        for network, viewer in index.viewers():
            seen = sight(index, network, viewer, now)
            every = seen.pace(self._lag_days).every
            if epoch.number % every:
                continue
            for info in self._catalogue.values():
                # what another network of the viewer shows counts at once
                known = history[viewer, info.id]
                after = _next(seen, info, epoch.number, every, cells, choice, known)
                if after is not None:
                    derived.save(connection, [after])
                    known.append(after)


def _next(
    seen: Sight,
    info: IndicatorInfo,
    epoch: int,
    every: int,
    cells: Mapping[str, Mapping[str, Cell]],
    choice: Choice,
    known: Sequence[DerivedSet],
) -> DerivedSet | None:
    """The set of this epoch; None where it is as it was."""
    here = [item for item in known if item.network == seen.network]
    level = seen.level(info.id)
    if level is Level.NONE and not here:
        return None
    eligible = seen.contributors(info.id, max(level, Level.DISTRIBUTION))
    last = next((item for item in reversed(here) if item.members), None)
    outcome = membership.decide(
        eligible=eligible,
        with_value=_with_value(seen, info, eligible, cells, choice),
        last=last.members if last else None,
        others=[item.members for item in known if item.members],
        seen_by_name=seen.named_elsewhere.get(info.id, frozenset()),
    )
    name, cells_epoch = level.name.lower(), None
    if outcome.step is Step.CARRIED and last is not None:
        name = last.level
        cells_epoch = last.cells_epoch or max(last.epoch, epoch - every)
    after = DerivedSet(
        *(seen.network, seen.viewer, info.id),
        epoch,
        outcome.step,
        name,
        outcome.members,
        cells_epoch,
    )
    return None if here and replace(after, epoch=here[-1].epoch) == here[-1] else after


def _with_value(
    seen: Sight,
    info: IndicatorInfo,
    eligible: Members,
    cells: Mapping[str, Mapping[str, Cell]],
    choice: Choice,
) -> Members:
    return frozenset(
        subject
        for subject in eligible
        if (cell := cells.get(subject, {}).get(info.id)) is not None
        and seen.shown(info, subject, cell, choice).figure is not None
    )
