"""What a reader has to say about a resource. Names places, never values."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

Severity: TypeAlias = Literal["error", "warning", "information"]


class Outcome(StrEnum):
    ACCEPTED = "accepted"
    DROPPED = "dropped"
    """Well formed, and nothing in it that an indicator needs."""
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Issue:
    """One finding, as an OperationOutcome words it. ``code`` is FHIR's issue type."""

    severity: Severity
    code: str
    expression: str
    """The place, like FHIRPath: ``Bundle.entry[3].resource.onsetDateTime``."""
    diagnostics: str

    def json(self) -> dict[str, object]:
        return {
            "severity": self.severity,
            "code": self.code,
            "expression": [self.expression],
            "diagnostics": self.diagnostics,
        }


class Fault(Exception):
    """A resource that cannot be taken, with the place and the reason."""

    def __init__(self, expression: str, code: str, diagnostics: str) -> None:
        super().__init__(diagnostics)
        self.issue = Issue("error", code, expression, diagnostics)
