"""Facts in few words, for tests: ``coded("HYP_COD", "2025-03-01")``. Days are ISO texts or whole
days; every fact gets an id of its own unless one is given."""

from itertools import count
from typing import Any

from peerview_common.codes import shipped
from peerview_common.days import parse_day
from peerview_common.facts import (
    Appointment,
    AppointmentStatus,
    Code,
    Coded,
    Component,
    Contact,
    Fact,
    GeneralPractice,
    Person,
    Registration,
    ResourceType,
    Sex,
    Unit,
    pack_id,
)
from peerview_compute.model.core import Core, shipped_definitions
from peerview_compute.model.status import STATUS_NAMES, Status

CORE = Core(shipped_definitions())
_ids = count()


def day(when: str | int) -> int:
    return parse_day(when) if isinstance(when, str) else when


def codes_of(cluster: str) -> list[Code]:
    """The codes of a cluster as facts hold them, those in no other cluster first."""
    listed = shipped()
    found: list[Code] = []
    for row in listed.rows:
        if row.cluster == cluster:
            found.extend(
                (f"bnf:{row.code}",)
                if row.system == "bnf-prefix"
                else listed.codes_for(row.system, row.code)
            )
    if not found:
        raise KeyError(cluster)
    return sorted(found, key=lambda code: len(listed.clusters_of(code)))


def code_of(cluster: str) -> Code:
    return codes_of(cluster)[0]


def fact(kind: ResourceType, body: Any, **over: Any) -> Fact:
    given: dict[str, Any] = {
        "id": pack_id(over.pop("id", f"f{next(_ids):05}")),
        "stamp": 0,
        "version": 1,
        "source": "",
        "deleted": False,
    } | over
    return Fact(type=int(kind), body=body, **given)


def void(of: Fact, *, stamp: int = 10**15, deleted: bool = True) -> Fact:
    """A newer version that takes no part."""
    return Fact(of.type, of.id, stamp, of.version + 1, of.source, deleted, None)


def person(
    born: str | int | None = "1960-06-15",
    *,
    sex: Sex = Sex.FEMALE,
    died: str | int | None = None,
    practice: GeneralPractice = GeneralPractice.HERE,
    inactive_from: str | int | None = None,
    **over: Any,
) -> Fact:
    body = Person(
        None if born is None else day(born),
        int(sex),
        None if died is None else day(died),
        int(practice),
        None if inactive_from is None else day(inactive_from),
        False,
    )
    return fact(ResourceType.PATIENT, body, **({"id": "patient"} | over))


def registered(
    start: str | int, end: str | int | None = None, *, here: bool = True, **over: Any
) -> Fact:
    body = Registration(here, day(start), None if end is None else day(end))
    return fact(ResourceType.EPISODE_OF_CARE, body, **over)


def coded(
    cluster: str | tuple[str, ...],
    when: str | int,
    *,
    elapsed: int = 0,
    value: float | None = None,
    unit: Unit = Unit.ABSENT,
    resolved: str | int | None = None,
    components: tuple[Component, ...] = (),
    kind: ResourceType = ResourceType.OBSERVATION,
    **over: Any,
) -> Fact:
    clusters = (cluster,) if isinstance(cluster, str) else cluster
    body = Coded(
        day(when),
        elapsed,
        tuple(code_of(name) for name in clusters),
        value,
        int(unit),
        None if resolved is None else day(resolved),
        components,
    )
    return fact(kind, body, **over)


def component(cluster: str, value: float | None, unit: Unit = Unit.MM_HG) -> Component:
    return Component((code_of(cluster),), value, int(unit))


def panel(
    when: str | int, systolic: float | None, diastolic: float | None, *, setting: str = "CLINIC",
    cluster: str = "BP_PANEL", unit: Unit = Unit.MM_HG, **over: Any,
) -> Fact:  # fmt: skip
    parts = (
        component(f"BP_SYSTOLIC_{setting}", systolic, unit),
        component(f"BP_DIASTOLIC_{setting}", diastolic, unit),
    )
    return coded(cluster, when, components=parts, **over)


def lone(part: str, when: str | int, value: float | None, **over: Any) -> Fact:
    return coded(f"BP_{part}", when, value=value, unit=over.pop("unit", Unit.MM_HG), **over)


def appointment(
    when: str | int,
    status: AppointmentStatus = AppointmentStatus.FULFILLED,
    *,
    booked: str | int | None = None,
    category: int | None = 0,
) -> Fact:
    body = Appointment(day(when), None if booked is None else day(booked), int(status), category)
    return fact(ResourceType.APPOINTMENT, body)


def contact(when: str | int, gp: bytes = b"gp-one--") -> Fact:
    return fact(ResourceType.ENCOUNTER, Contact(day(when), gp))


def figures(facts: list[Fact], when: str | int) -> dict[str, tuple[int, int, int]]:
    """``{indicator: (status, denominator, numerator)}`` as of a day."""
    found = CORE.evaluator.evaluate_all(facts, day(when))
    return {
        str(indicator): evaluation.contribution
        for indicator, evaluation in zip(CORE.definitions.indicators, found, strict=True)
    }


def status(indicator: str, facts: list[Fact], when: str | int) -> str:
    """The word for what the indicator says of the patient on a day."""
    return STATUS_NAMES[Status(figures(facts, when)[indicator][0])]


def changes(indicator: str, facts: list[Fact], when: str | int) -> int:
    """The next day on which the indicator may change."""
    place = CORE.definitions.indicators.index(indicator)
    return CORE.evaluator.evaluate_all(facts, day(when))[place].next_change
