"""What a sender is told: counts, reasons with their places, and where in the log it is."""

from dataclasses import dataclass, field
from typing import Any, Final

from peerview_common.days import iso_millis
from peerview_ingest.fhir.issues import Issue
from peerview_ingest.publisher import Position

MAX_REJECTIONS: Final = 100
COUNTS: Final = (
    "accepted",
    "rejected",
    "dropped",
    "unchanged",
    "objections",
    "opted_in",
    "shared_nhs_numbers",
)


@dataclass(frozen=True, slots=True)
class Rejection:
    """``line`` counts from 1, in a stream of lines."""

    issue: Issue
    line: int | None = None

    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "place": self.issue.expression,
            "code": self.issue.code,
            "reason": self.issue.diagnostics,
        }
        return found if self.line is None else {"line": self.line, **found}


@dataclass
class SubmissionReceipt:
    """``accepted + rejected + dropped`` is the number of resources; the others say more of those
    accepted."""

    submission: str
    practice: str
    source: str
    received: int
    data_through: int = 0
    """Up to when the feed is known to be whole; not told to the sender."""
    accepted: int = 0
    rejected: int = 0
    dropped: int = 0
    unchanged: int = 0
    """Of the accepted: known already, or older than what is known; not sent to the log again."""
    objections: int = 0
    """Patients who object from now on."""
    opted_in: int = 0
    """Patients who no longer object: their whole records must be sent again."""
    shared_nhs_numbers: int = 0
    rejections: list[Rejection] = field(default_factory=list)
    """The first hundred."""
    warnings: list[Rejection] = field(default_factory=list)
    """The first hundred of what was taken and may count otherwise than meant."""
    positions: list[Position] = field(default_factory=list)

    def reject(self, issue: Issue, line: int | None = None) -> None:
        if len(self.rejections) < MAX_REJECTIONS:
            self.rejections.append(Rejection(issue, line))

    def warn(self, issue: Issue, line: int | None = None) -> None:
        if len(self.warnings) < MAX_REJECTIONS:
            self.warnings.append(Rejection(issue, line))

    def add(self, part: "SubmissionReceipt") -> None:
        """Take in what became of a further part of the submission."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(part, name))
        self.received = part.received
        self.positions.extend(part.positions)
        self.rejections.extend(part.rejections[: MAX_REJECTIONS - len(self.rejections)])
        self.warnings.extend(part.warnings[: MAX_REJECTIONS - len(self.warnings)])

    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "submission": self.submission,
            "practice": self.practice,
            "source": self.source,
            "received": iso_millis(self.received),
            **{name: getattr(self, name) for name in COUNTS},
            "positions": [
                {"partition": each.partition, "offset": each.offset} for each in self.positions
            ],
            "rejections": [each.json() for each in self.rejections],
            "warnings": [each.json() for each in self.warnings],
        }
        if self.opted_in:
            found["resend"] = RESEND
        return found


RESEND: Final = (
    "a type 1 opt-out was withdrawn: send the whole records of these patients again, "
    "nothing of them was kept"
)
