"""What the sender of a drop is told: counts by table, places and reasons; never a value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from peerview_ingest.extracts.index import Vanished
from peerview_ingest.fhir import Issue, Outcome, Read
from peerview_ingest.receipt import SubmissionReceipt

MAX_REASONS: Final = 100


@dataclass
class TableReport:
    """``accepted + dropped + rejected`` is ``rows``; ``unchanged`` are among the accepted."""

    rows: int = 0
    accepted: int = 0
    unchanged: int = 0
    dropped: int = 0
    rejected: int = 0
    nobodys: int = 0
    """Of the rejected: rows of which nobody can say which record they are."""
    vanished: Vanished | None = None
    """Of a full drop: what earlier ones held, and how much of it this one has no more."""
    rejections: list[dict[str, Any]] = field(default_factory=list)
    """The first hundred."""
    warnings: list[dict[str, Any]] = field(default_factory=list)
    """The first hundred: accepted, but a reading of them counts as none."""

    def add(
        self,
        receipt: SubmissionReceipt,
        reads: list[tuple[int | None, Read]],
        nobodys: int,
        stale: int,
    ) -> None:
        self.rows += len(reads)
        self.accepted += receipt.accepted
        self.unchanged += min(receipt.unchanged + stale, receipt.accepted)
        self.dropped += receipt.dropped
        self.rejected += receipt.rejected
        self.nobodys += nobodys
        for line, read in reads:
            if read.outcome is Outcome.DROPPED:
                continue
            into = self.rejections if read.outcome is Outcome.REJECTED else self.warnings
            for issue in read.issues:
                if issue.severity != "information" and len(into) < MAX_REASONS:
                    into.append(_reason(line, issue))

    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("rows", "accepted", "unchanged", "dropped", "rejected")
        }
        if self.vanished is not None:
            found["vanished"] = {
                "records": self.vanished.records,
                "of": self.vanished.of,
                "patients": self.vanished.patients,
                "of_patients": self.vanished.of_patients,
            }
        return {**found, "rejections": self.rejections, "warnings": self.warnings}


def _reason(line: int | None, issue: Issue) -> dict[str, Any]:
    return {
        "line": line,
        "column": issue.expression,
        "code": issue.code,
        "reason": issue.diagnostics,
    }


def reasons_to_hold(
    tables: Mapping[str, TableReport], share: float, minimum: int
) -> list[dict[str, Any]]:
    """Why a full drop's deletions must wait for a person; empty where they need not.

    A table with fewer than ``minimum`` records gone, and fewer patients, is never held for its
    share: in a small practice two of nine are an ordinary day.
    """
    found: list[dict[str, Any]] = []

    def hold(table: str, reason: str, number: int, of: int) -> None:
        found.append({"table": table, "reason": reason, "number": number, "of": of})

    for name, table in tables.items():
        gone = table.vanished
        if table.rejected >= minimum and table.rejected > share * table.rows:
            hold(name, "rows-rejected", table.rejected, table.rows)
        if gone is None or not gone.records:
            continue
        if gone.records >= minimum and gone.records > share * gone.of:
            hold(name, "records-vanished", gone.records, gone.of)
        if gone.patients >= minimum and gone.patients > share * gone.of_patients:
            hold(name, "patients-vanished", gone.patients, gone.of_patients)
        if table.nobodys:
            # each may be one of those that seem to have vanished
            hold(name, "rows-unreadable", table.nobodys, table.rows)
    return found
