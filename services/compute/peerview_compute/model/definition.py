"""Indicator definitions: YAML files that a clinician can read, checked before anything runs.

The language is described in ``docs/indicators.md``. A mistake is a ``DefinitionError`` that names
the file, the line and the field. Clusters and readings are checked against the installed code list
and ``readings.yaml``, so a definition that loads can be computed.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

import yaml
from peerview_common.codes import CodeList, shipped
from peerview_common.days import date_of, day_of
from peerview_common.facts import AppointmentStatus, Unit
from peerview_common.ids import INDICATOR_PATTERN, IndicatorId
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    model_validator,
)

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


class DefinitionError(ValueError):
    """A mistake in a definition; each line of the text is ``file:line: field: what is wrong``."""


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
_BODIES: Final[dict[str, str]] = {
    "proportion-of-patients": "rules",
    "rate": "facts",
    "proportion-of-appointments": "appointments",
    "mean-of-ratios": "continuity",
}


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


_Path: TypeAlias = tuple[int | str, ...]


def _lines(node: yaml.Node, path: _Path, found: dict[_Path, int], file: str) -> None:
    found.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, key.value)
            if here in found:
                raise DefinitionError(
                    f"{file}:{key.start_mark.line + 1}: {_place(here)}: said twice"
                )
            found[here] = key.start_mark.line + 1
            _lines(value, here, found, file)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            _lines(value, (*path, number), found, file)


def _place(path: Iterable[int | str]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the file"


class _File:
    """A parsed YAML file that remembers where everything stood."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self._found: dict[_Path, int] = {}
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                raise DefinitionError(f"{name}:1: the file is empty")
            _lines(node, (), self._found, name)
            self.data: Any = loader.construct_document(node)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise DefinitionError(f"{name}:{line}: {error.problem}") from error
        finally:
            loader.dispose()

    def error(self, path: _Path, message: str) -> str:
        known = path
        while known not in self._found:
            known = known[:-1]
        return f"{self.name}:{self._found[known]}: {_place(path)}: {message}"

    def errors(self, error: ValidationError) -> DefinitionError:
        lines = []
        for entry in error.errors(include_url=False):
            path = tuple(entry["loc"])
            message = entry["msg"].removeprefix("Value error, ")
            if entry["type"] == "extra_forbidden":
                message = "no such field"
            lines.append(self.error(path, message))
        return DefinitionError("\n".join(lines))


def _check(definition: Definition, file: _File) -> None:
    """What one field alone cannot tell: that versions follow each other, and rules are reached."""
    problems: list[str] = []
    body = _BODIES[definition.kind]
    previous: Version | None = None
    for n, version in enumerate(definition.versions):
        here: _Path = ("versions", n)
        for field in _BODIES.values():
            if (getattr(version, field) is None) == (field == body):
                word = "needs" if field == body else "has no use for"
                problems.append(
                    file.error((*here, field), f"the kind {definition.kind} {word} {field}")
                )
        if previous is None:
            if version.from_ is not None:
                problems.append(file.error((*here, "from"), "the first version has no from"))
        elif previous.to is None or version.from_ is None:
            problems.append(
                file.error((*here, "from"), "overlaps the version before: say its to and this from")
            )
        elif version.from_ != previous.to + timedelta(days=1):
            word = "overlaps" if version.from_ <= previous.to else "leaves a gap after"
            problems.append(
                file.error(
                    (*here, "from"),
                    f"{word} version {previous.version}, which ends on {previous.to}",
                )
            )
        if version.from_ and version.to and version.from_ > version.to:
            problems.append(file.error((*here, "to"), "ends before it begins"))
        previous = version
        problems.extend(_unreachable(version.rules, (*here, "rules"), file))
        if definition.of_patients and not any(part.registered for part in version.population):
            problems.append(
                file.error((*here, "population"), "must hold registered: true among its conditions")
            )
        if not definition.of_patients and version.population:
            problems.append(file.error((*here, "population"), "appointments are all counted"))
    if previous is not None and previous.to is not None:
        problems.append(
            file.error(
                ("versions", len(definition.versions) - 1, "to"), "the last version has no to"
            )
        )
    names = [version.version for version in definition.versions]
    if len(set(names)) != len(names):
        problems.append(file.error(("versions",), "two versions have one name"))
    if list(definition.bands) != sorted(set(definition.bands)):
        problems.append(file.error(("bands",), "the edges must rise"))
    if definition.payment and definition.payment[0] >= definition.payment[1]:
        problems.append(file.error(("payment",), "the range must rise"))
    if problems:
        raise DefinitionError("\n".join(problems))


def _unreachable(rules: Sequence[Rule] | None, path: _Path, file: _File) -> Iterable[str]:
    if rules is None:
        return
    if not rules:
        yield file.error(path, "there are no rules")
        return
    seen: list[Condition] = []
    for n, rule in enumerate(rules):
        if rule.when is None:
            if n + 1 < len(rules):
                yield file.error((*path, n + 1), f"never reached: {rule.name!r} always applies")
            return
        if rule.when in seen:
            yield file.error((*path, n), "never reached: an earlier rule has the same condition")
        seen.append(rule.when)
    yield file.error(
        (*path, len(rules) - 1), "the last rule must always apply: it must have no when"
    )


class DefinitionSet:
    """The definitions that a service runs, with the code list they are computed with. Immutable."""

    def __init__(
        self,
        definitions: Iterable[Definition],
        readings: Mapping[str, ReadingDefinition],
        codes: CodeList,
    ) -> None:
        self.all = tuple(sorted(definitions, key=lambda definition: definition.id))
        self.indicators: tuple[IndicatorId, ...] = tuple(IndicatorId(d.id) for d in self.all)
        """In one fixed order: by id."""
        self.readings = dict(readings)
        self.codes = codes
        self.codes_version = codes.version
        text = json.dumps(
            {
                "codes": codes.version,
                "definitions": [d.model_dump(mode="json", by_alias=True) for d in self.all],
                "readings": {
                    name: found.model_dump(mode="json") for name, found in self.readings.items()
                },
            },
            sort_keys=True,
        )
        self.hash = hashlib.sha256(text.encode()).digest()[:8]
        """8 bytes. Equal only where definitions, readings and code list are."""
        self.hash_text = self.hash.hex()
        self._by_id = {definition.id: definition for definition in self.all}

    def __getitem__(self, indicator: str) -> Definition:
        """KeyError for an unknown id."""
        return self._by_id[indicator]

    def __contains__(self, indicator: object) -> bool:
        return indicator in self._by_id

    def version_on(self, indicator: str, day: int) -> str:
        return self._by_id[indicator].version_on(day).version

    def clusters(self, indicator: str) -> frozenset[str]:
        """Every cluster that any version of the indicator looks at."""
        return frozenset().union(
            *(
                _clusters(version.model_dump(by_alias=True), self.readings)
                for version in self._by_id[indicator].versions
            )
        )

    def demonstration_only(self, indicator: str) -> frozenset[str]:
        """The indicator's clusters of which a code is a stand-in or from memory; a figure that
        rests on any is for demonstration only, and pages must say so."""
        return self.clusters(indicator) & self.codes.demonstration_clusters()


_CLUSTER_FIELDS: Final = frozenset({"any-of", "among", "is", "than", "diagnosis", "resolved", "by"})


def _clusters(data: Any, readings: Mapping[str, ReadingDefinition]) -> set[str]:
    """The clusters named anywhere in a version."""
    found: set[str] = set()
    if isinstance(data, Mapping):
        for name, value in data.items():
            if name in _CLUSTER_FIELDS and isinstance(value, tuple):
                found.update(value)
            elif name == "of" and isinstance(value, tuple):
                found.update(value)
            elif name in ("of", "without-later") and isinstance(value, str):
                found |= reading_clusters(value, readings)
            elif name == BLOOD_PRESSURE and value is not None:
                found |= reading_clusters(BLOOD_PRESSURE, readings)
            else:
                found |= _clusters(value, readings)
    elif isinstance(data, tuple | list):
        for value in data:
            found |= _clusters(value, readings)
    return found


def reading_clusters(name: str, readings: Mapping[str, ReadingDefinition]) -> set[str]:
    """The clusters behind a reading, or behind ``blood-pressure``."""
    if name != BLOOD_PRESSURE:
        return {source.cluster for source in readings[name].sources}
    found = {PANEL_CLUSTER}
    for pair in pair_readings():
        for part in pair:
            found |= reading_clusters(part, readings)
    return found


def pair_readings() -> tuple[tuple[str, str], ...]:
    """The names of the systolic and diastolic readings, for each of ``SETTINGS``."""
    return tuple((f"systolic-{setting}", f"diastolic-{setting}") for setting in SETTINGS)


def load_texts(files: Mapping[str, str], codes: CodeList) -> DefinitionSet:
    """Definitions from ``{file name: text}``. Raises DefinitionError with every mistake found."""
    context = {"clusters": codes.clusters, "readings": frozenset[str]()}
    problems: list[str] = []
    readings: dict[str, ReadingDefinition] = {}
    if READINGS_FILE in files:
        file = _File(READINGS_FILE, files[READINGS_FILE])
        try:
            readings = Readings.model_validate(file.data, context=context).readings
        except ValidationError as error:
            raise file.errors(error) from error
    context["readings"] = frozenset(readings)
    definitions: dict[str, Definition] = {}
    for name, text in sorted(files.items()):
        if name == READINGS_FILE:
            continue
        try:
            file = _File(name, text)
            definition = Definition.model_validate(file.data, context=context)
            _check(definition, file)
            if definition.id in definitions:
                raise DefinitionError(file.error(("id",), "another file has this id"))
            if name.rsplit(".", 1)[0] != definition.id:
                raise DefinitionError(file.error(("id",), "the file must be named after it"))
        except ValidationError as error:
            problems.append(str(file.errors(error)))
        except DefinitionError as error:
            problems.append(str(error))
        else:
            definitions[definition.id] = definition
    if any(BLOOD_PRESSURE in text for text in files.values()):
        for pair in pair_readings():
            problems.extend(
                f"{READINGS_FILE}:1: readings: blood-pressure needs a reading {part}"
                for part in pair
                if part not in readings
            )
    if problems:
        raise DefinitionError("\n".join(problems))
    return DefinitionSet(definitions.values(), readings, codes)


def load_directory(directory: Path, codes: CodeList | None = None) -> DefinitionSet:
    """Every ``*.yaml`` of a directory; the shipped code list unless another is given."""
    files = {path.name: path.read_text("utf-8") for path in directory.glob("*.yaml")}
    return load_texts(files, codes or shipped())


@lru_cache(maxsize=1)
def shipped_definitions() -> DefinitionSet:
    """The twelve indicators that come with Peerview, with the shipped code list."""
    with resources.as_file(resources.files("peerview_compute") / "indicators") as directory:
        return load_directory(directory)


def version_starts(definition: Definition, day: int) -> int | None:
    """The first day of the version after the one that holds on ``day``; None where it is the last."""
    version = definition.version_on(day)
    return None if version.to is None else day_of(version.to) + 1


__all__ = ["Definition", "DefinitionError", "DefinitionSet", "date_of"]
