"""Whose a resource is."""

from typing import Final, cast

from peerview_ingest.fhir.known_keys import KnownKeys, remember
from peerview_ingest.fhir.resolver import URN, Resolver, Target, literal, named_type
from peerview_ingest.fhir.setting import Setting
from peerview_ingest.fhir.shapes import Appointment, Reference, Resource

_ELEMENTS: Final = {"EpisodeOfCare": "patient", "Immunization": "patient"}


class Subjects:
    """Finds the patients of the resources of one feed."""

    def __init__(self, keys: KnownKeys) -> None:
        self._keys = keys
        self._by_pointer: dict[str, bytes | None] = {}

    def of(self, found: Resource, kind: str, resolver: Resolver) -> tuple[bytes, ...]:
        """Keys of the patients that a resource other than a Patient concerns, each once, in its
        order."""
        if kind == "Appointment":
            keys: dict[bytes, None] = {}
            for part in cast(Appointment, found).participant or ():
                if part.actor is not None:
                    key = self._one(part.actor.reference, resolver, sure=False)
                    if key is not None:
                        keys[key] = None
            return tuple(keys)
        reference: Reference | None = getattr(found, _ELEMENTS.get(kind, "subject"))
        if reference is None:
            return ()
        key = self._one(reference.reference, resolver, sure=True)
        return () if key is None else (key,)

    def _one(self, pointer: str | None, resolver: Resolver, *, sure: bool) -> bytes | None:
        """The patient that a Reference points to. ``sure`` says that nothing else is likely there,
        so that a ``urn:uuid:`` that nothing given explains is the id of a patient received
        elsewhere."""
        if not pointer:
            return None
        if pointer.startswith("urn:"):
            return self._urn(pointer, resolver, sure=sure)
        # what any other form points to, it points to wherever it stands
        if pointer not in self._by_pointer:
            remember(self._by_pointer, pointer, self._keyed(literal(pointer)))
        return self._by_pointer[pointer]

    def _urn(self, pointer: str, resolver: Resolver, *, sure: bool) -> bytes | None:
        target = resolver.urn(pointer, "Patient")
        if target is None and sure and pointer.startswith(URN):
            target = Target("Patient", pointer.removeprefix(URN))
        return self._keyed(target)

    def _keyed(self, target: Target | None) -> bytes | None:
        if target is None or target.type != "Patient" or not target.id:
            return None
        return self._keys.patient(target.id)


def say_nobody(found: Resource, kind: str, at: Setting) -> None:
    """Note that a resource is nobody's, by the form of reference that it has."""
    if kind == "Appointment":
        at.nothing("no participant is a patient: it counts for nobody")
        return
    element = _ELEMENTS.get(kind, "subject")
    if at.notes.told(f"{at.place}.{element}"):
        return
    reference: Reference | None = getattr(found, element)
    why = _why(reference.reference if reference else None)
    at.notes.fault(f"{at.place}.{element}", "required", f"must point to a patient: {why}")


def _why(pointer: str | None) -> str:
    forms = "Patient/ID, a URL ending so, or urn:uuid: of one given here"
    if not pointer:
        return f"{forms}; an identifier or a display alone is not enough"
    if "?" in pointer:
        return f"{forms}; a conditional reference is not looked up"
    if pointer.startswith("#"):
        return f"{forms}; one that is contained is nobody else's patient"
    named = named_type(pointer)
    return forms if named in (None, "Patient") else f"{forms}; it points to another type"
