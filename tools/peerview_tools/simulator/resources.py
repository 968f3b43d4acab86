"""FHIR R4 resources in the manner of UK Core, with the names, addresses and free text that real
ones carry and that must never reach the log."""

from datetime import date, datetime
from typing import Any, TypeAlias

from peerview_tools.simulator.codes import BP_PANEL, Code

Resource: TypeAlias = dict[str, Any]

PROFILES = "https://fhir.hl7.org.uk/StructureDefinition/UKCore-"
UNITS = "http://unitsofmeasure.org"
ODS_SYSTEM = "https://fhir.nhs.uk/Id/ods-organization-code"
NHS_NUMBER_SYSTEM = "https://fhir.nhs.uk/Id/nhs-number"


def instant(moment: datetime) -> str:
    """A FHIR instant in UTC, to the millisecond."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _resource(kind: str, identity: str, updated: datetime, version: int) -> Resource:
    return {
        "resourceType": kind,
        "id": identity,
        "meta": {
            "versionId": str(version),
            "lastUpdated": instant(updated),
            "profile": [PROFILES + kind],
        },
    }


def _concept(code: Code) -> Resource:
    coding = {"system": code.system, "code": code.code, "display": code.display}
    return {"coding": [coding], "text": code.display}


def _patient(identity: str) -> Resource:
    return {"reference": f"Patient/{identity}"}


def patient(
    identity: str,
    updated: datetime,
    *,
    nhs_number: str,
    name: tuple[str, str],
    address: tuple[str, str, str],
    female: bool,
    born: date,
    ods: str,
    died: date | None = None,
) -> Resource:
    given, family = name
    line, city, postcode = address
    found = _resource("Patient", identity, updated, 1) | {
        "identifier": [{"system": NHS_NUMBER_SYSTEM, "value": nhs_number}],
        "active": True,
        "name": [{"use": "official", "family": family, "given": [given]}],
        "gender": "female" if female else "male",
        "birthDate": born.isoformat(),
        "address": [{"use": "home", "line": [line], "city": city, "postalCode": postcode}],
        "telecom": [{"system": "phone", "value": "01632 960" + nhs_number[-3:]}],
        "generalPractitioner": [{"identifier": {"system": ODS_SYSTEM, "value": ods}}],
    }
    if died is not None:
        found["deceasedDateTime"] = died.isoformat()
    return found


def episode(
    identity: str,
    updated: datetime,
    *,
    patient: str,
    ods: str,
    start: date,
    end: date | None = None,
) -> Resource:
    period = {"start": start.isoformat()}
    if end is not None:
        period["end"] = end.isoformat()
    return _resource("EpisodeOfCare", identity, updated, 1) | {
        "status": "active" if end is None else "finished",
        "patient": _patient(patient),
        "managingOrganization": {"identifier": {"system": ODS_SYSTEM, "value": ods}},
        "period": period,
    }


def condition(
    identity: str, updated: datetime, *, patient: str, code: Code, onset: date
) -> Resource:
    return _resource("Condition", identity, updated, 1) | {
        "clinicalStatus": {"coding": [{"code": "active"}]},
        "verificationStatus": {"coding": [{"code": "confirmed"}]},
        "code": _concept(code),
        "subject": _patient(patient),
        "onsetDateTime": onset.isoformat(),
    }


def observation(
    identity: str,
    updated: datetime,
    *,
    patient: str,
    code: Code,
    at: datetime,
    value: float | None = None,
    unit: str = "",
    status: str = "final",
    version: int = 1,
) -> Resource:
    """A reading, or, without a value, a coded fact."""
    found = _resource("Observation", identity, updated, version) | {
        "status": status,
        "code": _concept(code),
        "subject": _patient(patient),
        "effectiveDateTime": at.isoformat(timespec="seconds"),
    }
    if value is not None:
        found["valueQuantity"] = {"value": value, "unit": unit, "system": UNITS, "code": unit}
    return found


def pressure(
    identity: str,
    updated: datetime,
    *,
    patient: str,
    at: datetime,
    systolic: tuple[Code, int],
    diastolic: tuple[Code, int],
    status: str = "final",
    version: int = 1,
) -> Resource:
    """A blood-pressure panel; the components' codes say whether clinic or home."""
    panel = observation(
        identity, updated, patient=patient, code=BP_PANEL, at=at, status=status, version=version
    )
    panel["component"] = [
        {
            "code": _concept(code),
            "valueQuantity": {"value": value, "unit": "mmHg", "system": UNITS, "code": "mm[Hg]"},
        }
        for code, value in (systolic, diastolic)
    ]
    return panel


def prescription(
    identity: str, updated: datetime, *, patient: str, code: Code, authored: date
) -> Resource:
    return _resource("MedicationRequest", identity, updated, 1) | {
        "status": "completed",
        "intent": "order",
        "medicationCodeableConcept": _concept(code),
        "subject": _patient(patient),
        "authoredOn": authored.isoformat(),
        "dosageInstruction": [{"text": "As directed by your doctor"}],
    }


def immunization(
    identity: str, updated: datetime, *, patient: str, code: Code, day: date
) -> Resource:
    return _resource("Immunization", identity, updated, 1) | {
        "status": "completed",
        "vaccineCode": _concept(code),
        "patient": _patient(patient),
        "occurrenceDateTime": day.isoformat(),
    }


def appointment(
    identity: str,
    updated: datetime,
    *,
    patient: str,
    booked: datetime,
    start: datetime,
    status: str,
    category: str,
) -> Resource:
    return _resource("Appointment", identity, updated, 1) | {
        "status": status,
        "serviceType": [{"text": category}],
        "created": booked.isoformat(timespec="seconds"),
        "start": start.isoformat(timespec="seconds"),
        "minutesDuration": 15,
        "participant": [{"actor": _patient(patient), "status": "accepted"}],
    }


def encounter(identity: str, updated: datetime, *, patient: str, gp: str, at: datetime) -> Resource:
    return _resource("Encounter", identity, updated, 1) | {
        "status": "finished",
        "class": {
            "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
            "code": "AMB",
        },
        "subject": _patient(patient),
        "period": {"start": at.isoformat(timespec="seconds")},
        "participant": [
            {
                "type": [{"coding": [{"code": "PPRF"}]}],
                "individual": {"reference": f"Practitioner/{gp}"},
            }
        ],
    }
