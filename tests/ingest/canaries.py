"""Canaries: made-up people in every field of every resource, and a search for them in any form.

``everything()`` is all that is planted; ``Finder`` finds a canary in bytes, whether it stands there
as it was sent, encoded, reversed, or as a plain hash that anybody could try out.
"""

import base64
import hashlib
import html
import itertools
import json
import struct
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from tests.ingest.builders import (
    NHS,
    ODS,
    appointment,
    bundle,
    condition,
    deletion,
    dissent,
    encounter,
    episode,
    meta,
    observation,
    patient,
    prescription,
    resource,
)

Json = dict[str, Any]

NAME, GIVEN = "Zebedee-Quillfeather", "Marigolde"
PRACTITIONER = "Dr Thistlewick"
STREET, POSTCODE = "13 Wobblegate Wynd", "ZQ97 9ZZ"
PROSE = "sworn to utmost secrecy"
PHONE = "07700900461"
NUMBERS = ("9990000018", "9990548609")
"""Valid NHS numbers of the range that is never issued."""
WORDS = (
    "Zebedee", "Quillfeather", "Marigolde", "Thistlewick", "Wobblegate", "Wynd", POSTCODE,
    "utmost", "secrecy", PHONE,
)  # fmt: skip
"""Every one of them alone is enough."""

# the elements of R4, beside those that every resource has
ELEMENTS = {
    "Patient": """identifier active name telecom gender birthDate deceasedBoolean deceasedDateTime
        address maritalStatus multipleBirthBoolean multipleBirthInteger photo contact communication
        generalPractitioner managingOrganization link""",
    "Condition": """identifier clinicalStatus verificationStatus category severity code bodySite
        subject encounter onsetDateTime onsetAge onsetPeriod onsetRange onsetString
        abatementDateTime abatementAge abatementPeriod abatementRange abatementString recordedDate
        recorder asserter stage evidence note""",
    "Observation": """identifier basedOn partOf status category code subject focus encounter
        effectiveDateTime effectivePeriod effectiveTiming effectiveInstant issued performer
        valueQuantity valueCodeableConcept valueString valueBoolean valueInteger valueRange
        valueRatio valueSampledData valueTime valueDateTime valuePeriod dataAbsentReason
        interpretation note bodySite method specimen device referenceRange hasMember derivedFrom
        component""",
    "MedicationRequest": """identifier status statusReason intent category priority doNotPerform
        reportedBoolean reportedReference medicationCodeableConcept medicationReference subject
        encounter supportingInformation authoredOn requester performer performerType recorder
        reasonCode reasonReference instantiatesCanonical instantiatesUri basedOn groupIdentifier
        courseOfTherapyType insurance note dosageInstruction dispenseRequest substitution
        priorPrescription detectedIssue eventHistory""",
    "Encounter": """identifier status statusHistory class classHistory type serviceType priority
        subject episodeOfCare basedOn participant appointment period length reasonCode
        reasonReference diagnosis account hospitalization location serviceProvider partOf""",
    "Appointment": """identifier status cancelationReason serviceCategory serviceType specialty
        appointmentType reasonCode reasonReference priority description supportingInformation start
        end minutesDuration slot created comment patientInstruction basedOn participant
        requestedPeriod""",
    "EpisodeOfCare": """identifier status statusHistory type diagnosis patient managingOrganization
        period referralRequest careManager team account""",
    "Immunization": """identifier status statusReason vaccineCode patient encounter
        occurrenceDateTime occurrenceString recorded primarySource reportOrigin location
        manufacturer lotNumber expirationDate site route doseQuantity performer note reasonCode
        reasonReference isSubpotent subpotentReason education programEligibility fundingSource
        reaction protocolApplied""",
    "Procedure": """identifier instantiatesCanonical instantiatesUri basedOn partOf status
        statusReason category code subject encounter performedDateTime performedPeriod
        performedString performedAge performedRange recorder asserter performer location reasonCode
        reasonReference bodySite outcome report complication complicationDetail followUp note
        focalDevice usedReference usedCode""",
    "Organization": "identifier active type name alias telecom address partOf contact endpoint",
}
OF_ALL = """implicitRules language text contained extension modifierExtension meta _id _status
    NotAnElement"""


DECISIVE = set(
    """actor code coding end extension id identifier individual reference start system text unit
    value""".split()  # noqa: SIM905 - a list of words reads better
)
"""Beside what is there, these would decide what a resource says."""


def rich() -> Json:
    """Every element of FHIR's data types that could hold something of a person, and more."""
    who = {"reference": f"Practitioner/{PRACTITIONER}", "display": PRACTITIONER, "type": NAME}
    number = {"system": NHS, "value": NUMBERS[0], "assigner": {"display": NAME}}
    coding = {"system": NAME, "code": PROSE, "display": NAME, "version": NUMBERS[1]}
    return {
        "id": NAME,
        "text": PROSE,
        "div": f"<div>{PROSE}</div>",
        "display": NAME,
        "value": NUMBERS[0],
        "valueString": PROSE,
        "valueInteger": int(NUMBERS[0]),
        "system": f"tel:{PHONE}",
        "code": NUMBERS[1],
        "unit": NAME,
        "coding": [coding],
        "identifier": number,
        "reference": f"Patient?identifier={NHS}|{NUMBERS[0]}",
        "family": NAME,
        "given": [GIVEN],
        "line": [STREET],
        "city": STREET,
        "postalCode": POSTCODE,
        "authorString": PRACTITIONER,
        "authorReference": who,
        "actor": who,
        "individual": who,
        "url": f"https://example.org/{NAME}?nhs={NUMBERS[1]}",
        "data": base64.b64encode(PROSE.encode()).decode(),
        "start": NAME,
        "end": PROSE,
        "extension": [{"url": f"urn:{NAME}", "valueString": PROSE, "valueIdentifier": number}],
        NAME: {PROSE: [NUMBERS[0], {GIVEN: POSTCODE}]},
    }


def full(document: Json) -> Iterator[Json]:
    """The resource with all other elements of its type filled: by lists, objects and texts."""
    kind = document["resourceType"]
    names = [*ELEMENTS.get(kind, "identifier subject note").split(), *OF_ALL.split()]
    for n, form in enumerate(([rich()], rich(), PROSE, [PROSE, NUMBERS[0]], int(NUMBERS[0]))):
        found = json.loads(json.dumps(document))
        found["id"] = f"{found['id']}{n}" if "id" in found else f"f{n}"
        for name in names:
            found.setdefault(name, form)
        yield _beside(found)
    # and those alone that decide: with the others absent it is accepted
    yield _beside(json.loads(json.dumps(document)))


def _beside(value: Any) -> Any:
    """Canaries beside what is there, in every object: as further keys, and as primitive's
    extensions."""
    if isinstance(value, list):
        return [_beside(each) for each in value]
    if not isinstance(value, dict):
        return value
    found = {name: _beside(each) for name, each in value.items()}
    for name, each in rich().items():
        if name not in DECISIVE:
            found.setdefault(name, each)
    for name in list(value):
        found.setdefault(f"_{name}", {"extension": [{"url": NAME, "valueString": PROSE}]})
    if isinstance(found.get("coding"), list):
        found["coding"].append({"system": NAME, "code": NUMBERS[0], "display": NAME})
    return found


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of everything that is neither an object nor a list."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from leaves(each, (*path, name))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from leaves(each, (*path, number))
    else:
        yield path


def instead(document: Json) -> Iterator[Json]:
    """The resource with one leaf at a time replaced: by texts, a number, and another structure; in
    references and dates also as a part."""
    for path in leaves(document):
        old = document
        for step in path:
            old = old[step]
        options: list[Any] = [
            NAME,
            NUMBERS[0],
            f"{PROSE} {PHONE}",
            int(NUMBERS[1]),
            rich(),
            [PROSE],
        ]
        if isinstance(old, str):
            kind = old.partition("/")[0]
            options += [
                f"{old}{NUMBERS[0]}",
                f"{old} {NAME}",
                f"{kind}/{NAME}",
                f"{kind}/{NUMBERS[1]}",
            ]
            options += [f"https://example.org/{NAME}/{kind}/{NUMBERS[0]}", f"urn:uuid:{NAME}"]
        for option in options:
            found = json.loads(json.dumps(document))
            place = found
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = option
            yield found


def bases() -> list[Json]:
    """One accepted resource of every type, and one of a type that nobody needs."""
    stamp = meta("2026-01-01T00:00:00Z", "1")
    coded = {"coding": [{"system": "http://snomed.info/sct", "code": "38341003"}]}
    organisation = {
        "resourceType": "Organization",
        "id": "o1",
        "identifier": [{"system": ODS, "value": "A99001"}],
    }
    people = patient(
        generalPractitioner=[{"identifier": {"system": ODS, "value": "A99001"}}],
        identifier=[{"system": NHS, "value": "9990000026"}],
        active=True,
        meta=stamp,
    )
    panel = observation(
        "b1",
        code={"coding": [{"system": "http://loinc.org", "code": "85354-9"}]},
        valueQuantity=None,
        meta=stamp,
        component=[
            {
                "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]},
                "valueQuantity": {"value": 138, "unit": "mm[Hg]", "code": "mm[Hg]"},
            }
        ],
    )
    vaccine = resource(
        "Immunization",
        "i1",
        status="completed",
        vaccineCode=coded,
        occurrenceDateTime="2026-01-02",
        meta=stamp,
    )
    return [
        organisation,
        people,
        condition(meta=stamp, clinicalStatus=coded, recordedDate="2020-02-20"),
        observation(meta=stamp),
        panel,
        prescription(meta=stamp),
        encounter(meta=stamp),
        appointment(meta=stamp),
        episode(meta=stamp, managingOrganization={"reference": "Organization/o1"}),
        vaccine,
        resource("Procedure", "q1", status="completed", code=coded, performedDateTime="2026-01-02"),
        dissent(),
        resource("AllergyIntolerance", "z1", note=[{"text": PROSE}]),
    ]


@lru_cache
def everything() -> tuple[Json, ...]:
    """All resources that are planted."""
    found = []
    for base in bases():
        found += full(base)
        found += instead(base)
    return (*found, *contained(), *named())


def contained() -> list[Json]:
    """Resources within resources, whole people among them."""
    inside = [{**rich(), "resourceType": kind, "id": "in1"} for kind in ("Patient", "Practitioner")]
    return [
        {**base, "contained": [*inside, patient("in2", name=[rich()])], "id": f"{base['id']}9"}
        for base in bases()
    ]


def named() -> list[Json]:
    """People whose names are their ids, and what is theirs."""
    found = []
    for who in (
        NAME,
        f"{GIVEN} {NAME}",
        NUMBERS[0],
        "999 000 0018",
        PHONE,
        POSTCODE,
        GIVEN[:4] + "1950",
    ):
        found += [
            patient(who),
            condition(who, subject={"reference": f"Patient/{who}"}),
            observation(who, subject={"reference": f"Patient/{who}"}, valueString=PROSE),
            prescription(who, subject={"reference": f"Patient/{who}"}),
            appointment(who, f"Patient/{who}", start="2026-01-12T09:00:00Z"),
            encounter(
                who,
                subject={"reference": f"Patient/{who}"},
                participant=[{"individual": {"reference": f"Practitioner/{who}", "display": who}}],
            ),
            episode(who, patient={"reference": f"Patient/{who}"}),
            {
                "resourceType": "Organization",
                "id": who,
                "identifier": [{"system": ODS, "value": who}],
            },
        ]
    return found


def bundles() -> list[Json]:
    """Bundles with canaries in what is the Bundle's own."""
    entries = [
        {"fullUrl": f"urn:uuid:{NAME}", "resource": patient(), **rich()},
        {"resource": condition(), "request": {"method": "PUT", "url": f"Condition/{NAME}"}},
        {"resource": condition("x1"), "request": {"method": NAME, "url": NAME}},
        {"resource": condition("x2"), "request": rich()},
        {"resource": PROSE, "search": rich(), "response": rich()},
        {"resource": {"resourceType": NAME, "id": NUMBERS[0]}},
        {"resource": {"resourceType": "Bundle", "entry": [{"resource": patient(NAME)}]}},
        deletion(f"Observation/{NUMBERS[0]}"),
        deletion(f"{NAME}/{PROSE}"),
        deletion("Condition/c1", response={"etag": f'W/"{NUMBERS[0]}"', "lastModified": NAME}),
        deletion("Condition/c1", response={"etag": f'W/"{NUMBERS[0]}"'}),
        PROSE,
        [NAME],
    ]
    return [
        bundle(*entries, identifier=rich(), link=[rich()], signature=rich(), total=int(NUMBERS[0])),
        bundle(*entries, kind="transaction", timestamp=NAME),
        bundle(patient(), kind=NAME),
        bundle(patient(), kind="collection", timestamp=f"2026-01-01T00:00:00Z{NAME}"),
        {"resourceType": "Bundle", "type": "batch", "entry": PROSE},
        {"resourceType": NAME, NUMBERS[0]: PROSE},
    ]


# -- the search


class Finder:
    """Finds canaries in bytes, in whatever form."""

    def __init__(self) -> None:
        self._texts: dict[bytes, str] = {}
        """In lower case."""
        self._exact: dict[bytes, str] = {}
        for word in WORDS:
            self._text(word, word)
        for number in NUMBERS:
            grouped = [
                f"{number[:3]}{gap}{number[3:6]}{gap}{number[6:]}" for gap in (" ", "-", ".")
            ]
            for form in (number, *grouped):
                self._text(form, number)
            for packed in _packed(int(number)):
                self._exact[packed] = f"{number} as a number"
        for secret in (*NUMBERS, NAME, GIVEN, "999 000 0018", PHONE, "Quillfeather"):
            for digest in _hashes(secret):
                self._exact[digest] = f"a plain hash of {secret}"
                for form in (digest.hex(), base64.b64encode(digest).decode().rstrip("=")):
                    self._texts[form.lower().encode()] = f"a plain hash of {secret}"

    def _text(self, word: str, name: str) -> None:
        for spelled in (word, word[::-1]):
            forms = {spelled, quote(spelled, safe=""), html.escape(spelled)}
            forms.add("".join(f"%{byte:02x}" for byte in spelled.encode()))
            forms.add("".join(f"\\u{ord(letter):04x}" for letter in spelled))
            forms.add("".join(f"&#{ord(letter)};" for letter in spelled))
            for form in forms:
                self._texts[form.lower().encode()] = name
            self._texts[spelled.lower().encode("utf-16-le")] = name
            self._texts[spelled.lower().encode("utf-16-be")] = name
            for case in {spelled, spelled.lower(), spelled.upper(), spelled.title()}:
                self._texts[case.encode().hex().encode()] = f"{name} in hexadecimal"
                for form in _base64(case):
                    # whether case matters or not, nobody writes so many of its letters by chance
                    self._texts[form.lower()] = f"{name} in base64"

    def find(self, data: bytes | str) -> list[str]:
        """Names of the canaries in ``data``."""
        if isinstance(data, str):
            data = data.encode("utf-8", "surrogatepass")
        lower = data.lower()
        found = {name for form, name in self._texts.items() if form in lower}
        found |= {name for form, name in self._exact.items() if form in data}
        return sorted(found)

    def forms(self) -> Iterable[bytes]:
        return itertools.chain(self._texts, self._exact)


def _base64(text: str) -> Iterator[bytes]:
    """The part of ``text`` that does not depend on what stands before and behind it."""
    for before in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            data = encode(b"\0" * before + text.encode()).rstrip(b"=")
            inner = data[(before * 8 + 5) // 6 : (before + len(text.encode())) * 8 // 6]
            if len(inner) >= 8:
                yield inner


def _packed(number: int) -> Iterator[bytes]:
    for order in (">", "<"):
        yield struct.pack(f"{order}q", number)
        yield struct.pack(f"{order}d", float(number))
        yield struct.pack(f"{order}q", -number)
    yield number.to_bytes(5, "big")
    yield number.to_bytes(5, "little")


def _hashes(secret: str) -> Iterator[bytes]:
    for spelled in {secret, secret.lower(), secret.upper()}:
        for method in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "blake2b", "blake2s"):
            yield hashlib.new(method, spelled.encode()).digest()
        yield hashlib.sha256(spelled.encode()).digest()[:16]
        yield hashlib.sha256(spelled.encode()).digest()[:8]
