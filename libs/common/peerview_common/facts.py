"""Facts: what is left of a clinical resource once everything that no indicator needs is gone.

A fact is the newest known version of one resource of one patient. Facts travel in change sets and
rest in ``patient.state`` in the same MessagePack form (arrays, no field names), which is described
for readers in other languages in ``docs/formats.md``. Changing a field's place or meaning is a new
``FORMAT``.

Nothing in a fact can refer back to it, so the garbage collector need not look at any
(``gc=False``): decoding costs a sixth less.
"""

import hashlib
import re
import uuid
from enum import IntEnum
from typing import Final, TypeAlias

import msgspec

FORMAT: Final = 1

Code: TypeAlias = int | str
"""A clinical code in one space: an ``int`` is a SNOMED CT or dm+d identifier (the two are one code
space), ``bnf:PREFIX`` the longest listed BNF prefix, ``SYSTEM|CODE`` anything else."""

EARLIEST: Final = -(2**62)
"""The stamp of a version that carries no ``lastUpdated`` where there is no time of receipt."""
FINAL: Final = 2**62
"""The stamp of a deletion without a time where there is no time of receipt."""
NO_VERSION: Final = -1


class ResourceType(IntEnum):
    """In alphabetical order, so that comparing numbers is comparing names."""

    APPOINTMENT = 0
    CONDITION = 1
    ENCOUNTER = 2
    EPISODE_OF_CARE = 3
    IMMUNIZATION = 4
    MEDICATION_REQUEST = 5
    OBSERVATION = 6
    PATIENT = 7
    PROCEDURE = 8


FHIR_NAMES: Final[dict[str, ResourceType]] = {
    "Appointment": ResourceType.APPOINTMENT,
    "Condition": ResourceType.CONDITION,
    "Encounter": ResourceType.ENCOUNTER,
    "EpisodeOfCare": ResourceType.EPISODE_OF_CARE,
    "Immunization": ResourceType.IMMUNIZATION,
    "MedicationRequest": ResourceType.MEDICATION_REQUEST,
    "Observation": ResourceType.OBSERVATION,
    "Patient": ResourceType.PATIENT,
    "Procedure": ResourceType.PROCEDURE,
}


class Sex(IntEnum):
    UNKNOWN = 0
    MALE = 1
    FEMALE = 2
    OTHER = 3


class GeneralPractice(IntEnum):
    """What ``Patient.generalPractitioner`` says, as seen by the practice that sent it."""

    ABSENT = 0
    HERE = 1
    """This practice, or one that gives no practice; or the source is declared ``register-all``."""
    ELSEWHERE = 2


class Unit(IntEnum):
    ABSENT = 0
    MM_HG = 1
    MMOL_PER_MOL = 2
    PERCENT = 3
    OTHER = 4


class AppointmentStatus(IntEnum):
    PROPOSED = 0
    PENDING = 1
    BOOKED = 2
    ARRIVED = 3
    FULFILLED = 4
    CANCELLED = 5
    NOSHOW = 6
    CHECKED_IN = 7
    WAITLIST = 8


NATIONAL_CATEGORIES: Final = (
    "General Consultation Acute",
    "General Consultation Routine",
    "Unplanned Clinical Activity",
    "Clinical Triage",
    "Walk-in",
    "Home Visit",
    "Care Home Visit",
    "Care Related Encounter but does not fit into any other category",
)
"""The eight national appointment categories; a fact keeps the index."""


class Person(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=1):
    """From Patient. Days are Europe/London days since 1970-01-01."""

    birth: int | None
    sex: int
    died: int | None
    """The day of death; ``LONG_AGO`` for ``deceasedBoolean`` without a date."""
    practice: int
    """A ``GeneralPractice``."""
    inactive_from: int | None
    """Set by ``active = false``: the day of ``lastUpdated``, or ``LONG_AGO``."""
    birth_approximate: bool


class Registration(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=2):
    """From EpisodeOfCare."""

    here: bool
    """At the practice that sent it, and of a status that registers somebody."""
    start: int
    """``LONG_AGO`` where unknown."""
    end: int | None


class Component(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A component of a blood-pressure panel."""

    codes: tuple[Code, ...]
    value: int | float | None
    unit: int


class Coded(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=3):
    """From Condition, Observation, Procedure, MedicationRequest or Immunization."""

    day: int
    elapsed: int
    """Microseconds since the local day began; 0 for a date without a time."""
    codes: tuple[Code, ...]
    """Listed codes only, sorted by ``code_order``, without duplicates; never empty (save for a
    panel, whose code is itself listed)."""
    value: int | float | None
    unit: int
    resolved: int | None
    """Of a Condition whose ``clinicalStatus`` is resolved, inactive or remission: the day of its
    abatement, else of ``lastUpdated``."""
    components: tuple[Component, ...]


class Appointment(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=4):
    day: int
    booked: int | None
    status: int
    """An ``AppointmentStatus``."""
    category: int | None
    """An index into ``NATIONAL_CATEGORIES``."""


class Contact(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=5):
    """From a finished Encounter with an identified GP."""

    day: int
    gp: bytes
    """8 bytes: a keyed hash of the practitioner's reference, or of their identifier."""


Body: TypeAlias = Person | Registration | Coded | Appointment | Contact


class Fact(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One version of one resource.

    ``body`` is None for a version that takes no part: a deletion (``deleted``), or a resource whose
    status, codes or date leave nothing to count. It still beats every earlier version.
    """

    type: int
    """A ``ResourceType``."""
    id: bytes
    """The logical id, packed: a zero byte and 16 bytes for a UUID in canonical lower case, else
    its text in UTF-8 (``id_text`` gives the text back)."""
    stamp: int
    """``lastUpdated`` in whole milliseconds UTC, or what stands in for it."""
    version: int
    """``versionId`` when it is all digits, else -1."""
    source: str
    """Empty for the source system under which the patient's key was made; else its name."""
    deleted: bool
    body: Person | Registration | Coded | Appointment | Contact | None

    @property
    def key(self) -> tuple[str, int, bytes]:
        """The identity that versions share, within one patient."""
        return (self.source, self.type, self.id)


_encoder = msgspec.msgpack.Encoder()


_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)


def pack_id(text: str) -> bytes:
    """A logical id in its shortest lossless form."""
    if len(text) == 36 and _UUID.fullmatch(text):
        return b"\0" + bytes.fromhex(text.replace("-", ""))
    return text.encode()


def id_text(packed: bytes) -> str:
    if len(packed) == 17 and packed[0] == 0:
        return str(uuid.UUID(bytes=packed[1:]))
    return packed.decode()


def code_order(code: Code) -> tuple[bool, int | str]:
    """A total order over both forms of a code."""
    return (isinstance(code, str), code)


def fact_digest(fact: Fact) -> bytes:
    """SHA-256 of the minimised fact, for the tie-break of equal versions."""
    return hashlib.sha256(_encoder.encode(fact)).digest()


def newer(a: Fact, b: Fact) -> Fact:
    """The version that counts of two versions of one resource.

    The greatest ``(stamp, version)`` wins; at a tie a deletion wins, then the greater SHA-256 of
    the minimised fact: a choice that does not depend on the order of arrival.
    """
    left, right = (a.stamp, a.version, a.deleted), (b.stamp, b.version, b.deleted)
    if left != right:
        return a if left > right else b
    # by bytes, not by value: 140 and 140.0 are equal and are not the same bytes
    return a if fact_digest(a) >= fact_digest(b) else b
