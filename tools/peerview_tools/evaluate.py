"""`peerview evaluate`: a practice's counts out of files, by the services' own reader and core.

No broker, no database, no keys: what it prints is what the stream must come to.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from peerview_common.changes import PatientChange
from peerview_common.days import day_of
from peerview_common.ids import OdsCode, ods_code
from peerview_compute.model.core import Core
from peerview_compute.model.definitions import (
    DefinitionSet,
    load_definitions,
    shipped_definitions,
)
from peerview_compute.model.gaps import Gaps
from peerview_compute.model.status import OUT, STATUS_NAMES, Status
from peerview_ingest.fhir.collect import Collected, collect
from peerview_tools.fhir_files import Documents, UnreadableFileError
from peerview_tools.sending.files import find

UNREADABLE = 2


@dataclass
class Evaluation:
    """``result`` is what is printed; the rest says what became of the records."""

    result: dict[str, Any]
    collected: Collected
    broken: int
    """Lines or files that were no JSON."""
    complaints: list[str] = field(default_factory=list)
    """``place: reason`` of what was rejected."""


def evaluate(
    files: Sequence[Path],
    *,
    practice: OdsCode,
    day: date,
    patients: bool = False,
    register_all: bool = False,
    definitions: DefinitionSet | None = None,
    gaps: bool = False,
) -> Evaluation:
    """Evaluate everything in ``files`` as of ``day``. Without ``definitions`` by the shipped ones.
    Raises UnreadableFileError."""
    definitions = definitions or shipped_definitions()
    complaints: list[str] = []
    documents = Documents(files, lambda place, reason: complaints.append(f"{place}: {reason}"))
    collected = collect(
        documents, practice=practice, codes=definitions.codes, register_all=register_all
    )
    complaints += [
        f"{documents.place(number)}: {issue.expression}: {issue.diagnostics}"
        for number, issue in collected.issues
    ]
    result = counts(
        collected,
        practice=practice,
        day=day,
        patients=patients,
        gaps=gaps,
        definitions=definitions,
    )
    return Evaluation(result, collected, documents.broken, complaints)


def counts(
    collected: Collected,
    *,
    practice: OdsCode,
    day: date,
    patients: bool = False,
    gaps: bool = False,
    definitions: DefinitionSet | None = None,
) -> dict[str, Any]:
    """The counts of collected patients, in the form that the command prints."""
    core = Core(definitions or shipped_definitions())
    tally = core.tally()
    as_of = day_of(day)
    names = core.definitions.indicators
    by_patient: dict[str, dict[str, list[object]]] = {}
    explainer = Gaps(core.definitions)
    care_gaps: dict[str, list[dict[str, object]]] = {
        one.id: [] for one in core.definitions.all if one.kind == "proportion-of-patients"
    }
    for patient, facts in sorted(collected.patients.items()):
        change = PatientChange(patient.encode(), 0, False, facts)
        applied = core.apply(None, change, as_of)
        contributions = applied.after
        tally.add(contributions)
        for name in care_gaps if gaps else ():
            told = explainer.explain(core.facts(applied.stored), as_of, name)
            if told.gap:
                care_gaps[name].append(
                    {
                        "patient": patient,
                        "status": STATUS_NAMES[told.status],
                        "rule": told.change,
                    }
                )
        if patients and any(found != OUT for found in contributions):
            by_patient[patient] = {
                name: [STATUS_NAMES[Status(status)], denominator, numerator]
                for name, (status, denominator, numerator) in zip(names, contributions, strict=True)
                if status != Status.OUT
            }
    indicators = {}
    for name, sums in zip(names, tally.counts, strict=True):
        indicators[name] = {
            "version": core.definitions.version_on(name, as_of),
            "denominator": sums.denominator,
            "numerator": sums.numerator,
            "met": sums.met,
            "miss": sums.miss,
            "exception": sums.exception,
            "excluded": sums.excluded,
        }
    result: dict[str, Any] = {
        "practice": practice,
        "as_of": day.isoformat(),
        "indicators": indicators,
    }
    if patients:
        result["patients"] = by_patient
    if gaps:
        result["gaps"] = care_gaps
    return result


def run(
    files: Sequence[Path],
    *,
    practice: str,
    day: date,
    patients: bool,
    register_all: bool,
    gaps: bool = False,
    directory: Path | None = None,
    code_list: Path | None = None,
) -> int:
    """The command: JSON on standard output, everything else on standard error. ``files`` may be
    folders of them."""
    try:
        ods = ods_code(practice)
        definitions = load_definitions(directory, code_list)
        found = evaluate(
            [each for path in files for each in (find([path]) if path.is_dir() else [path])],
            practice=ods,
            day=day,
            patients=patients,
            register_all=register_all,
            definitions=definitions,
            gaps=gaps,
        )
    except (UnreadableFileError, OSError, ValueError) as error:
        print(f"peerview evaluate: {error}", file=sys.stderr)
        return UNREADABLE
    for complaint in found.complaints:
        print(complaint, file=sys.stderr)
    collected = found.collected
    untold = collected.rejected + found.broken - len(found.complaints)
    if untold > 0:
        print(f"... and {untold} more rejected", file=sys.stderr)
    print(
        f"{collected.accepted} resources counted, {collected.dropped} dropped (no indicator needs "
        f"them), {collected.rejected + found.broken} rejected; "
        f"{len(collected.patients)} patients, and {collected.objected} with a type 1 opt-out",
        file=sys.stderr,
    )
    json.dump(found.result, sys.stdout, indent=2)
    print()
    return 0
