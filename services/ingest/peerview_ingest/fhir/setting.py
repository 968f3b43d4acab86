"""What the mapping of one resource may look at, and where it notes what it saw."""

import re
from typing import Any, Final

from msgspec import Struct

from peerview_common.codes import CodeList
from peerview_common.days import LONG_AGO, day_of_millis
from peerview_common.facts import EARLIEST
from peerview_ingest.fhir.issues import Notes
from peerview_ingest.fhir.known_keys import KnownKeys
from peerview_ingest.fhir.resolver import (
    ODS_SYSTEM,
    Resolver,
    ods_of_condition,
    ods_of_organisation,
)
from peerview_ingest.fhir.shapes import Reference
from peerview_ingest.fhir.values import Json, children

UNKNOWN_ORGANISATION: Final = (
    "no Organization of this id has come with an ODS code, so the id was taken for one, and this "
    "is another practice's: send the Organization, then this again"
)
_USUAL_CODE: Final = re.compile(r"[A-Z][A-Z0-9]{2,9}", re.ASCII)
"""What an ODS code looks like: an id of this form may well be one."""


class Nothing(Exception):
    """Well formed, but nothing in it counts."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Setting(Struct, gc=False):
    """What a mapping may look at besides the resource, and where it notes what it saw."""

    codes: CodeList
    keys: KnownKeys
    resolver: Resolver
    practice: str
    register_all: bool
    stamp: int
    """``lastUpdated`` in milliseconds; the time of receipt, or EARLIEST, where it has none."""
    stamped: bool
    place: str
    notes: Notes
    given: Any
    """Its ``contained``, as it was sent."""
    known: dict[str, Json] | None = None
    informed: bool = False
    """Whether what is read rests on more than the resource: which organisations have come, or that
    the source is ``register-all``."""

    def contained(self, reference: str) -> Json | None:
        """What ``#id`` points to. They are put in order when the first is asked for."""
        if not reference.startswith("#"):
            return None
        if self.known is None:
            self.known = {}
            for each in children({"contained": self.given}, "contained", self.place, self.notes):
                own = each.get("id")
                if isinstance(own, str):
                    self.known.setdefault(own, each)
        return self.known.get(reference[1:])

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

    def practice_of(
        self, reference: Reference, element: str, *, bare_identifier: bool
    ) -> str | None:
        """The practice that a Reference names, by ODS code; None where it gives none.

        ``bare_identifier`` says whether an identifier without a system is taken as an ODS code.
        """
        given = reference.identifier
        if given is not None:
            system, value = given.system, given.value
            if value and (system == ODS_SYSTEM or (not system and bare_identifier)):
                return value
        pointer = reference.reference
        if not pointer:
            return None
        inside = self.contained(pointer)
        if inside is not None:
            organisation = inside.get("resourceType") == "Organization"
            return ods_of_organisation(inside) if organisation else None
        target = self.resolver.target(pointer, "Organization")
        if target is None:
            return ods_of_condition(pointer)
        if target.type != "Organization":
            return None
        self.informed = True
        known = self.resolver.ods_of(target)
        if known is not None or pointer.startswith("urn:"):
            return known
        if target.id != self.practice and not _USUAL_CODE.fullmatch(target.id):
            self.notes.warn(f"{self.place}.{element}", "incomplete", UNKNOWN_ORGANISATION)
        return target.id
