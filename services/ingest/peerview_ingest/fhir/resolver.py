"""References: what a resource points to, among the resources given with it."""

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import parse_qs

from msgspec import Struct

from peerview_common.facts import NO_VERSION
from peerview_ingest.fhir.issues import Notes
from peerview_ingest.fhir.shapes import Resource
from peerview_ingest.fhir.values import Json, child, children, text
from peerview_ingest.fhir.versions import deletion_version, order, version_number

ODS_SYSTEM: Final = "https://fhir.nhs.uk/Id/ods-organization-code"
NHS_NUMBER_SYSTEM: Final = "https://fhir.nhs.uk/Id/nhs-number"
URN: Final = "urn:uuid:"

_ADDRESS = re.compile(r"(?:.*/)?([A-Za-z]+)/([^/?#]+)(?:/_history/[^/?#]+)?", re.DOTALL)
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_OF_A_VERSION = re.compile(r"/_history/[^/?#]+\Z")
_CONDITIONAL = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*://[^?#]*/)?([A-Za-z]+)\?.*", re.DOTALL)


class Target(Struct, frozen=True, gc=False):
    """What a reference points to. ``id`` is the logical id, else the first business identifier."""

    type: str
    id: str


def literal(reference: str) -> Target | None:
    """``Type/ID``, or an absolute URL ending so, each perhaps of a version (``/_history/N``); None
    for anything else."""
    if "/_history/" in reference:
        reference = _OF_A_VERSION.sub("", reference)
    head, _, id_text = reference.rpartition("/")
    base, slash, kind = head.rpartition("/")
    if not id_text or not (kind.isascii() and kind.isalpha()):
        return None
    if "?" in reference or "#" in reference or (slash and not _ABSOLUTE.match(base)):
        return None
    return Target(kind, id_text)


def named_type(reference: str) -> str | None:
    """The type that a literal or conditional reference names; None for a urn or a fragment."""
    target = literal(reference)
    if target is not None:
        return target.type
    match = _CONDITIONAL.fullmatch(reference)
    return match[1] if match else None


def ods_of_condition(reference: str) -> str | None:
    """The ODS code of ``Organization?identifier=``, where its system is ODS's."""
    match = _CONDITIONAL.fullmatch(reference)
    if match is None or match[1] != "Organization":
        return None
    for value in parse_qs(reference.partition("?")[2]).get("identifier", ()):
        system, _, code = value.partition("|")
        if system == ODS_SYSTEM and code:
            return code
    return None


def identity(resource: Json, place: str, notes: Notes) -> str | None:
    """A resource's logical id, else its first business identifier as ``system|value``."""
    found = text(resource, "id", place, notes)
    if found is not None:
        return found
    if not isinstance(resource.get("identifier"), list):  # some types have a single identifier
        single = child(resource, "identifier", place, notes)
        return _identifier(single, f"{place}.identifier", notes) if single else None
    for number, entry in enumerate(children(resource, "identifier", place, notes)):
        found = _identifier(entry, f"{place}.identifier[{number}]", notes)
        if found is not None:
            return found
    return None


def _identifier(entry: Json, place: str, notes: Notes) -> str | None:
    value = text(entry, "value", place, notes)
    return None if value is None else f"{text(entry, 'system', place, notes) or ''}|{value}"


def identity_of(found: Resource) -> str | None:
    """The same of what is shaped already."""
    if found.id:
        return found.id
    given = found.identifier
    for each in given if isinstance(given, Sequence) else (given,) if given else ():
        if each.value:
            return f"{each.system or ''}|{each.value}"
    return None


def addressed(url: object) -> Target | None:
    """What the ``request.url`` of a PUT or DELETE names: ``Type/ID``; None for anything else."""
    match = _ADDRESS.fullmatch(url) if isinstance(url, str) else None
    return Target(match[1], match[2]) if match else None


class Resolver:
    """The resources given together: a Bundle's entries, a group of lines, or a whole set of files.

    ``outer`` is the larger set that this one lies in; ``organisations`` maps ids of organisations
    received before to their ODS codes.
    """

    def __init__(
        self, outer: "Resolver | None" = None, organisations: Mapping[str, str] | None = None
    ) -> None:
        self._outer = outer
        self._full_urls: dict[str, Target] = {}
        self._ids: dict[str, str] = {}
        """Types by id, the first that was given."""
        self._more: dict[str, set[str]] = {}
        """Further types of an id: it is one resource's only within a type."""
        self._known = organisations or {}
        self._organisations: dict[str, tuple[tuple[int, int, bool], str]] = {}
        """The newest version of each organisation given here: its order, and its ODS code or ""."""

    def add(self, resource: object, full_url: object = None, known_id: str | None = None) -> None:
        """Take note of a resource, whatever its type, as JSON or shaped already (of a line, which
        has no ``full_url``); what is malformed is passed over.

        ``known_id`` is its id where its address alone says it.
        """
        if isinstance(resource, Resource):
            if resource.id:
                self._identify(resource.id, type(resource).__name__)
            return
        if not isinstance(resource, dict):
            return
        kind = resource.get("resourceType")
        if not isinstance(kind, str):
            return
        own = resource.get("id") or known_id
        found: str | None
        if isinstance(own, str):
            found = own
        else:
            notes = Notes()
            found = identity(resource, kind, notes)
            if notes.faulty or (found is None and not isinstance(full_url, str)):
                return
        target = Target(kind, found or "")
        if isinstance(full_url, str):
            self._full_urls[full_url] = target
        if isinstance(own, str):
            self._identify(target.id, kind)
        if kind == "Organization":
            self._organise(target.id, *_version_of(resource), ods_of_organisation(resource) or "")

    def _identify(self, id_text: str, kind: str) -> None:
        if self._ids.setdefault(id_text, kind) != kind:
            self._more.setdefault(id_text, set()).add(kind)

    def add_entry(self, entry: object, timestamp: object) -> None:
        """Take note of a Bundle's entry; of deletions, those of organisations alone matter."""
        if not isinstance(entry, dict):
            return
        resource, request = entry.get("resource"), entry.get("request")
        if not isinstance(request, dict):
            self.add(resource, entry.get("fullUrl"))
            return
        method, target = request.get("method"), addressed(request.get("url"))
        if method != "DELETE":
            known_id = target.id if target is not None and method == "PUT" else None
            self.add(resource, entry.get("fullUrl"), known_id)
            return
        if target is None or target.type != "Organization":
            return
        notes = Notes()
        stamp, _, number = deletion_version(
            entry, resource if isinstance(resource, dict) else {}, "entry", timestamp, notes
        )
        if not notes.faulty:
            self._organise(target.id, stamp, number, "", deleted=True)

    def _organise(
        self, id_text: str, stamp: str | None, number: int, code: str, *, deleted: bool = False
    ) -> None:
        try:
            version = (order(stamp, number, deleted=deleted), code)
        except (ValueError, OverflowError):
            return
        self._organisations[id_text] = max(self._organisations.get(id_text, version), version)

    def urn(self, reference: str, *wanted: str) -> Target | None:
        """``urn:uuid:ID`` of an entry's fullUrl, else of a resource with that id: of the first of
        the ``wanted`` types that has it, else of any."""
        found = self._by_full_url(reference)
        if found is not None:
            return found
        id_text = reference.removeprefix(URN)
        kinds = self._types(id_text)
        kind = next((kind for kind in wanted if kind in kinds), min(kinds, default=None))
        return None if kind is None else Target(kind, id_text)

    def _by_full_url(self, reference: str) -> Target | None:
        found = self._full_urls.get(reference)
        if found is None and self._outer is not None:
            return self._outer._by_full_url(reference)
        return found

    def _types(self, id_text: str) -> set[str]:
        found = set() if self._outer is None else self._outer._types(id_text)
        first = self._ids.get(id_text)
        if first is not None:
            found.add(first)
            found.update(self._more.get(id_text, ()))
        return found

    def target(self, reference: str, *wanted: str) -> Target | None:
        """What a literal or ``urn:uuid:`` reference points to; a conditional one is nothing."""
        return self.urn(reference, *wanted) if reference.startswith("urn:") else literal(reference)

    def ods_of(self, target: Target) -> str | None:
        """The ODS code of an organisation that was given, here or before."""
        if target.type != "Organization":
            return None
        found = self._newest(target.id)
        return self._known.get(target.id) if found is None else found[1] or None

    def _newest(self, id_text: str) -> tuple[tuple[int, int, bool], str] | None:
        """The newest version here and in the larger sets."""
        mine = self._organisations.get(id_text)
        theirs = self._outer._newest(id_text) if self._outer is not None else None
        return max(mine, theirs) if mine and theirs else mine or theirs


def _version_of(resource: Json) -> tuple[str | None, int]:
    meta = resource.get("meta")
    if not isinstance(meta, dict):
        return None, NO_VERSION
    stamp = meta.get("lastUpdated")
    return stamp if isinstance(stamp, str) else None, version_number(meta.get("versionId"))


def ods_of_organisation(resource: Json) -> str | None:
    """An Organization's own ODS code, by its identifier with the ODS system."""
    notes = Notes()
    for entry in children(resource, "identifier", "", notes):
        if text(entry, "system", "", notes) == ODS_SYSTEM:
            value = text(entry, "value", "", notes)
            if value is not None or notes.faulty:
                return None if notes.faulty else value
    return None
