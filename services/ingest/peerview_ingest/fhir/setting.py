"""What the mapping of one resource may look at, and where it notes what it saw."""

from dataclasses import dataclass

from peerview_common.codes import CodeList
from peerview_common.days import LONG_AGO, day_of_millis
from peerview_common.facts import EARLIEST
from peerview_ingest.fhir.issues import Notes
from peerview_ingest.fhir.keys import Keys
from peerview_ingest.fhir.resolver import Contained, Resolver
from peerview_ingest.fhir.values import Json, text


class Nothing(Exception):
    """Well formed, but nothing in it counts."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class Setting:
    """What a mapping may look at besides the resource, and where it notes what it saw."""

    codes: CodeList
    keys: Keys
    resolver: Resolver
    practice: str
    register_all: bool
    stamp: int
    """``lastUpdated`` in milliseconds; the time of receipt, or EARLIEST, where it has none."""
    stamped: bool
    place: str
    notes: Notes
    contained: Contained

    def resolved_day(self, receipt: bool) -> int:
        """The day of ``lastUpdated``, or of receipt where one is known."""
        known = self.stamped or (receipt and self.stamp != EARLIEST)
        return day_of_millis(self.stamp) if known else LONG_AGO

    def nothing(self, reason: str) -> None:
        """Leave it, unless something is wrong with it: then all of that is to be found."""
        if not self.notes.faulty:
            raise Nothing(reason)

    def missing(self, element: str, reason: str) -> None:
        """What must be there is not; where it is there and wrong, that is said already."""
        parent = f"{self.place}.{element.partition('.')[0]}"
        if not self.notes.told(f"{self.place}.{element}", parent):
            self.notes.fault(f"{self.place}.{element}", "required", reason)

    def need_status(self, resource: Json, *wanted: str) -> None:
        if text(resource, "status", self.place, self.notes) not in wanted:
            self.nothing(f"status is not {' or '.join(wanted)}")
