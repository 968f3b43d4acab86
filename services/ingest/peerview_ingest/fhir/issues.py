"""What a reader has to say about a resource. Names places, never values."""

from enum import StrEnum
from typing import Final, Literal, TypeAlias

from msgspec import Struct

Severity: TypeAlias = Literal["error", "warning", "information"]


class Outcome(StrEnum):
    ACCEPTED = "accepted"
    DROPPED = "dropped"
    """Well formed, and nothing in it that an indicator needs."""
    REJECTED = "rejected"


class Issue(Struct, frozen=True, gc=False):
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


class Notes(Struct, gc=False):
    """What is found wrong with one resource, all of it: a reader notes a fault and reads on.

    A fault refuses the resource; a warning does not. Two faults of one place are told once, and of
    very many only the first, so that what is said never grows with what was sent.
    """

    place: str = ""
    issues: list[Issue] = []
    faulty: bool = False

    def fault(self, expression: str, code: str, diagnostics: str) -> None:
        self.faulty = True
        self._add(Issue("error", code, expression, diagnostics))

    def told(self, place: str, parent: str | None = None) -> bool:
        """Whether a fault of this place, or within it, or of its whole parent is noted."""
        return self.faulty and any(
            issue.severity == "error"
            and (issue.expression.startswith(place) or issue.expression == parent)
            for issue in self.issues
        )

    def warn(self, expression: str, code: str, diagnostics: str) -> None:
        self._add(Issue("warning", code, expression, diagnostics))

    def inform(self, expression: str, diagnostics: str) -> None:
        self._add(Issue("information", "informational", expression, diagnostics))

    def _add(self, issue: Issue) -> None:
        if len(self.issues) < MAX_ISSUES:
            if issue not in self.issues:
                self.issues.append(issue)
        elif len(self.issues) == MAX_ISSUES or (
            self.faulty and self.issues[-1].severity != "error"
        ):
            # a fault after many warnings must still show
            severity: Severity = "error" if self.faulty else "warning"
            self.issues[MAX_ISSUES:] = [Issue(severity, "too-costly", self.place, MORE)]


MAX_ISSUES: Final = 25
MORE: Final = "more is wrong with it than is listed here"
