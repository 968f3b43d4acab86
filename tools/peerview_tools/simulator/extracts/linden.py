"""Linden, who do not exist: pipes, Windows' code page, no quotes, yyyymmdd hhmmss, numbers as ids.

Everything coded is in one file, each number of a blood pressure in a row of its own, and contacts
of nurses stand beside those of GPs.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
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

SCHEMES: Final = {
    codes.SNOMED: "SCT",
    codes.DMD: "DMD",
    codes.BNF: "BNF",
    codes.STAND_IN: "LOCAL",
}
STATUSES: Final = {
    "booked": "Booked",
    "arrived": "Arrived",
    "fulfilled": "Finished",
    "noshow": "Did Not Attend",
    "cancelled": "Cancelled by Patient",
}
CATEGORIES: Final = {
    "General Consultation Acute": "GCA",
    "General Consultation Routine": "GCR",
    "Unplanned Clinical Activity": "UCA",
    "Clinical Triage": "CT",
}
REMARK: Final = "Hélène’s mother – £5 prescription, see “letter” of 3/4"
"""What people write, in signs that are others in UTF-8."""

COLUMNS: Final = {
    "LNPatient": "NHSNumber DateBirth DateDeath Gender FirstName Surname Postcode",
    "LNPatientRegistration": "IDPatient DateRegistration DateDeRegistration "
    "OrganisationRegisteredAt RegistrationStatus",
    "LNCode": "IDPatient DateEvent CodeScheme Code Term EpisodeType DateEpisodeEnd NumericValue "
    "NumericUnit Remark",
    "LNPrimaryCareMedication": "IDPatient DateMedicationStart CodeScheme Code NameOfMedication "
    "MedicationDosage",
    "LNImmunisation": "IDPatient DateEvent CodeScheme Code Term",
    "LNAppointment": "IDPatient DateBooked DateStart CurrentStatus NationalSlotCategory",
    "LNEvent": "IDPatient DateEvent IDDoneBy StaffRole ContactMethod",
}
COMMON: Final = "RowIdentifier OrganisationVisibleTo DateLastAmended RemovedData"


def write(
    folder: Path, ods: str, day: date, resources: list[Resource], removed: list[Resource]
) -> list[Path]:
    rows: defaultdict[str, list[Row]] = defaultdict(list)
    for flag, group in (("0", resources), ("1", removed)):
        for found in group:
            common = {
                "OrganisationVisibleTo": ods,
                "DateLastAmended": f"{updated(found):%Y%m%d %H%M%S}",
                "RemovedData": flag,
            }
            for file, row in _rows(found):
                rows[file].append(common | row)
    return [_file(folder, file, rows[file]) for file in COLUMNS]


def _file(folder: Path, file: str, rows: Iterable[Row]) -> Path:
    path = folder / f"{file}.txt"
    names = f"{COMMON} {COLUMNS[file]}".split()
    lines = ["|".join(names), *("|".join(row.get(name, "") for name in names) for row in rows)]
    path.write_bytes("".join(f"{line}\r\n" for line in lines).encode("cp1252"))
    return path


def number(text: str) -> str:
    """An id of Linden's: a number that is the same each time."""
    return str(int.from_bytes(hashlib.sha256(text.encode()).digest()[:5]))


def _time(text: str | None) -> str:
    value = moment(text)
    if isinstance(value, datetime):
        return f"{value:%Y%m%d %H%M%S}"
    return "" if value is None else f"{value:%Y%m%d}"


def _rows(found: Resource) -> Iterator[tuple[str, Row]]:
    kind = found["resourceType"]
    row = {"RowIdentifier": number(found["id"]), "IDPatient": number(patient_of(found))}
    if kind == "Patient":
        yield "LNPatient", row | _patient(found)
    elif kind == "EpisodeOfCare":
        yield "LNPatientRegistration", row | _registration(found)
    elif kind == "Observation":
        for part, coded in _observation(found):
            yield "LNCode", row | {"RowIdentifier": number(found["id"] + part)} | coded
    elif kind == "Condition":
        onset = _time(found["onsetDateTime"])
        yield "LNCode", row | _code(found) | {"DateEvent": onset, "EpisodeType": "First"}
    elif kind == "MedicationRequest":
        term = {"NameOfMedication": code_of(found)[2], "MedicationDosage": "1 a day – with food"}
        start = {"DateMedicationStart": _time(found["authoredOn"])}
        yield "LNPrimaryCareMedication", row | _code(found) | start | term
    elif kind == "Immunization":
        day = _time(found["occurrenceDateTime"])
        yield "LNImmunisation", row | _code(found) | {"DateEvent": day}
    elif kind == "Appointment":
        yield "LNAppointment", row | _appointment(found)
    elif kind == "Encounter":
        contact = row | {
            "DateEvent": _time(found["period"]["start"]),
            "ContactMethod": "Face to face",
        }
        yield "LNEvent", contact | {"IDDoneBy": number(gp_of(found)), "StaffRole": "GP"}
        nurse = {"RowIdentifier": number(found["id"] + "nurse"), "IDDoneBy": number("nurse")}
        yield "LNEvent", contact | nurse | {"StaffRole": "Practice Nurse"}


def _patient(found: Resource) -> Row:
    return {
        "NHSNumber": found["identifier"][0]["value"],
        "DateBirth": _time(found["birthDate"]),
        "DateDeath": _time(found.get("deceasedDateTime")),
        "Gender": {"female": "F", "male": "M"}[found["gender"]],
        "FirstName": found["name"][0]["given"][0],
        "Surname": found["name"][0]["family"],
        "Postcode": found["address"][0]["postalCode"],
    }


def _registration(found: Resource) -> Row:
    return {
        "DateRegistration": _time(found["period"]["start"]),
        "DateDeRegistration": _time(found["period"].get("end")),
        "OrganisationRegisteredAt": found["managingOrganization"]["identifier"]["value"],
        "RegistrationStatus": {"active": "GMS", "finished": "Left"}[found["status"]],
    }


def _code(found: Resource) -> Row:
    system, code, term = code_of(found)
    return {"CodeScheme": SCHEMES[system], "Code": code, "Term": term}


def _observation(found: Resource) -> Iterator[tuple[str, Row]]:
    """A row for each number: `(what tells their ids apart, row)`."""
    row = {"DateEvent": _time(found["effectiveDateTime"]), "EpisodeType": "None", "Remark": REMARK}
    parts = found.get("component")
    if parts is None:
        value, unit = quantity(found)
        yield "", row | _code(found) | {"NumericValue": value, "NumericUnit": unit}
        return
    for n, part in enumerate(parts):
        value, unit = quantity(part)
        yield f"/{n}", row | _code(part) | {"NumericValue": value, "NumericUnit": unit}


def _appointment(found: Resource) -> Row:
    return {
        "DateBooked": _time(found["created"]),
        "DateStart": _time(found["start"]),
        "CurrentStatus": STATUSES[found["status"]],
        "NationalSlotCategory": CATEGORIES[category_of(found)],
    }
