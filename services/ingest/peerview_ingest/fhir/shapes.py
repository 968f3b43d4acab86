"""What is read of each resource, as types: everything else in it is passed over.

A field that is no text where one must be, no object, no list, refuses the resource where it is
asked for; ``shaping`` sees to that. Fields whose wrong values are told apart by their meaning
(dates, numbers), or that nothing wrong can be in, are ``Any``.

Without ``gc``: what comes of JSON holds no cycles, and the collector need not look for any.
"""

from typing import Any

from msgspec import Struct, field


class Coding(Struct, gc=False):
    system: str | None = None
    code: str | None = None


class Concept(Struct, gc=False):
    coding: list[Coding] | None = None
    text: str | None = None


class Identifier(Struct, gc=False):
    system: str | None = None
    value: str | None = None


class Reference(Struct, gc=False):
    reference: str | None = None
    type: str | None = None
    identifier: Identifier | None = None


class Period(Struct, gc=False):
    start: Any = None
    end: Any = None


class Quantity(Struct, gc=False):
    value: Any = None
    code: str | None = None
    unit: str | None = None


class Meta(Struct, gc=False):
    lastUpdated: str | None = None  # noqa: N815 - FHIR's own names
    versionId: Any = None  # noqa: N815


class Resource(Struct, tag_field="resourceType", gc=False):
    """What every mapped type has. The classes' names are the types'."""

    id: str | None = None
    meta: Meta | None = None
    identifier: list[Identifier] | Identifier | None = None
    contained: Any = None


class Patient(Resource, tag=True, gc=False):
    identifier: list[Identifier] | None = None
    birthDate: Any = None  # noqa: N815
    gender: str | None = None
    deceasedDateTime: Any = None  # noqa: N815
    deceasedBoolean: bool | None = None  # noqa: N815
    active: bool | None = None
    generalPractitioner: list[Reference] | None = None  # noqa: N815


class EpisodeOfCare(Resource, tag=True, gc=False):
    patient: Reference | None = None
    status: str | None = None
    managingOrganization: Reference | None = None  # noqa: N815
    period: Period | None = None


class Condition(Resource, tag=True, gc=False):
    subject: Reference | None = None
    verificationStatus: str | Concept | None = None  # noqa: N815
    clinicalStatus: str | Concept | None = None  # noqa: N815
    code: Concept | None = None
    onsetDateTime: Any = None  # noqa: N815
    onsetInstant: Any = None  # noqa: N815
    onsetPeriod: Period | None = None  # noqa: N815
    recordedDate: Any = None  # noqa: N815
    abatementDateTime: Any = None  # noqa: N815
    abatementInstant: Any = None  # noqa: N815
    abatementPeriod: Period | None = None  # noqa: N815


class Component(Struct, gc=False):
    code: Concept | None = None
    valueQuantity: Quantity | None = None  # noqa: N815


class Observation(Resource, tag=True, gc=False):
    subject: Reference | None = None
    status: str | None = None
    code: Concept | None = None
    valueQuantity: Quantity | None = None  # noqa: N815
    component: list[Component] | None = None
    effectiveDateTime: Any = None  # noqa: N815
    effectiveInstant: Any = None  # noqa: N815
    effectivePeriod: Period | None = None  # noqa: N815


class MedicationRequest(Resource, tag=True, gc=False):
    subject: Reference | None = None
    status: str | None = None
    intent: str | None = None
    doNotPerform: bool | None = None  # noqa: N815
    medicationCodeableConcept: Concept | None = None  # noqa: N815
    medicationReference: Reference | None = None  # noqa: N815
    authoredOn: Any = None  # noqa: N815


class Extension(Struct, gc=False):
    url: Any = None
    valueCodeableConcept: Concept | None = None  # noqa: N815


class Immunization(Resource, tag=True, gc=False):
    patient: Reference | None = None
    status: str | None = None
    vaccineCode: Concept | None = None  # noqa: N815
    extension: list[Extension] | None = None
    occurrenceDateTime: Any = None  # noqa: N815
    occurrenceInstant: Any = None  # noqa: N815
    occurrencePeriod: Period | None = None  # noqa: N815


class AppointmentParticipant(Struct, gc=False):
    actor: Reference | None = None


class Appointment(Resource, tag=True, gc=False):
    status: str | None = None
    start: Any = None
    created: Any = None
    serviceType: list[Concept] | None = None  # noqa: N815
    participant: list[AppointmentParticipant] | None = None


class RoleCoding(Struct, gc=False):
    code: Any = None


class Role(Struct, gc=False):
    coding: list[RoleCoding] | None = None


class EncounterParticipant(Struct, gc=False):
    individual: Reference | None = None
    type: list[Role] | None = None


class Encounter(Resource, tag=True, gc=False):
    subject: Reference | None = None
    status: str | None = None
    class_: Coding | None = field(name="class", default=None)
    period: Period | None = None
    participant: list[EncounterParticipant] | None = None


class Procedure(Resource, tag=True, gc=False):
    subject: Reference | None = None
    status: str | None = None
    code: Concept | None = None
    performedDateTime: Any = None  # noqa: N815
    performedInstant: Any = None  # noqa: N815
    performedPeriod: Period | None = None  # noqa: N815
