"""Whose a resource is."""

from typing import Final

from peerview_ingest.fhir.issues import Notes
from peerview_ingest.fhir.keys import Keys
from peerview_ingest.fhir.resolver import URN, Resolver, Target, named_type
from peerview_ingest.fhir.setting import Setting
from peerview_ingest.fhir.values import Json, child, children, text

_ELEMENTS: Final = {"EpisodeOfCare": "patient", "Immunization": "patient"}


class Subjects:
    """Finds the patients of the resources of one feed."""

    def __init__(self, keys: Keys, source: str) -> None:
        self._keys, self._source = keys, source

    def key(self, id_text: str) -> bytes:
        return self._keys.patient(self._source, id_text)

    def of(self, resource: Json, kind: str, resolver: Resolver, place: str, notes: Notes
           ) -> tuple[bytes, ...]:  # fmt: skip
        """Keys of the patients that a resource other than a Patient concerns, each once, in its
        order."""
        if kind != "Appointment":
            element = _ELEMENTS.get(kind, "subject")
            reference = child(resource, element, place, notes)
            if reference is None:
                return ()
            key = self._one(reference, resolver, f"{place}.{element}", notes, sure=True)
            return () if key is None else (key,)
        found: dict[bytes, None] = {}
        for number, part in enumerate(children(resource, "participant", place, notes)):
            at = f"{place}.participant[{number}]"
            actor = child(part, "actor", at, notes)
            if actor is not None:
                key = self._one(actor, resolver, f"{at}.actor", notes, sure=False)
                if key is not None:
                    found[key] = None
        return tuple(found)

    def _one(
        self, reference: Json, resolver: Resolver, place: str, notes: Notes, *, sure: bool
    ) -> bytes | None:
        """The patient behind a Reference. ``sure`` says that nothing else is likely there, so that
        a ``urn:uuid:`` that nothing given explains is the id of a patient received elsewhere."""
        pointer = text(reference, "reference", place, notes)
        if pointer is None:
            return None
        target = resolver.target(pointer)
        if target is None and sure and pointer.startswith(URN):
            target = Target("Patient", pointer.removeprefix(URN))
        if target is None or target.type != "Patient" or not target.id:
            return None
        return self.key(target.id)


def say_nobody(resource: Json, kind: str, at: Setting) -> None:
    """Note that a resource is nobody's, by the form of reference that it has."""
    if kind == "Appointment":
        at.nothing("no participant is a patient: it counts for nobody")
        return
    element = _ELEMENTS.get(kind, "subject")
    if at.notes.told(f"{at.place}.{element}"):
        return
    reference = resource.get(element)
    pointer = reference.get("reference") if isinstance(reference, dict) else None
    at.notes.fault(f"{at.place}.{element}", "required", f"must point to a patient: {_why(pointer)}")


def _why(pointer: object) -> str:
    forms = "Patient/ID, a URL ending so, or urn:uuid: of one given here"
    if not isinstance(pointer, str) or not pointer:
        return f"{forms}; an identifier or a display alone is not enough"
    if "?" in pointer:
        return f"{forms}; a conditional reference is not looked up"
    if pointer.startswith("#"):
        return f"{forms}; one that is contained is nobody else's patient"
    named = named_type(pointer)
    return forms if named in (None, "Patient") else f"{forms}; it points to another type"
