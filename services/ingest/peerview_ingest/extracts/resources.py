"""A row as the FHIR resource that would say the same.

Nothing is decided here: which codes count, what a status means and which dates are possible is for
the one reader of ingest, so that a drop and a FHIR feed of the same records are counted alike.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from peerview_ingest.extracts.cells import CellFault, Cells, Json, Sheet
from peerview_ingest.extracts.mapping import (
    Appointments,
    Conditions,
    Contacts,
    FileForm,
    FixedCode,
    Immunisations,
    Medications,
    Observations,
    PairCodes,
    Patients,
    Pressure,
    Registrations,
    Table,
)
from peerview_ingest.fhir.resolver import NHS_NUMBER_SYSTEM, ODS_SYSTEM

RESOURCES: Final = {
    "patients": "Patient",
    "registrations": "EpisodeOfCare",
    "observations": "Observation",
    "conditions": "Condition",
    "medications": "MedicationRequest",
    "immunisations": "Immunization",
    "appointments": "Appointment",
    "contacts": "Encounter",
}
"""The resource type that each table's rows are."""
TABLE_OF: Final = {kind: name for name, kind in RESOURCES.items()}

Build: TypeAlias = Callable[[Cells, Json], None]
"""Adds to the resource what the row says."""

_REFERENCE_SIGNS: Final = str.maketrans({"%": "%25", "/": "%2F", "?": "%3F", "#": "%23"})


@dataclass(frozen=True)
class Compiled:
    """A table with a file's header, ready to read rows."""

    name: str
    kind: str
    width: int
    practice: Callable[[Cells], str] | None
    where: Sequence[Callable[[Cells], bool]]
    id: Callable[[Cells], str]
    deleted: Callable[[Cells], bool] | None
    updated: Callable[[Cells], str | None]
    build: Build
    columns: Mapping[str, str]
    """The column behind an element of the resource, for the reader's complaints."""
    practice_column: str = ""
    patient: Callable[[Cells], str] | None = None

    def column(self, expression: str) -> str:
        """The column that a place such as ``Observation.valueQuantity`` came from."""
        element = expression.partition(".")[2]
        for beginning, column in self.columns.items():
            if element.startswith(beginning):
                return column
        return ""


def wanted_columns(table: Table) -> list[str]:
    """Every column that a table's mapping names."""
    return list(dict.fromkeys(_names(table)))


def _names(found: Any) -> Iterator[str]:
    for name, value in found:
        if name in ("file", "columns", "dates") or value is None:
            continue
        if isinstance(found, Table) and isinstance(value, str):
            yield value
        elif isinstance(value, tuple) and all(isinstance(each, str) for each in value):
            if isinstance(found, Table):
                yield from value
        elif isinstance(value, tuple):
            for each in value:
                yield from _names(each)
        elif name in ("column", "system_column") or (
            isinstance(found, Pressure) and name in ("systolic", "diastolic")
        ):
            yield value
        elif hasattr(value, "model_fields_set"):
            yield from _names(value)


def compile_table(
    name: str, table: Table, places: Mapping[str, int], width: int, form: FileForm
) -> Compiled:
    """``places`` has every column of ``wanted_columns``, ``width`` is how many the file has."""
    sheet = Sheet(places, form, table.dates or ())
    build, columns = _BUILDERS[name](table, sheet)
    patient = getattr(table, "patient", None)
    patient_key = _patient_id(sheet, patient) if patient else None
    identity = sheet.needed(table.id) if patient else _patient_id(sheet, table.id)
    if patient:
        build = _of_patient(name, build, patient_key, sheet.text(patient[0]))
        columns = {
            "subject": patient[0],
            "patient": patient[0],
            "participant": patient[0],
        } | columns
    return Compiled(
        name=name,
        kind=RESOURCES[name],
        width=width,
        practice=sheet.needed((table.practice,)) if table.practice else None,
        where=[sheet.flag(flag) for flag in table.where],
        id=identity,
        deleted=sheet.flag(table.deleted) if table.deleted else None,
        updated=sheet.date(table.updated),
        build=build,
        columns={"meta": table.updated[0] if table.updated else "", "id": table.id[0]} | columns,
        practice_column=table.practice or "",
        patient=patient_key,
    )


def _patient_id(sheet: Sheet, columns: Sequence[str]) -> Callable[[Cells], str]:
    """A patient's id, fit to stand in a reference."""
    read = sheet.needed(columns)
    return lambda cells: read(cells).translate(_REFERENCE_SIGNS)


def _of_patient(
    name: str,
    build: Build,
    patient: Callable[[Cells], str] | None,
    anybody: Callable[[Cells], str | None],
) -> Build:
    assert patient is not None  # noqa: S101 - every such table has one
    element = "patient" if name in ("registrations", "immunisations") else "subject"

    def with_patient(cells: Cells, resource: Json) -> None:
        resource[element] = {"reference": f"Patient/{patient(cells)}"}
        build(cells, resource)

    def with_participant(cells: Cells, resource: Json) -> None:
        # a slot that nobody booked is no mistake
        if anybody(cells) is not None:
            actor = {"reference": f"Patient/{patient(cells)}"}
            resource["participant"] = [{"actor": actor}]
        build(cells, resource)

    return with_participant if name == "appointments" else with_patient


def _patients(table: Patients, sheet: Sheet) -> tuple[Build, dict[str, str]]:
    number, sex = sheet.text(table.nhs_number), sheet.words(table.sex)
    birth, died = sheet.date(table.birth), sheet.date(table.died)
    dead = sheet.flag(table.dead) if table.dead else None
    practice = sheet.text(table.general_practice)

    def build(cells: Cells, resource: Json) -> None:
        if (found := number(cells)) is not None:
            resource["identifier"] = [{"system": NHS_NUMBER_SYSTEM, "value": found}]
        resource["birthDate"] = birth(cells)
        resource["gender"] = sex(cells)
        resource["deceasedDateTime"] = death = died(cells)
        if dead is not None and death is None and dead(cells):
            resource["deceasedBoolean"] = True
        if (found := practice(cells)) is not None:
            resource["generalPractitioner"] = [{"identifier": _ods(found)}]

    columns = {"birthDate": table.birth[0], "identifier": table.nhs_number or ""}
    if table.died:
        columns["deceased"] = table.died[0]
    return build, columns


def _registrations(table: Registrations, sheet: Sheet) -> tuple[Build, dict[str, str]]:
    start, end = sheet.date(table.start), sheet.date(table.end)
    status, organisation = sheet.words(table.status, "active"), sheet.text(table.organisation)

    def build(cells: Cells, resource: Json) -> None:
        resource["status"] = status(cells)
        resource["period"] = {"start": start(cells), "end": end(cells)}
        if (found := organisation(cells)) is not None:
            resource["managingOrganization"] = {"identifier": _ods(found)}

    columns = {"period.start": (table.start or ("",))[0], "period.end": (table.end or ("",))[0]}
    return build, columns


def _ods(code: str) -> Json:
    return {"system": ODS_SYSTEM, "value": code.upper()}


def _observations(table: Observations, sheet: Sheet) -> tuple[Build, dict[str, str]]:
    codes, when = sheet.codings(table.code), sheet.date(table.date)
    value, unit = sheet.number(table.value), sheet.unit(table.unit)
    status = sheet.words(table.status, "final")
    pair = _pressure(table.pressure, sheet) if table.pressure else None

    def build(cells: Cells, resource: Json) -> None:
        resource["status"] = status(cells)
        resource["code"] = {"coding": codes(cells)}
        resource["effectiveDateTime"] = when(cells)
        if (amount := value(cells)) is not None:
            resource["valueQuantity"] = {"value": amount, "code": unit(cells)}
        if pair is not None:
            pair(cells, resource)

    columns = {
        "effective": table.date[0],
        "code": table.code[0].column,
        "valueQuantity": table.value or "",
    }
    if table.pressure is not None:
        columns["component[0]"] = table.pressure.systolic
        columns["component[1]"] = table.pressure.diastolic
    return build, columns


def _pressure(pressure: Pressure, sheet: Sheet) -> Build:
    systolic, diastolic = sheet.number(pressure.systolic), sheet.number(pressure.diastolic)
    setting = sheet.words(pressure.setting, "clinic")
    codes = {"clinic": pressure.clinic, "home": pressure.home or pressure.clinic}
    concepts = {place: _pair_concepts(found) for place, found in codes.items()}
    panel = _coding(pressure.panel)

    def build(cells: Cells, resource: Json) -> None:
        values = systolic(cells), diastolic(cells)
        if values == (None, None):
            return
        if panel not in resource["code"]["coding"]:
            resource["code"]["coding"].append(panel)
        resource["component"] = [
            {"code": concept, "valueQuantity": {"value": value, "code": "mm[Hg]"}}
            for concept, value in zip(concepts[setting(cells) or "clinic"], values, strict=True)
        ]

    return build


def _pair_concepts(codes: PairCodes) -> tuple[Json, Json]:
    return {"coding": [_coding(codes.systolic)]}, {"coding": [_coding(codes.diastolic)]}


def _coding(code: FixedCode) -> Json:
    return {"system": code.system, "code": code.code}


def _conditions(table: Conditions, sheet: Sheet) -> tuple[Build, dict[str, str]]:
    codes, when, ended = sheet.codings(table.code), sheet.date(table.date), sheet.date(table.ended)
    status, verification = sheet.words(table.status), sheet.words(table.verification)
    by_end = table.status is None

    def build(cells: Cells, resource: Json) -> None:
        resource["code"] = {"coding": codes(cells)}
        resource["onsetDateTime"] = when(cells)
        resource["abatementDateTime"] = end = ended(cells)
        word = "resolved" if by_end and end is not None else status(cells)
        if word is not None:
            resource["clinicalStatus"] = {"coding": [{"code": word}]}
        if (word := verification(cells)) is not None:
            resource["verificationStatus"] = {"coding": [{"code": word}]}

    columns = {"onset": table.date[0], "code": table.code[0].column}
    if table.ended:
        columns["abatement"] = table.ended[0]
    return build, columns


def _medications(table: Medications, sheet: Sheet) -> tuple[Build, dict[str, str]]:
    codes, when = sheet.codings(table.code), sheet.date(table.date)
    status = sheet.words(table.status, "completed")

    def build(cells: Cells, resource: Json) -> None:
        resource["status"] = status(cells)
        resource["intent"] = "order"
        resource["medicationCodeableConcept"] = {"coding": codes(cells)}
        resource["authoredOn"] = when(cells)

    return build, {"authoredOn": table.date[0], "medication": table.code[0].column}


def _immunisations(table: Immunisations, sheet: Sheet) -> tuple[Build, dict[str, str]]:
    codes, when = sheet.codings(table.code), sheet.date(table.date)
    status = sheet.words(table.status, "completed")

    def build(cells: Cells, resource: Json) -> None:
        resource["status"] = status(cells)
        resource["vaccineCode"] = {"coding": codes(cells)}
        resource["occurrenceDateTime"] = when(cells)

    return build, {"occurrence": table.date[0], "vaccineCode": table.code[0].column}


def _appointments(table: Appointments, sheet: Sheet) -> tuple[Build, dict[str, str]]:
    start, booked = sheet.date(table.start), sheet.date(table.booked)
    status, category = sheet.words(table.status), sheet.words(table.category)

    def build(cells: Cells, resource: Json) -> None:
        word = status(cells)
        if word is None:
            raise CellFault(table.status.column, "required", "is empty")
        resource["status"] = word
        resource["start"], resource["created"] = start(cells), booked(cells)
        if (word := category(cells)) is not None:
            resource["serviceType"] = [{"text": word}]

    return build, {"start": table.start[0], "created": (table.booked or ("",))[0]}


def _contacts(table: Contacts, sheet: Sheet) -> tuple[Build, dict[str, str]]:
    start, gp = sheet.date(table.start), sheet.text(table.gp)
    kind, status = sheet.words(table.kind), sheet.words(table.status, "finished")

    def build(cells: Cells, resource: Json) -> None:
        resource["status"] = status(cells)
        if (word := kind(cells)) is not None:
            resource["class"] = {"code": word}
        resource["period"] = {"start": start(cells)}
        if (found := gp(cells)) is not None:
            individual = {"reference": f"Practitioner/{found.translate(_REFERENCE_SIGNS)}"}
            resource["participant"] = [
                {"type": [{"coding": [{"code": "PPRF"}]}], "individual": individual}
            ]

    return build, {"period": table.start[0], "participant": table.gp}


_BUILDERS: Final[dict[str, Callable[[Any, Sheet], tuple[Build, dict[str, str]]]]] = {
    "patients": _patients,
    "registrations": _registrations,
    "observations": _observations,
    "conditions": _conditions,
    "medications": _medications,
    "immunisations": _immunisations,
    "appointments": _appointments,
    "contacts": _contacts,
}
