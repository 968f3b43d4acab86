"""What a plain engine does with a change set: one state a patient, the same core, the same values.

For the engines that Peerview is compared with. They are given what saves them time: tallies stay
in memory and are not recovered, notes, markers, dead letters and headers are left out.
"""

from collections.abc import Callable, Iterator

from peerview_common import changes
from peerview_common.changes import ChangeSet, ClockTicked
from peerview_common.days import day_text, iso_millis
from peerview_common.values import IndicatorValue, Position, encode_value, value_key
from peerview_compute.model.core import Core, Tally, shipped_definitions

Get = Callable[[str], bytes | None]
Put = Callable[[str, bytes], None]


class Plain:
    def __init__(self) -> None:
        self._core = Core(shipped_definitions())
        self._tallies: dict[str, Tally] = {}
        self._day: int | None = None

    def take(
        self, ce_type: str, value: bytes, offset: int, get: Get, put: Put
    ) -> Iterator[tuple[bytes, bytes]]:
        """Store the states that a record changes; the values' keys and bytes come back."""
        event = changes.decode(ce_type, value)
        if isinstance(event, ClockTicked):
            self._day = event.day
        if not isinstance(event, ChangeSet) or self._day is None:
            return
        core, day, practice = self._core, self._day, event.practice
        tally = self._tallies.get(practice)
        if tally is None:
            tally = self._tallies[practice] = core.tally()
        for part in event.patients:
            key = f"{practice}/{part.patient.hex()}"
            applied = core.apply(get(key), part, day)
            if applied.changed:
                put(key, applied.stored)
            tally.replace(applied.before, applied.after)
        definitions = core.definitions
        text, through = day_text(day), iso_millis(event.data_through)
        for indicator, counts in zip(definitions.indicators, tally.counts, strict=True):
            figure = IndicatorValue(
                practice=practice,
                indicator=indicator,
                version=definitions.version_on(indicator, day),
                definitions=definitions.hash_text,
                as_of=text,
                data_through=through,
                denominator=counts.denominator,
                numerator=counts.numerator,
                met=counts.met,
                miss=counts.miss,
                exception=counts.exception,
                excluded=counts.excluded,
                objected=0,
                source=Position(0, offset),
            )
            yield value_key(practice, indicator), encode_value(figure)
