"""The rule language: what an indicator's definition may say, as it stands in its YAML file.

A field is written with hyphens in the file (``any-of``). The language is described for its readers
in ``docs/indicators.md``; files are read and checked as a whole in ``definitions.py``.
"""

from datetime import date
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    model_validator,
)

from peerview_common.days import day_of
from peerview_common.facts import AppointmentStatus, Unit
from peerview_common.ids import INDICATOR_PATTERN

READINGS_FILE: Final = "readings.yaml"
BLOOD_PRESSURE: Final = "blood-pressure"
"""What ``without-later`` may name besides a reading: a complete blood-pressure pair."""
SETTINGS: Final = ("clinic", "home")
PANEL_CLUSTER: Final = "BP_PANEL"
"""Components are read only where the fact has a code of this cluster."""

UNITS: Final = {"mm[Hg]": Unit.MM_HG, "mmol/mol": Unit.MMOL_PER_MOL, "%": Unit.PERCENT}
APPOINTMENT_STATUSES: Final = {
    status.name.lower().replace("_", "-"): status for status in AppointmentStatus
}


def _known_cluster(name: str, info: ValidationInfo) -> str:
    if info.context is not None and name not in info.context["clusters"]:
        raise ValueError(f"no code list has a cluster {name}")
    return name


def _known_reading(name: str, info: ValidationInfo) -> str:
    if info.context is not None and name not in info.context["readings"]:
        raise ValueError(f"{READINGS_FILE} has no reading {name}")
    return name


def _known_reading_or_pair(name: str, info: ValidationInfo) -> str:
    return name if name == BLOOD_PRESSURE else _known_reading(name, info)


Text: TypeAlias = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Cluster: TypeAlias = Annotated[str, AfterValidator(_known_cluster)]
Clusters: TypeAlias = Annotated[tuple[Cluster, ...], Field(min_length=1)]
Reading: TypeAlias = Annotated[str, AfterValidator(_known_reading)]
Months: TypeAlias = Annotated[int, Field(ge=1, le=1200)]
Years: TypeAlias = Annotated[int, Field(ge=0, le=150)]
Days: TypeAlias = Annotated[int, Field(ge=0, le=3660)]
Number: TypeAlias = int | float


def _hyphens(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


class Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=_hyphens, populate_by_name=False
    )


class Window(Strict):
    """``D - months < date <= D``; with ``from-age``, another length from that age on."""

    months: Months
    from_age: Years | None = None
    months_from_age: Months | None = None

    @model_validator(mode="after")
    def _both_or_neither(self) -> "Window":
        if (self.from_age is None) != (self.months_from_age is None):
            raise ValueError("from-age and months-from-age go together")
        return self

    @property
    def longest(self) -> int:
        return max(self.months, self.months_from_age or 0)


class Reach(Strict):
    """How far back a condition looks: ``within`` a window, or ``ever: true``."""

    within: Window | None = None
    ever: Literal[True] | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> "Reach":
        if (self.within is None) == (self.ever is None):
            raise ValueError("say either within: {months: N} or ever: true")
        return self


class Age(Strict):
    """Full years, both ends included."""

    from_: Years | None = None
    to: Years | None = None

    @model_validator(mode="after")
    def _some_age(self) -> "Age":
        if self.from_ is None and self.to is None:
            raise ValueError("say from, to or both")
        if self.from_ is not None and self.to is not None and self.from_ > self.to:
            raise ValueError("no age is at once from and to")
        return self


class Turned(Strict):
    """The day on which the patient turned so many months old is in the window."""

    months_old: Months
    within: Window


class Unresolved(Strict):
    """At least one diagnosis code, and no resolved code dated later than the latest of them."""

    diagnosis: Clusters
    resolved: Clusters


class Coded(Reach):
    any_of: Clusters


class CodedAtAge(Strict):
    """A code dated between two ages in months, both days included."""

    any_of: Clusters
    from_months: Annotated[int, Field(ge=0, le=1200)]
    to_months: Months

    @model_validator(mode="after")
    def _some_age(self) -> "CodedAtAge":
        if self.from_months > self.to_months:
            raise ValueError("no age is at once from-months and to-months")
        return self


class LatestCoded(Strict):
    """The latest fact of all of ``among`` is in one of ``is``."""

    among: Clusters
    is_: Clusters

    @model_validator(mode="after")
    def _within_among(self) -> "LatestCoded":
        if not set(self.is_) < set(self.among):
            raise ValueError("is must name some, not all, of among")
        return self


class Later(Strict):
    """The latest day of ``any-of`` is later than the latest day of ``than``, if there is one."""

    any_of: Clusters
    than: Clusters


class LatestReading(Reach):
    of: Reading
    at_least: Number | None = None
    at_most: Number | None = None

    @model_validator(mode="after")
    def _some_limit(self) -> "LatestReading":
        if self.at_least is None and self.at_most is None:
            raise ValueError("say at-least, at-most or both")
        return self


class Target(Strict):
    systolic: Number
    diastolic: Number


class BloodPressure(Strict):
    """On the latest day with a complete pair: the lowest systolic and the lowest diastolic of a
    setting are at or below its target; either setting is enough."""

    within: Window
    clinic: Target
    home: Target


class Invited(Strict):
    """Facts so many days apart, and none of ``without-later`` on or after the first of them."""

    by: Clusters
    times: Annotated[int, Field(ge=1, le=20)]
    days_apart: Days
    within: Window
    without_later: Annotated[str, AfterValidator(_known_reading_or_pair)] | None = None


class FirstDiagnosis(Strict):
    """The earliest fact of all is in the window."""

    of: Clusters
    within: Window


class Condition(Strict):
    """Exactly one of the fields; what each means stands in its own class."""

    all_: Annotated[tuple["Condition", ...], Field(min_length=1)] | None = None
    any_: Annotated[tuple["Condition", ...], Field(min_length=1)] | None = None
    not_: "Condition | None" = None
    registered: Literal[True] | None = None
    registered_within: Window | None = None
    registered_after_age: Months | None = None
    """The current registration began later than so many months after birth."""
    age: Age | None = None
    sex: Literal["female", "male"] | None = None
    turned: Turned | None = None
    unresolved: Unresolved | None = None
    coded: Coded | None = None
    coded_at_age: CodedAtAge | None = None
    latest_coded: LatestCoded | None = None
    later: Later | None = None
    latest_reading: LatestReading | None = None
    blood_pressure: BloodPressure | None = None
    invited: Invited | None = None
    first_diagnosis: FirstDiagnosis | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> "Condition":
        if len(self.model_fields_set) != 1 or self.field is None:
            raise ValueError("a condition has exactly one field")
        return self

    @property
    def field(self) -> Any:
        """The one that is set."""
        return getattr(self, next(iter(self.model_fields_set)))


class Rule(Strict):
    """The first rule that applies decides. A rule without ``when`` always applies."""

    name: Text
    outcome: Literal["excluded", "met", "exception", "miss"]
    when: Condition | None = None


class CountFacts(Strict):
    """The numerator of a rate: distinct facts in the window."""

    any_of: Clusters
    within: Window


class AppointmentTest(Strict):
    """All that is said must hold of an appointment."""

    status: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    national_category: Literal[True] | None = None
    booked: Literal[True] | None = None
    """It has a booking day, and that is not after the day it starts on."""
    booked_days_ahead: Annotated[int, Field(ge=0, le=3660)] | None = None
    """At most so many days lie between the booking and the start."""

    @model_validator(mode="after")
    def _known_statuses(self) -> "AppointmentTest":
        for name in self.status or ():
            if name not in APPOINTMENT_STATUSES:
                raise ValueError(f"no appointment has the status {name}")
        if not self.model_fields_set:
            raise ValueError("an empty test")
        return self


class CountAppointments(Strict):
    within: Window
    denominator: AppointmentTest
    numerator: AppointmentTest


class Continuity(Strict):
    """The share of contacts with the most-seen GP, in whole parts of ``scale``."""

    within: Window
    at_least: Annotated[int, Field(ge=1)]
    scale: Annotated[int, Field(ge=1)]


class Version(Strict):
    version: Annotated[str, StringConstraints(pattern=r"^[0-9]{4}\.[0-9]+$")]
    from_: date | None = None
    to: date | None = None
    population: tuple[Condition, ...] = ()
    """All must hold, or the patient is out."""
    rules: tuple[Rule, ...] | None = None
    facts: CountFacts | None = None
    appointments: CountAppointments | None = None
    continuity: Continuity | None = None

    def holds_on(self, day: int) -> bool:
        return (self.from_ is None or day_of(self.from_) <= day) and (
            self.to is None or day <= day_of(self.to)
        )


Kind: TypeAlias = Literal[
    "proportion-of-patients", "rate", "proportion-of-appointments", "mean-of-ratios"
]


class Definition(Strict):
    """One indicator, in all its versions."""

    id: Annotated[str, StringConstraints(pattern=INDICATOR_PATTERN)]
    title: Text
    why: Text
    """Two sentences for a clinician."""
    direction: Literal["higher", "lower"]
    """Which way is better."""
    kind: Kind
    per: Number
    """The figure shown is ``per`` times numerator / denominator."""
    unit: Text
    payment: tuple[Number, Number] | None = None
    """Payment range, in the unit shown."""
    bands: tuple[Number, Number, Number]
    """The three edges between the four value bands, in the unit shown."""
    source: Text
    codes: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")] | None = None
    """The version of the code list that it was written and checked with."""
    versions: Annotated[tuple[Version, ...], Field(min_length=1)]

    @property
    def of_patients(self) -> bool:
        """Whether it looks at the person; the others count the practice's appointments."""
        return self.kind != "proportion-of-appointments"

    def version_on(self, day: int) -> Version:
        return next(version for version in self.versions if version.holds_on(day))


class ReadingSource(Strict):
    """A cluster whose facts give the reading, by ``times`` x value + ``plus``."""

    cluster: Cluster
    unit: Literal["mm[Hg]", "mmol/mol", "%"] | None = None
    """The unit it counts with (or with none); left out where the unit is not read."""
    times: Number = 1
    plus: Number = 0


class ReadingDefinition(Strict):
    """How a value is read. With no unit and several sources, the first that fits."""

    sources: Annotated[tuple[ReadingSource, ...], Field(min_length=1)]
    plausible: tuple[Number, Number] | None = None
    """Inclusive, after conversion; outside is no reading."""


class Readings(Strict):
    readings: dict[str, ReadingDefinition]
