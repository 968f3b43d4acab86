"""Which version of a resource is the newer: its stamp and its number, as FHIR gives them."""

import re
from typing import Final

from peerview_common.facts import EARLIEST, FINAL, NO_VERSION
from peerview_ingest.fhir.issues import Notes
from peerview_ingest.fhir.times import parse_millis
from peerview_ingest.fhir.values import Json, child, text

MAX_VERSION: Final = 2**63 - 1

_ETAG = re.compile(r'(?:W/)?"?(\d+)"?', re.ASCII)


def version_number(value: object) -> int:
    """A ``versionId`` when it is all digits, else -1."""
    if isinstance(value, str) and len(value) < 18 and value.isascii() and value.isdigit():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return min(value, MAX_VERSION) if value >= 0 else NO_VERSION
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return min(int(value[:40]), MAX_VERSION)
    return NO_VERSION


def deletion_version(
    entry: Json, resource: Json, place: str, timestamp: object, notes: Notes
) -> tuple[str | None, str, int]:
    """``(stamp, its place, number)`` of a deletion. An etag that is there is its number."""
    response = child(entry, "response", place, notes) or {}
    meta = child(resource, "meta", f"{place}.resource", notes) or {}
    stamp = text(response, "lastModified", f"{place}.response", notes)
    where = "response.lastModified"
    if stamp is None:
        stamp = text(meta, "lastUpdated", f"{place}.resource.meta", notes)
        where = "resource.meta.lastUpdated"
    where = f"{place}.{where}"
    if stamp is None and timestamp is not None:
        stamp = text({"timestamp": timestamp}, "timestamp", "Bundle", notes)
        where = "Bundle.timestamp"
    etag = text(response, "etag", f"{place}.response", notes)
    if etag is None:
        return stamp, where, version_number(meta.get("versionId"))
    match = _ETAG.fullmatch(etag)
    return stamp, where, version_number(match[1]) if match else NO_VERSION


def order(stamp: str | None, number: int, *, deleted: bool) -> tuple[int, int, bool]:
    """A version's place among those of one resource. ValueError for a stamp that is none.

    Without a stamp a resource comes first and a deletion last.
    """
    missing = FINAL if deleted else EARLIEST
    return (missing if stamp is None else parse_millis(stamp), number, deleted)
