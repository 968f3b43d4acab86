"""The reader: a Bundle or a resource in, one ``Read`` a resource out."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from peerview_common.codes import CodeList
from peerview_common.days import LONG_AGO
from peerview_common.facts import (
    EARLIEST,
    FHIR_NAMES,
    FINAL,
    NO_VERSION,
    Body,
    Coded,
    Fact,
    ResourceType,
    pack_id,
)
from peerview_common.ids import OdsCode
from peerview_ingest.fhir.bodies import MAPPINGS, Nothing, Setting
from peerview_ingest.fhir.issues import Fault, Issue, Outcome
from peerview_ingest.fhir.keys import Keys, is_nhs_number, issuable
from peerview_ingest.fhir.resolver import (
    DELETE_URL,
    NHS_NUMBER_SYSTEM,
    Resolver,
    Target,
    identity,
    ods_of_organisation,
)
from peerview_ingest.fhir.types import RESOURCE_TYPES
from peerview_ingest.fhir.values import Json, child, children, parse_millis, text
from peerview_ingest.fhir.versions import deletion_version, version_number

HOUR_MS: Final = 3_600_000
MIN_STAMP: Final = -(2**60)

_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True)
class Feed:
    """Who sends: the practice, its source system, and whether all its patients are registered."""

    practice: OdsCode
    source: str
    register_all: bool = False


@dataclass(frozen=True)
class Receipt:
    """The time of receipt in milliseconds UTC; None for ``evaluate``, which has none.

    Without one no stamp is refused, an absent ``lastUpdated`` is the earliest, a deletion without a
    time is final, and what ingest would refuse for want of a date is a version that counts nothing.
    """

    now: int | None
    max_future_hours: int = 24


@dataclass(frozen=True, slots=True)
class Read:
    """What became of one resource."""

    place: str
    type: str | None
    outcome: Outcome
    patients: tuple[bytes, ...] = ()
    """Keys of the patients concerned. A void version may name none: whoever had it loses it."""
    fact: Fact | None = None
    """None where there is nothing to keep, not even a version (rejected, or a type not mapped)."""
    issues: tuple[Issue, ...] = ()
    stamped: bool = True
    """Whether its time is its own; False for the time of receipt."""
    person: bytes | None = None
    """Of a Patient: the keyed hash of the NHS number."""
    organisation: tuple[str, str] | None = None
    """Of an Organization: its id and ODS code."""

    @property
    def key(self) -> tuple[str, int, bytes] | None:
        return self.fact.key if self.fact else None


@dataclass(slots=True)
class _Version:
    stamp: int
    version: int
    stamped: bool


@dataclass(frozen=True)
class Reader:
    """Reads what one feed sends. Holds no state: any resource may be read at any time."""

    codes: CodeList
    feed: Feed
    keys: Keys
    clock: Receipt
    organisations: dict[str, str] = field(default_factory=dict)
    """ODS codes of organisations received before, by id."""

    def read(self, document: object, outer: Resolver | None = None) -> list[Read]:
        """A Bundle's resources in its order, or the one resource that it is."""
        if isinstance(document, dict) and document.get("resourceType") == "Bundle":
            return self.bundle(document, outer)
        resolver = Resolver(outer, self.organisations)
        resolver.add(document)
        return [self.resource(document, resolver)]

    def bundle(self, bundle: Json, outer: Resolver | None = None) -> list[Read]:
        """A Bundle of any type. A Fault's Read stands for an entry that cannot be taken."""
        entries = bundle.get("entry", [])
        if not isinstance(entries, list):
            return [_refused("Bundle.entry", None, "structure", "must be a list")]
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
            return _refused(place, None, "structure", "must be an object")
        try:
            request = child(entry, "request", place) or {}
            method = text(request, "method", f"{place}.request")
            if method == "DELETE":
                return self._deletion_entry(entry, request, place, resolver, timestamp)
            if method not in (None, "POST", "PUT"):
                return _refused(
                    f"{place}.request.method", None, "not-supported", "only POST, PUT and DELETE"
                )
            resource = entry.get("resource")
            if resource is None:
                return _refused(f"{place}.resource", None, "required", "an entry needs a resource")
            url = text(request, "url", f"{place}.request") if method == "PUT" else None
            match = DELETE_URL.fullmatch(url) if url else None
            if match and isinstance(resource, dict) and not resource.get("id"):
                resource = {**resource, "id": match[2]}
        except Fault as fault:
            return Read(place, None, Outcome.REJECTED, issues=(fault.issue,))
        return self.resource(resource, resolver, f"{place}.resource")

    def _deletion_entry(
        self, entry: Json, request: Json, place: str, resolver: Resolver, timestamp: object
    ) -> Read:
        resource = child(entry, "resource", place) or {}
        match = DELETE_URL.fullmatch(text(request, "url", f"{place}.request") or "")
        if match:
            kind, id_text = match[1], match[2]
        else:
            kind = text(resource, "resourceType", f"{place}.resource") or ""
            id_text = identity(resource, f"{place}.resource") or ""
        if not kind or not id_text:
            return _refused(
                f"{place}.request.url", None, "required", "a deletion must name Type/ID"
            )
        stamp_text, where, version = deletion_version(entry, resource, place, timestamp)
        patients: tuple[bytes, ...] = ()
        if resource and kind != "Patient" and kind in MAPPINGS:
            patients = self._patients(resource, kind, resolver, f"{place}.resource")
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
            return _refused(place, None, "not-supported", "not a resource type of FHIR R4")
        if kind not in FHIR_NAMES:
            return _dropped(place, kind)
        try:
            stamp = self._stamp(stamp_text, stamp_place or place)
        except Fault as fault:
            return Read(place, kind, Outcome.REJECTED, issues=(fault.issue,))
        if stamp is None:
            stamp = FINAL if self.clock.now is None else self.clock.now
        if kind == "Patient":
            patients = (self.keys.patient(self.feed.source, id_text),)
        fact = self._fact(kind, id_text, _Version(stamp, version, True), None, deleted=True)
        return Read(
            place,
            kind,
            Outcome.ACCEPTED,
            patients,
            fact,
            stamped=stamp_text is not None,
        )

    def resource(self, resource: object, resolver: Resolver, place: str | None = None) -> Read:
        """One resource. ``place`` is where it stands; its type where it stands alone."""
        if not isinstance(resource, dict):
            return _refused(place or "resource", None, "structure", "must be an object")
        kind = resource.get("resourceType")
        if not isinstance(kind, str) or kind not in RESOURCE_TYPES:
            at = f"{place or 'resource'}.resourceType"
            return _refused(at, None, "not-supported", "not a resource type of FHIR R4")
        place = place or kind
        if kind == "Organization":
            return self._organisation(resource, place)
        if kind == "Bundle":
            return _refused(place, kind, "not-supported", "a Bundle within a Bundle is not read")
        if kind not in MAPPINGS:
            return _dropped(place, kind)
        try:
            id_text, version = self._identity(resource, place), self._versions(resource, place)
        except Fault as fault:
            return Read(place, kind, Outcome.REJECTED, issues=(fault.issue,))
        return self._mapped(resource, kind, place, resolver, id_text, version)

    def _mapped(
        self,
        resource: Json,
        kind: str,
        place: str,
        resolver: Resolver,
        id_text: str,
        version: _Version,
    ) -> Read:
        issues: list[Issue] = []
        setting = Setting(
            self.codes,
            self.keys,
            resolver,
            self.feed.practice,
            self.feed.register_all,
            version.stamp,
            version.stamped,
            place,
            issues,
        )
        body: Body | None = None
        outcome = Outcome.ACCEPTED
        patients: tuple[bytes, ...] = ()
        number: bytes | None = None
        try:
            patients = self._patients(resource, kind, resolver, place, id_text)
            body = MAPPINGS[kind](resource, setting)
            if not patients:
                raise self._nobody(kind, place)
            if kind == "Patient":
                number = self._nhs_number(resource, place)
        except Nothing as nothing:
            body, outcome = None, Outcome.DROPPED
            issues.append(Issue("information", "informational", place, nothing.reason))
        except Fault as fault:
            issues.append(fault.issue)
            if self.clock.now is not None:
                return Read(place, kind, Outcome.REJECTED, issues=tuple(issues))
            body, outcome = None, Outcome.REJECTED
        fact = self._fact(kind, id_text, version, body, deleted=False)
        return Read(
            place, kind, outcome, patients, fact, tuple(issues), version.stamped, person=number
        )

    def _fact(
        self, kind: str, id_text: str, version: _Version, body: Body | None, *, deleted: bool
    ) -> Fact:
        packed = pack_id(self.keys.fact_id(id_text))
        number = version.version
        if self.clock.now is not None and issuable(str(number)):
            number = NO_VERSION  # it may be a person's: the stamp alone must do
        return Fact(FHIR_NAMES[kind], packed, version.stamp, number, "", deleted, body)

    def _identity(self, resource: Json, place: str) -> str:
        found = identity(resource, place)
        if found is None:
            raise Fault(
                place,
                "required",
                "needs an id or an identifier: sent again, it would count a second time",
            )
        return found

    def _versions(self, resource: Json, place: str) -> _Version:
        meta = child(resource, "meta", place) or {}
        stamp = self._stamp(text(meta, "lastUpdated", f"{place}.meta"), f"{place}.meta.lastUpdated")
        number = version_number(meta.get("versionId"))
        if stamp is None:
            return _Version(EARLIEST if self.clock.now is None else self.clock.now, number, False)
        return _Version(stamp, number, True)

    def _stamp(self, value: str | None, place: str) -> int | None:
        if value is None:
            return None
        try:
            stamp = parse_millis(value)
        except (ValueError, OverflowError):
            raise Fault(place, "value", "is not a possible date or time") from None
        now = self.clock.now
        if now is not None and stamp > now + self.clock.max_future_hours * HOUR_MS:
            raise Fault(
                place,
                "business-rule",
                f"lies more than {self.clock.max_future_hours} hours ahead of receipt",
            )
        return stamp

    def _patients(
        self, resource: Json, kind: str, resolver: Resolver, place: str, id_text: str = ""
    ) -> tuple[bytes, ...]:
        """Keys of the patients that a resource concerns, each once, in its order."""
        if kind == "Patient":
            return (self.keys.patient(self.feed.source, id_text),)
        if kind == "Appointment":
            references = []
            for number, part in enumerate(children(resource, "participant", place)):
                at = f"{place}.participant[{number}]"
                actor = child(part, "actor", at)
                if actor is not None:
                    references.append(self._patient(actor, resolver, f"{at}.actor", sure=False))
            return tuple(dict.fromkeys(key for key in references if key is not None))
        element = "patient" if kind in ("EpisodeOfCare", "Immunization") else "subject"
        reference = child(resource, element, place)
        if reference is None:
            return ()
        key = self._patient(reference, resolver, f"{place}.{element}", sure=True)
        return () if key is None else (key,)

    def _patient(
        self, reference: Json, resolver: Resolver, place: str, *, sure: bool
    ) -> bytes | None:
        """The patient behind a Reference. ``sure`` says that nothing else is likely there, so that
        a ``urn:uuid:`` that nothing given explains is the id of a patient received elsewhere."""
        pointer = text(reference, "reference", place)
        if pointer is None:
            return None
        target = resolver.target(pointer)
        if target is None and sure and pointer.startswith("urn:uuid:"):
            target = Target("Patient", pointer.removeprefix("urn:uuid:"))
        if target is None or target.type != "Patient" or not target.id:
            return None
        return self.keys.patient(self.feed.source, target.id)

    def _nobody(self, kind: str, place: str) -> Exception:
        if kind == "Appointment":
            return Nothing("no participant is a patient: it counts for nobody")
        element = "patient" if kind in ("EpisodeOfCare", "Immunization") else "subject"
        return Fault(
            f"{place}.{element}",
            "required",
            "must point to a patient: Patient/ID, a URL ending so, or urn:uuid: of one given here",
        )

    def _nhs_number(self, resource: Json, place: str) -> bytes | None:
        for number, entry in enumerate(children(resource, "identifier", place)):
            at = f"{place}.identifier[{number}]"
            if text(entry, "system", at) == NHS_NUMBER_SYSTEM:
                value = (text(entry, "value", at) or "").replace(" ", "").replace("-", "")
                if is_nhs_number(value):
                    return self.keys.person(value) or None
        return None

    def _organisation(self, resource: Json, place: str) -> Read:
        """Kept by its ODS code, so that what refers to it can be told from other practices."""
        issue = Issue("information", "informational", place, "kept for its ODS code alone")
        try:
            id_text = identity(resource, place)
        except Fault as fault:
            return Read(place, "Organization", Outcome.REJECTED, issues=(fault.issue,))
        code = ods_of_organisation(resource)
        if id_text is None or code is None:
            return _dropped(place, "Organization")
        return Read(
            place,
            "Organization",
            Outcome.ACCEPTED,
            issues=(issue,),
            organisation=(id_text, code),
        )


def content(read: Read) -> bytes:
    """SHA-256 of what a fact says, apart from its version: equal for an unchanged resource.

    A day of resolution that is only the day of receipt is left out, or it would change daily.
    """
    fact = read.fact
    body = fact.body if fact else None
    deleted = bool(fact and fact.deleted)
    if not read.stamped and isinstance(body, Coded) and body.resolved is not None:
        body = Coded(
            body.day, body.elapsed, body.codes, body.value, body.unit, LONG_AGO, body.components
        )
    return hashlib.sha256(_encode((deleted, body))).digest()


def type_name(kind: int) -> str:
    """``EpisodeOfCare`` for its number."""
    return _NAMES[ResourceType(kind)]


_NAMES: Final = {number: name for name, number in FHIR_NAMES.items()}


def _refused(place: str, kind: str | None, code: str, reason: str) -> Read:
    issue = Issue("error", code, place, reason)
    return Read(place, kind, Outcome.REJECTED, issues=(issue,))


def _dropped(place: str, kind: str) -> Read:
    issue = Issue("information", "informational", place, "no indicator needs it")
    return Read(place, kind, Outcome.DROPPED, issues=(issue,))
