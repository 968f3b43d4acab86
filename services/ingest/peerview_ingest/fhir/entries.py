"""A Bundle's entry: what its ``request`` asks for, and whether that can be done.

Versions decide what counts, so a PUT or a POST is one thing: a version of the resource that it
carries. What would make it depend on what is stored (conditional forms) is refused where it would
have stored something; nothing here can be looked up by a sender. Of an Organization nothing but its
ODS code is kept, so that a condition may be passed over.
"""

from typing import Final

from msgspec import Struct

from peerview_ingest.fhir.issues import Notes
from peerview_ingest.fhir.resolver import Target, addressed
from peerview_ingest.fhir.values import Json, child, text

CONDITIONS: Final = ("ifNoneExist", "ifMatch", "ifNoneMatch")
METHODS: Final = ("POST", "PUT", "DELETE")
LEAVE_OUT: Final = (
    "what is stored cannot be asked about: leave the condition out; the newest version counts, and "
    "one sent twice counts once"
)


class Asked(Struct, frozen=True):
    """What an entry asks for. Without a ``request`` it is as a PUT of its resource."""

    method: str | None
    url: str | None
    target: Target | None
    """``Type/ID`` of a PUT or DELETE that names one."""


def asked(entry: Json, place: str, notes: Notes) -> Asked:
    request = child(entry, "request", place, notes)
    if request is None:
        return Asked(None, None, None)
    method = text(request, "method", f"{place}.request", notes)
    if method not in (None, *METHODS):
        notes.fault(f"{place}.request.method", "not-supported", "only POST, PUT and DELETE are")
    url = text(request, "url", f"{place}.request", notes)
    target = addressed(url) if method in ("PUT", "DELETE") else None
    return Asked(method, url, target)


def check(entry: Json, ask: Asked, kind: object, place: str, notes: Notes) -> None:
    """Note what a server of FHIR must not pass over in a request for a resource of a kept type."""
    request = entry.get("request")
    if not isinstance(request, dict):
        return
    for name in CONDITIONS if kind != "Organization" else ():
        if request.get(name) is not None:
            notes.fault(f"{place}.request.{name}", "not-supported", LEAVE_OUT)
    if ask.url is None or ask.method == "DELETE":
        return
    where = f"{place}.request.url"
    if kind == "Organization" and "?" in ask.url:
        return
    if "?" in ask.url:
        notes.fault(where, "not-supported", "a conditional request is not looked up: name Type/ID")
    elif ask.method == "PUT" and ask.target is None:
        notes.fault(where, "value", "an update must name Type/ID")
    elif ask.target is not None:
        resource = entry.get("resource")
        own = resource.get("id") if isinstance(resource, dict) else None
        if ask.target.type != kind:
            notes.fault(where, "invalid", "names another type than the resource has")
        elif own and own != ask.target.id:
            notes.fault(f"{place}.resource.id", "invalid", "is not the id in request.url")
