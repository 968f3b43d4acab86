"""The reader: a Bundle or a resource in, one ``Read`` a resource out."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, cast

from peerview_common.codes import CodeList
from peerview_common.facts import EARLIEST, FHIR_NAMES, FINAL, NO_VERSION, Body, Fact
from peerview_ingest.fhir.bodies import MAPPINGS
from peerview_ingest.fhir.entries import Asked, asked, check
from peerview_ingest.fhir.issues import Notes, Outcome
from peerview_ingest.fhir.keys import Keys, is_nhs_number, issuable
from peerview_ingest.fhir.known_keys import KnownKeys
from peerview_ingest.fhir.read import Feed, Read, Receipt, dropped, refused
from peerview_ingest.fhir.resolver import (
    NHS_NUMBER_SYSTEM,
    Resolver,
    identity,
    identity_of,
    ods_of_organisation,
)
from peerview_ingest.fhir.setting import Nothing, Setting
from peerview_ingest.fhir.shapes import Meta, Patient, Resource
from peerview_ingest.fhir.shaping import shaped
from peerview_ingest.fhir.subjects import Subjects, say_nobody
from peerview_ingest.fhir.times import parse_millis
from peerview_ingest.fhir.types import RESOURCE_TYPES
from peerview_ingest.fhir.values import NO_DATE, Json, child, text
from peerview_ingest.fhir.versions import deletion_version, version_number

HOUR_MS: Final = 3_600_000
TEN_DIGITS: Final = 1_000_000_000
MAX_ENTRIES: Final = 50_000
"""Of a Bundle that is sent; files may hold larger ones."""


@dataclass(frozen=True)
class Reader:
    """Reads what one feed sends. Any resource may be read at any time; all that it remembers are
    keys, so as not to make them again."""

    codes: CodeList
    feed: Feed
    keys: Keys
    clock: Receipt
    organisations: dict[str, str] = field(default_factory=dict)
    """ODS codes of organisations received before, by id."""
    _known: KnownKeys = field(init=False, repr=False)
    _subjects: Subjects = field(init=False, repr=False)
    _latest: int | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_known", KnownKeys(self.keys, self.feed.source))
        object.__setattr__(self, "_subjects", Subjects(self._known))
        latest = None
        if self.clock.now is not None:
            latest = self.clock.now + self.clock.max_future_hours * HOUR_MS
        object.__setattr__(self, "_latest", latest)

    def read(self, document: object, outer: Resolver | None = None) -> list[Read]:
        """A Bundle's resources in its order, or the one resource that it is."""
        if isinstance(document, dict) and document.get("resourceType") == "Bundle":
            return self.bundle(document, outer)
        resolver = Resolver(outer, self.organisations)
        resolver.add(document)
        return [self.resource(document, resolver)]

    def bundle(self, bundle: Json, outer: Resolver | None = None) -> list[Read]:
        """A Bundle of any type, entry by entry."""
        entries = bundle.get("entry")
        if entries is None:
            entries = []
        if not isinstance(entries, list):
            return [refused("Bundle.entry", None, "structure", "must be a list")]
        if self.clock.now is not None and len(entries) > MAX_ENTRIES:
            reason = f"a Bundle may have {MAX_ENTRIES:,} entries: send lines to /v1/bulk"
            return [refused("Bundle.entry", None, "too-costly", reason)]
        resolver = self.resolver_of(entries, outer, bundle.get("timestamp"))
        return [
            self.entry(entry, f"Bundle.entry[{number}]", resolver, bundle.get("timestamp"))
            for number, entry in enumerate(entries)
        ]

    def resolver_of(
        self,
        entries: Iterable[object],
        outer: Resolver | None = None,
        timestamp: object = None,
    ) -> Resolver:
        """A Bundle's entries, for references among them."""
        resolver = Resolver(outer, self.organisations)
        for entry in entries:
            resolver.add_entry(entry, timestamp)
        return resolver

    def entry(
        self, entry: object, place: str, resolver: Resolver, timestamp: object = None
    ) -> Read:
        """One entry: a resource, or a deletion."""
        if not isinstance(entry, dict):
            return refused(place, None, "structure", "must be an object")
        notes = Notes(place)
        ask = asked(entry, place, notes)
        if notes.faulty:
            return Read(place, None, Outcome.REJECTED, issues=tuple(notes.issues))
        if ask.method == "DELETE":
            return self._deletion_entry(entry, ask, place, resolver, timestamp, notes)
        resource = entry.get("resource")
        if resource is None:
            return refused(f"{place}.resource", None, "required", "an entry needs a resource")
        if isinstance(resource, dict):
            kind = resource.get("resourceType")
            kept = isinstance(kind, str) and (kind in MAPPINGS or kind == "Organization")
            if kept and self.clock.now is not None:
                check(entry, ask, kind, place, notes)
            if ask.target is not None and not resource.get("id"):
                resource = {**resource, "id": ask.target.id}
        return self.resource(resource, resolver, f"{place}.resource", notes)

    def _deletion_entry(
        self,
        entry: Json,
        ask: Asked,
        place: str,
        resolver: Resolver,
        timestamp: object,
        notes: Notes,
    ) -> Read:
        resource = child(entry, "resource", place, notes) or {}
        if ask.target is not None:
            kind, id_text = ask.target.type, ask.target.id
        else:
            kind = text(resource, "resourceType", f"{place}.resource", notes) or ""
            id_text = identity(resource, f"{place}.resource", notes) or ""
        if not notes.faulty and not (kind and id_text):
            reason = "a deletion must name Type/ID"
            if ask.url is not None and "?" in ask.url:
                reason += ": conditional ones are not supported"
            notes.fault(f"{place}.request.url", "required", reason)
        if self.clock.now is not None and kind in MAPPINGS:
            check(entry, ask, kind, place, notes)
        stamp_text, where, version = deletion_version(entry, resource, place, timestamp, notes)
        patients: tuple[bytes, ...] = ()
        if resource and kind != "Patient" and kind in MAPPINGS:
            found = shaped(resource, MAPPINGS[kind].shape, f"{place}.resource", notes)
            patients = self._subjects.of(found, kind, resolver)
        self._stamp(stamp_text, where, notes)
        if notes.faulty:
            return Read(place, kind or None, Outcome.REJECTED, issues=tuple(notes.issues))
        return self.deletion(
            kind, id_text, place, stamp_text, version, stamp_place=where, patients=patients
        )

    def deletion(
        self,
        kind: str,
        id_text: str,
        place: str,
        stamp_text: str | None = None,
        version: int = NO_VERSION,
        *,
        stamp_place: str = "",
        patients: tuple[bytes, ...] = (),
    ) -> Read:
        """The deletion of ``kind/id_text``, as a version of its own."""
        if kind not in RESOURCE_TYPES:
            return refused(place, None, "not-supported", "not a resource type of FHIR R4")
        if kind not in FHIR_NAMES:
            return dropped(place, kind)
        notes = Notes(place)
        stamp = self._stamp(stamp_text, stamp_place or place, notes)
        if notes.faulty:
            return Read(place, kind, Outcome.REJECTED, issues=tuple(notes.issues))
        if stamp is None:
            stamp = FINAL if self.clock.now is None else self.clock.now
        if kind == "Patient":
            patients = (self._known.patient(id_text),)
        packed, same = self._known.fact_id(id_text)
        fact = Fact(FHIR_NAMES[kind], packed, stamp, self._number(version), "", True, None)
        return Read(
            place,
            kind,
            Outcome.ACCEPTED,
            patients,
            fact,
            stamped=stamp_text is not None,
            id=id_text if same else None,
        )

    def resource(
        self,
        resource: object,
        resolver: Resolver,
        place: str | None = None,
        notes: Notes | None = None,
    ) -> Read:
        """One resource, as JSON or, alone on its line, shaped already. ``place`` is where it
        stands; its type where it stands alone. ``notes`` holds what is wrong already with the entry
        that it is in."""
        if isinstance(resource, Resource):
            name = type(resource).__name__
            return self._mapped(resource, name, place or name, resolver, Notes(place or name))
        if not isinstance(resource, dict):
            return refused(place or "resource", None, "structure", "must be an object")
        kind = resource.get("resourceType")
        if not isinstance(kind, str) or kind not in RESOURCE_TYPES:
            at = f"{place or 'resource'}.resourceType"
            return refused(at, None, "not-supported", "not a resource type of FHIR R4")
        place = place or kind
        notes = notes or Notes(place)
        if kind == "Organization":
            return self._organisation(resource, place, notes)
        if kind == "Bundle":
            return refused(place, kind, "not-supported", "a Bundle within a Bundle is not read")
        if kind not in MAPPINGS:
            return dropped(place, kind)
        found = shaped(resource, MAPPINGS[kind].shape, place, notes)
        return self._mapped(found, kind, place, resolver, notes)

    def _mapped(
        self, found: Resource, kind: str, place: str, resolver: Resolver, notes: Notes
    ) -> Read:
        id_text = identity_of(found)
        if id_text is None and not notes.told(f"{place}.id"):
            reason = "needs an id or an identifier: sent again, it would count a second time"
            notes.fault(place, "required", reason)
        stamp, number, stamped = self._version(found.meta, place, notes)
        unkeyed = notes.faulty
        setting = Setting(
            self.codes,
            self._known,
            resolver,
            self.feed.practice,
            self.feed.register_all,
            stamp,
            stamped,
            place,
            notes,
            found.contained,
        )
        body: Body | None = None
        outcome = Outcome.ACCEPTED
        patients: tuple[bytes, ...] = ()
        person: bytes | None = None
        try:
            if kind == "Patient":
                person = self._nhs_number(cast(Patient, found))
                patients = (self._known.patient(id_text or ""),)
            else:
                patients = self._subjects.of(found, kind, resolver)
            body = MAPPINGS[kind].body(found, setting)
            if not patients:
                say_nobody(found, kind, setting)
        except Nothing as nothing:
            body, outcome = None, Outcome.DROPPED
            notes.inform(place, nothing.reason)
        if notes.faulty:
            if self.clock.now is not None or unkeyed:
                return Read(place, kind, Outcome.REJECTED, issues=tuple(notes.issues))
            body, outcome, person = None, Outcome.REJECTED, None
        packed, same = self._known.fact_id(id_text or "")
        number = self._number(number)
        return Read(
            place,
            kind,
            outcome,
            patients,
            Fact(FHIR_NAMES[kind], packed, stamp, number, "", False, body),
            tuple(notes.issues) if notes.issues else (),
            stamped,
            id_text if same else None,
            person,
            informed=setting.informed,
        )

    def _version(self, meta: Meta | None, place: str, notes: Notes) -> tuple[int, int, bool]:
        """Its stamp and number, and whether the stamp is its own."""
        number = NO_VERSION
        if meta is not None:
            number = version_number(meta.versionId)
            if meta.lastUpdated:
                stamp = self._stamp(meta.lastUpdated, place, notes, ".meta.lastUpdated")
                if stamp is not None:
                    return stamp, number, True
        return EARLIEST if self.clock.now is None else self.clock.now, number, False

    def _number(self, version: int) -> int:
        """A version's number as the log may have it. One that may be a person's is none: the stamp
        alone must do."""
        kept = self.clock.now is None or version < TEN_DIGITS or not issuable(str(version))
        return version if kept else NO_VERSION

    def _stamp(self, value: str | None, place: str, notes: Notes, within: str = "") -> int | None:
        if value is None:
            return None
        try:
            stamp = parse_millis(value)
        except (ValueError, OverflowError):
            notes.fault(place + within, "value", NO_DATE)
            return None
        if self._latest is not None and stamp > self._latest:
            reason = f"lies more than {self.clock.max_future_hours} hours ahead of receipt"
            notes.fault(place + within, "business-rule", reason)
        return stamp

    def _nhs_number(self, found: Patient) -> bytes | None:
        for each in found.identifier or ():
            if each.system == NHS_NUMBER_SYSTEM:
                value = (each.value or "").replace(" ", "").replace("-", "")
                if is_nhs_number(value):
                    return self._known.person(value) or None
        return None

    def _organisation(self, resource: Json, place: str, notes: Notes) -> Read:
        """Kept by its ODS code, so that what refers to it can be told from other practices."""
        id_text, code = identity(resource, place, notes), ods_of_organisation(resource)
        if notes.faulty:
            return Read(place, "Organization", Outcome.REJECTED, issues=tuple(notes.issues))
        if id_text is None or code is None:
            return dropped(place, "Organization")
        notes.inform(place, "kept for its ODS code alone")
        issues = tuple(notes.issues)
        return Read(
            place, "Organization", Outcome.ACCEPTED, issues=issues, organisation=(id_text, code)
        )
