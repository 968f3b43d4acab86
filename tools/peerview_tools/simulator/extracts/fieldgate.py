"""Fieldgate, who do not exist: commas, a byte order mark, quotes where needed, dd/mm/yyyy, GUIDs.

Both numbers of a blood pressure stand in one row; a patient's registration stands in the patient's.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Final

from peerview_tools.simulator import codes
from peerview_tools.simulator.extracts.said import (
    category_of,
    code_of,
    gp_of,
    moment,
    patient_of,
    quantity,
    updated,
)
from peerview_tools.simulator.resources import Resource

Row = dict[str, str]

SEXES: Final = {"female": "F", "male": "M", "other": "I"}
SLOTS: Final = {
    "booked": "Booked",
    "arrived": "Arrived",
    "fulfilled": "Left",
    "noshow": "DNA",
    "cancelled": "Cancelled",
}
NOTE: Final = 'Seen by Dr "Bill" Fakenham; son, José, came too.\r\nWill ring back, 01632 960999'
"""What people write: quotes, commas, line breaks, names."""

FILES: Final = {
    "Patient": "Admin_Patient",
    "Observation": "CareRecord_Observation",
    "Condition": "CareRecord_Problem",
    "MedicationRequest": "Prescribing_IssueRecord",
    "Immunization": "Immunisation",
    "Appointment": "Appointment_Slot",
    "Encounter": "CareRecord_Consultation",
}
COLUMNS: Final = {
    "Patient": "PatientGuid NhsNumber Sex DateOfBirth DateOfDeath GivenName Surname "
    "NumberAndStreet Town Postcode DateOfRegistration DateOfDeactivation",
    "Observation": "ObservationGuid PatientGuid EffectiveDate EffectiveTime SnomedConceptId "
    "LocalCode Term Value NumericUnit Systolic Diastolic ReadingPlace AssociatedText",
    "Condition": "ProblemGuid PatientGuid EffectiveDate EndDate SnomedConceptId Term "
    "ProblemStatus Comment",
    "MedicationRequest": "IssueRecordGuid PatientGuid EffectiveDate DmdProductId BnfReference "
    "Term Dosage IssueStatus",
    "Immunization": "ImmunisationGuid PatientGuid EffectiveDate SnomedConceptId Term Given",
    "Appointment": "SlotGuid PatientGuid AppointmentDate AppointmentStartTime BookedDate "
    "BookedTime SlotStatus NationalCategory",
    "Encounter": "ConsultationGuid PatientGuid EffectiveDate EffectiveTime "
    "ClinicianUserInRoleGuid ClinicianJobCategory ConsultationPlace",
}
COMMON: Final = "OrganisationOds AvailabilityDate AvailabilityTime Deleted"


def write(
    folder: Path, ods: str, day: date, resources: list[Resource], removed: list[Resource]
) -> list[Path]:
    rows: defaultdict[str, list[Row]] = defaultdict(list)
    registrations = {
        patient_of(found): found
        for found in [*resources, *removed]
        if found["resourceType"] == "EpisodeOfCare"
    }
    for deleted, group in (("False", resources), ("True", removed)):
        for found in group:
            kind = found["resourceType"]
            if kind == "EpisodeOfCare":
                continue
            rows[kind].append(
                _row(found, registrations) | _common(found, registrations, ods, deleted)
            )
    return [_file(folder, day, kind, rows[kind]) for kind in FILES]


def _file(folder: Path, day: date, kind: str, rows: Iterable[Row]) -> Path:
    path = folder / f"{FILES[kind]}_{day:%Y%m%d}.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        names = f"{COMMON} {COLUMNS[kind]}".split()
        writer = csv.DictWriter(file, names, restval="", lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def _common(found: Resource, registrations: dict[str, Resource], ods: str, deleted: str) -> Row:
    at = updated(found)
    if found["resourceType"] == "Patient" and (of := registrations.get(found["id"])) is not None:
        at = max(at, updated(of))
    return {
        "OrganisationOds": ods,
        "AvailabilityDate": _day(at),
        "AvailabilityTime": f"{at:%H:%M:%S}",
        "Deleted": deleted,
    }


def _day(value: date | datetime | None) -> str:
    return "" if value is None else f"{value:%d/%m/%Y}"


def _time(value: date | datetime | None) -> str:
    return f"{value:%H:%M:%S}" if isinstance(value, datetime) else ""


def _row(found: Resource, registrations: dict[str, Resource]) -> Row:
    kind = found["resourceType"]
    if kind == "Patient":
        return _patient(found, registrations.get(found["id"]))
    row = {COLUMNS[kind].split()[0]: found["id"], "PatientGuid": patient_of(found)}
    return row | _OF_KIND[kind](found)


def _patient(found: Resource, registration: Resource | None) -> Row:
    period = {} if registration is None else registration["period"]
    name, address = found["name"][0], found["address"][0]
    return {
        "PatientGuid": found["id"],
        "NhsNumber": found["identifier"][0]["value"],
        "Sex": SEXES[found["gender"]],
        "DateOfBirth": _day(moment(found["birthDate"])),
        "DateOfDeath": _day(moment(found.get("deceasedDateTime"))),
        "GivenName": name["given"][0],
        "Surname": name["family"],
        "NumberAndStreet": address["line"][0],
        "Town": address["city"],
        "Postcode": address["postalCode"],
        "DateOfRegistration": _day(moment(period.get("start"))),
        "DateOfDeactivation": _day(moment(period.get("end"))),
    }


def _observation(found: Resource) -> Row:
    at = moment(found["effectiveDateTime"])
    system, code, term = code_of(found)
    value, unit = quantity(found)
    row = {
        "EffectiveDate": _day(at),
        "EffectiveTime": _time(at),
        "SnomedConceptId" if system == codes.SNOMED else "LocalCode": code,
        "Term": term,
        "Value": value,
        "NumericUnit": unit,
        "AssociatedText": NOTE if hash_of(found) % 7 == 0 else "",
    }
    if parts := found.get("component"):
        first = parts[0]["code"]["coding"][0]["code"]
        row["Systolic"], row["Diastolic"] = (str(p["valueQuantity"]["value"]) for p in parts)
        row["ReadingPlace"] = "Home" if first == codes.HOME_SYSTOLIC.code else "Surgery"
    return row


def hash_of(found: Resource) -> int:
    """Some number that is the resource's own, and the same each time."""
    return int(found["id"][:8], 16)


def _condition(found: Resource) -> Row:
    return {
        "EffectiveDate": _day(moment(found["onsetDateTime"])),
        "SnomedConceptId": code_of(found)[1],
        "Term": code_of(found)[2],
        "ProblemStatus": "Active",
        "Comment": NOTE if hash_of(found) % 5 == 0 else "",
    }


def _medication(found: Resource) -> Row:
    system, code, term = code_of(found)
    return {
        "EffectiveDate": _day(moment(found["authoredOn"])),
        "BnfReference" if system == codes.BNF else "DmdProductId": code,
        "Term": term,
        "Dosage": found["dosageInstruction"][0]["text"],
        "IssueStatus": "Issued",
    }


def _immunisation(found: Resource) -> Row:
    return {
        "EffectiveDate": _day(moment(found["occurrenceDateTime"])),
        "SnomedConceptId": code_of(found)[1],
        "Term": code_of(found)[2],
        "Given": "Given",
    }


def _appointment(found: Resource) -> Row:
    start, booked = moment(found["start"]), moment(found["created"])
    return {
        "AppointmentDate": _day(start),
        "AppointmentStartTime": _time(start),
        "BookedDate": _day(booked),
        "BookedTime": _time(booked),
        "SlotStatus": SLOTS[found["status"]],
        "NationalCategory": category_of(found),
    }


def _contact(found: Resource) -> Row:
    at = moment(found["period"]["start"])
    return {
        "EffectiveDate": _day(at),
        "EffectiveTime": _time(at),
        "ClinicianUserInRoleGuid": gp_of(found),
        "ClinicianJobCategory": "General Medical Practitioner",
        "ConsultationPlace": "Surgery",
    }


_OF_KIND: Final = {
    "Observation": _observation,
    "Condition": _condition,
    "MedicationRequest": _medication,
    "Immunization": _immunisation,
    "Appointment": _appointment,
    "Encounter": _contact,
}
