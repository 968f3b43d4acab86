"""References: what a resource points to, among the resources given with it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from peerview_common.facts import NO_VERSION
from peerview_ingest.fhir.issues import Fault
from peerview_ingest.fhir.values import Json, child, children, text
from peerview_ingest.fhir.versions import deletion_version, order, version_number

ODS_SYSTEM: Final = "https://fhir.nhs.uk/Id/ods-organization-code"
NHS_NUMBER_SYSTEM: Final = "https://fhir.nhs.uk/Id/nhs-number"
URN: Final = "urn:uuid:"

DELETE_URL: Final = re.compile(r"(?:.*/)?([A-Za-z]+)/([^/?#]+)(?:/_history/[^/?#]+)?", re.DOTALL)
"""What a deletion's ``request.url`` names: type and id."""

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_CONDITIONAL = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*://[^?#]*/)?([A-Za-z]+)\?.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Target:
    """What a reference points to. ``id`` is the logical id, else the first business identifier."""

    type: str
    id: str


def literal(reference: str) -> Target | None:
    """``Type/ID``, or an absolute URL ending so; None for anything else."""
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


def identity(resource: Json, place: str) -> str | None:
    """A resource's logical id, else its first business identifier as ``system|value``."""
    found = text(resource, "id", place)
    if found is not None:
        return found
    if not isinstance(resource.get("identifier"), list):  # some types have a single identifier
        single = child(resource, "identifier", place)
        return _identifier(single, f"{place}.identifier") if single else None
    for number, entry in enumerate(children(resource, "identifier", place)):
        found = _identifier(entry, f"{place}.identifier[{number}]")
        if found is not None:
            return found
    return None


def _identifier(entry: Json, place: str) -> str | None:
    value = text(entry, "value", place)
    return None if value is None else f"{text(entry, 'system', place) or ''}|{value}"


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
        self._ids: dict[str, Target] = {}
        self._known = organisations or {}
        self._organisations: dict[str, tuple[tuple[int, int, bool], str]] = {}
        """The newest version of each organisation given here: its order, and its ODS code or ""."""

    def add(self, resource: object, full_url: object = None) -> None:
        """Take note of a resource, whatever its type; what is malformed is passed over."""
        if not isinstance(resource, dict):
            return
        kind = resource.get("resourceType")
        if not isinstance(kind, str):
            return
        try:
            found = identity(resource, kind)
        except Fault:
            return
        if found is None and not isinstance(full_url, str):
            return
        target = Target(kind, found or "")
        if isinstance(full_url, str):
            self._full_urls[full_url] = target
        if isinstance(resource.get("id"), str):
            self._ids.setdefault(target.id, target)
        if kind == "Organization":
            self._organise(target.id, *_version_of(resource), ods_of_organisation(resource) or "")

    def add_entry(self, entry: object, timestamp: object) -> None:
        """Take note of a Bundle's entry; of deletions, those of organisations alone matter."""
        if not isinstance(entry, dict):
            return
        resource, request = entry.get("resource"), entry.get("request")
        if not isinstance(request, dict) or request.get("method") != "DELETE":
            self.add(resource, entry.get("fullUrl"))
            return
        url = request.get("url")
        match = DELETE_URL.fullmatch(url) if isinstance(url, str) else None
        if match is None or match[1] != "Organization":
            return
        try:
            stamp, _, number = deletion_version(
                entry, resource if isinstance(resource, dict) else {}, "entry", timestamp
            )
        except Fault:
            return
        self._organise(match[2], stamp, number, "", deleted=True)

    def _organise(
        self, id_text: str, stamp: str | None, number: int, code: str, *, deleted: bool = False
    ) -> None:
        try:
            version = (order(stamp, number, deleted=deleted), code)
        except (ValueError, OverflowError):
            return
        self._organisations[id_text] = max(self._organisations.get(id_text, version), version)

    def urn(self, reference: str) -> Target | None:
        """``urn:uuid:ID`` of an entry's fullUrl, else of a resource with that id."""
        return self._by_full_url(reference) or self._by_id(reference.removeprefix(URN))

    def _by_full_url(self, reference: str) -> Target | None:
        found = self._full_urls.get(reference)
        if found is None and self._outer is not None:
            return self._outer._by_full_url(reference)
        return found

    def _by_id(self, id_text: str) -> Target | None:
        found = self._ids.get(id_text)
        if found is None and self._outer is not None:
            return self._outer._by_id(id_text)
        return found

    def target(self, reference: str) -> Target | None:
        """What a literal or ``urn:uuid:`` reference points to; a conditional one is nothing."""
        return self.urn(reference) if reference.startswith("urn:") else literal(reference)

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
    try:
        for number, entry in enumerate(children(resource, "identifier", "Organization")):
            at = f"Organization.identifier[{number}]"
            if text(entry, "system", at) == ODS_SYSTEM and (value := text(entry, "value", at)):
                return value
    except Fault:
        return None
    return None


def contained(resource: Json, reference: str, place: str) -> Json | None:
    """The contained resource that ``#id`` points to."""
    if not reference.startswith("#"):
        return None
    for found in children(resource, "contained", place):
        if found.get("id") == reference[1:]:
            return found
    return None


def practice_of(
    resource: Json, reference: Json, place: str, resolver: Resolver, *, bare_identifier: bool
) -> str | None:
    """The practice that a Reference names, by ODS code; None where it gives none.

    ``bare_identifier`` says whether an identifier without a system is taken as an ODS code.
    """
    identifier = child(reference, "identifier", place)
    if identifier is not None:
        at = f"{place}.identifier"
        system, value = text(identifier, "system", at), text(identifier, "value", at)
        if value and (system == ODS_SYSTEM or (system is None and bare_identifier)):
            return value
    pointer = text(reference, "reference", place)
    if pointer is None:
        return None
    inside = contained(resource, pointer, place)
    if inside is not None:
        return ods_of_organisation(inside) if inside.get("resourceType") == "Organization" else None
    target = resolver.target(pointer)
    if target is None or target.type != "Organization":
        return None
    known = resolver.ods_of(target)
    if known is not None or pointer.startswith("urn:"):
        return known
    return target.id
