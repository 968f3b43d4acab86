"""What a mapping file says: which file is which table, and which column is what.

``docs/extracts.md`` describes it for people who write one. Fields are named for what they mean in a
practice, not for FHIR; ``resources`` knows what they become.
"""

import hashlib
from collections.abc import Iterator
from typing import Annotated, Any, Final, Generic, Literal, Self, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from peerview_common.facts import NATIONAL_CATEGORIES
from peerview_common.yaml_files import YamlFile
from peerview_ingest.extracts.dates import check_format

FORMAT: Final = 1
NONE: Final = "none"
"""The word for "this supplier has no such thing", where it must be said."""

SYSTEMS: Final = {
    "snomed": "http://snomed.info/sct",
    "dmd": "https://dmd.nhs.uk",
    "bnf": "https://www.nhsbsa.nhs.uk/bnf",
    "loinc": "http://loinc.org",
}
DELIMITERS: Final = {"comma": ",", "tab": "\t", "pipe": "|", "semicolon": ";"}

T = TypeVar("T")


class MappingError(ValueError):
    """Mistakes in mappings; each line of the text is ``file:line: field: what is wrong``."""


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _or_none(value: Any) -> Any:
    return None if value == NONE else value


def _delimiter(text: str) -> str:
    found = DELIMITERS.get(text, text)
    if len(found) != 1 or found.isalnum() or found in '"\r\n ':
        raise ValueError(f"must be one sign, or one of {', '.join(DELIMITERS)}")
    return found


def _system(text: str) -> str:
    found = SYSTEMS.get(text, text)
    if ":" not in found:
        raise ValueError(f"must be a URI, or one of {', '.join(SYSTEMS)}")
    return found


def _category(text: str) -> str:
    if text not in NATIONAL_CATEGORIES:
        raise ValueError(
            "is none of the eight national categories: " + "; ".join(NATIONAL_CATEGORIES)
        )
    return text


Column: TypeAlias = Annotated[str, Field(min_length=1)]
Columns: TypeAlias = Annotated[
    tuple[Column, ...], BeforeValidator(_several), Field(min_length=1, max_length=5)
]
"""One column, or several whose texts are joined: a date and its time, the parts of an id."""
System: TypeAlias = Annotated[str, AfterValidator(_system)]
DateFormats: TypeAlias = Annotated[
    tuple[Annotated[str, AfterValidator(check_format)], ...],
    BeforeValidator(_several),
    Field(min_length=1),
]
Category: TypeAlias = Annotated[str, AfterValidator(_category)]
SexWord: TypeAlias = Literal["male", "female", "other", "unknown"]
EpisodeStatus: TypeAlias = Literal[
    "active", "finished", "planned", "waitlist", "onhold", "cancelled", "entered-in-error"
]
ObservationStatus: TypeAlias = Literal[
    "final", "amended", "corrected", "preliminary", "registered", "cancelled", "entered-in-error"
]
ClinicalStatus: TypeAlias = Literal[
    "active", "recurrence", "relapse", "resolved", "inactive", "remission"
]
Verification: TypeAlias = Literal[
    "confirmed", "provisional", "unconfirmed", "differential", "refuted", "entered-in-error"
]
MedicationStatus: TypeAlias = Literal[
    "active", "on-hold", "completed", "stopped", "cancelled", "draft", "entered-in-error"
]
ImmunizationStatus: TypeAlias = Literal["completed", "not-done", "entered-in-error"]
AppointmentWord: TypeAlias = Literal[
    "proposed", "pending", "booked", "arrived", "fulfilled", "cancelled", "noshow", "checked-in",
    "waitlist", "entered-in-error",
]  # fmt: skip
EncounterStatus: TypeAlias = Literal[
    "planned", "arrived", "in-progress", "finished", "cancelled", "entered-in-error"
]
EncounterClass: TypeAlias = Literal["AMB", "VR", "HH", "EMER", "IMP", "ACUTE", "NONAC"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Words(_Model, Generic[T]):
    """A column of the supplier's words. A word that is not listed refuses the row, unless
    ``otherwise`` says what it stands for."""

    column: Column
    words: dict[str, T] = Field(min_length=1)
    otherwise: T | None = None


class Flag(_Model):
    """True where the column holds one of the words."""

    column: Column
    words: Annotated[tuple[str, ...], BeforeValidator(_several), Field(min_length=1)]


class Coding(_Model):
    """A column of codes, all of one ``system``, or of the one that ``system_column`` says."""

    column: Column
    system: System | None = None
    system_column: Column | None = None
    systems: dict[str, System] = Field(default_factory=dict)
    """What the words in ``system_column`` stand for; a word that is not listed refuses the row.
    Empty where it holds URIs."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.system is None) == (self.system_column is None):
            raise ValueError("needs either system or system_column")
        if self.systems and self.system_column is None:
            raise ValueError("systems goes with system_column")
        return self


Codings: TypeAlias = Annotated[
    tuple[Coding, ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, dict) else value),
    Field(min_length=1),
]


class FixedCode(_Model):
    system: System
    code: str = Field(min_length=1)


class UnitOf(_Model):
    """The unit of a value: of a ``column``, its words translated where listed, or ``fixed``."""

    column: Column | None = None
    words: dict[str, str] = Field(default_factory=dict)
    fixed: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.column is None) == (self.fixed is None):
            raise ValueError("needs either column or fixed")
        return self


class PairCodes(_Model):
    systolic: FixedCode
    diastolic: FixedCode


class Pressure(_Model):
    """Systolic and diastolic in one row. Two rows need nothing of this: each has its own code."""

    systolic: Column
    diastolic: Column
    panel: FixedCode
    clinic: PairCodes
    home: PairCodes | None = None
    setting: Words[Literal["clinic", "home"]] | None = None

    @model_validator(mode="after")
    def _home(self) -> Self:
        if (self.home is None) != (self.setting is None):
            raise ValueError("home and setting go together")
        return self


class Common(_Model):
    """What is the same in every table, unless the table says otherwise."""

    dates: DateFormats | None = None
    practice: Annotated[Column | None, BeforeValidator(_or_none)] = None
    """The column with the practice's ODS code: rows of another practice are refused."""
    updated: Annotated[Columns | None, BeforeValidator(_or_none)] = None
    """When the row was last changed; without it the extract's date stands in."""
    deleted: Annotated[Flag | None, BeforeValidator(_or_none)] = None


class Table(Common):
    file: str = Field(min_length=1)
    """The file's name, for `peerview send-extract`; ``*`` stands for what changes in it."""
    columns: tuple[Column, ...] | None = None
    """The columns in order, where the file has no header."""
    where: tuple[Flag, ...] = ()
    """Conditions that a row must fulfil, all of them, to be of this table."""
    id: Columns


class OfPatient(Table):
    patient: Columns


class Patients(Table):
    nhs_number: Column | None = None
    birth: Columns
    died: Columns | None = None
    dead: Flag | None = None
    """For suppliers who say that somebody died, and not always when."""
    sex: Words[SexWord]
    general_practice: Column | None = None
    """ODS code of the practice where they are registered; only if there are no registrations."""


class Registrations(OfPatient):
    start: Columns | None = None
    end: Columns | None = None
    status: Words[EpisodeStatus] | None = None
    organisation: Column | None = None
    """ODS code of the practice that the registration is with; the sender without it."""


class Observations(OfPatient):
    date: Columns
    code: Codings
    value: Column | None = None
    unit: UnitOf | None = None
    pressure: Pressure | None = None
    status: Words[ObservationStatus] | None = None


class Conditions(OfPatient):
    date: Columns
    code: Codings
    ended: Columns | None = None
    status: Words[ClinicalStatus] | None = None
    """Without it a problem that has ended is resolved."""
    verification: Words[Verification] | None = None


class Medications(OfPatient):
    date: Columns
    code: Codings
    status: Words[MedicationStatus] | None = None


class Immunisations(OfPatient):
    date: Columns
    code: Codings
    status: Words[ImmunizationStatus] | None = None


class Appointments(OfPatient):
    start: Columns
    booked: Columns | None = None
    status: Words[AppointmentWord]
    category: Words[Category] | None = None


class Contacts(OfPatient):
    start: Columns
    gp: Column
    """Who was seen: their id in the supplier's system."""
    kind: Words[EncounterClass] | None = None
    status: Words[EncounterStatus] | None = None


class Tables(_Model):
    patients: Patients | None = None
    registrations: Registrations | None = None
    observations: Observations | None = None
    conditions: Conditions | None = None
    medications: Medications | None = None
    immunisations: Immunisations | None = None
    appointments: Appointments | None = None
    contacts: Contacts | None = None

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not any(True for _ in self.given()):
            raise ValueError("there must be at least one table")
        return self

    def given(self) -> Iterator[tuple[str, Table]]:
        for name in type(self).model_fields:
            table = getattr(self, name)
            if table is not None:
                yield name, table


TABLES: Final = tuple(Tables.model_fields)
"""Every table that there can be."""


class FileForm(_Model):
    """How the files are written."""

    delimiter: Annotated[str, AfterValidator(_delimiter)] = ","
    encoding: Literal["utf-8", "utf-8-sig", "cp1252"] = "utf-8"
    """A byte order mark is passed over in either form of UTF-8."""
    quote: Annotated[Literal['"', "'"] | None, BeforeValidator(_or_none)] = '"'
    """A sign within quotes is doubled; ``none`` where files have no quotes at all."""
    empty: Annotated[tuple[str, ...], BeforeValidator(_several)] = ()
    """Words that stand for nothing; the empty text does so always."""


class Mapping(_Model):
    format: Annotated[
        Literal[1], BeforeValidator(lambda text: int(text) if str(text).isdigit() else text)
    ]
    name: str = Field(pattern=r"[a-z0-9][a-z0-9-]{0,63}$")
    description: str = ""
    sources: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = ()
    """The source systems (the token's claim ``system``) that send in this form."""
    file: FileForm = FileForm()
    every_table: Common = Common()
    tables: Tables

    @model_validator(mode="after")
    def _inherit(self) -> Self:
        """Give each table what ``every_table`` says and it does not."""
        common = {name: getattr(self.every_table, name) for name in Common.model_fields}
        for _, table in self.tables.given():
            for name, value in common.items():
                if name not in table.model_fields_set:
                    # frozen for everybody else: this ends the making of it
                    object.__setattr__(table, name, value)
        return self

    def table(self, name: str) -> Table | None:
        return dict(self.tables.given()).get(name)

    @property
    def version(self) -> str:
        """12 hexadecimal digits that are equal only where everything in it is."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]


def read(name: str, text: str) -> Mapping:
    """The mapping in a file's text. Raises MappingError with file, line and field."""
    file = YamlFile(name, text, MappingError, texts=True)
    try:
        mapping = Mapping.model_validate(file.data)
    except ValidationError as error:
        raise file.errors(error) from None
    problems = []
    for table_name, table in mapping.tables.given():
        place = ("tables", table_name)
        if table.dates is None:
            problems.append(file.error((*place, "dates"), "is needed here, or in every_table"))
        if table.columns is not None and len(set(table.columns)) != len(table.columns):
            problems.append(file.error((*place, "columns"), "names a column twice"))
    if problems:
        raise MappingError("\n".join(problems))
    return mapping
