"""HL7's own examples of FHIR R4, from their npm package, and what becomes of them."""

import re
import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from peerview_ingest.fhir.bodies import MAPPINGS
from peerview_tools.npm import NpmError, fetched_package

PACKAGE: Final = "hl7.fhir.r4.examples"
VERSION: Final = "4.0.1"
INTEGRITY: Final = (
    "sha512-DXBdIZOeQaSKIgCU7w6HOC7sw/6BzylmipLkBW4f//"
    "pT+Bc94x+8LImwTdvaNThPJoOzpBzvxAzNqjeu3X/zLw=="
)
OF_INTEREST: Final = frozenset({*MAPPINGS, "Bundle", "Organization", "Practitioner", "Medication"})


@cache
def archive() -> Path:
    """The package's archive; the test is skipped, with the reason, where it cannot be had."""
    try:
        return fetched_package(PACKAGE, VERSION, INTEGRITY, "18 MB", print)
    except NpmError as reason:
        pytest.skip(str(reason))


def examples(*, every: int = 1) -> Iterator[tuple[str, bytes]]:
    """``(name, content)`` of the examples: all of the types that ingest looks at, and each
    ``every``-th of the others, most of which define FHIR itself, and are dropped."""
    others = 0
    with tarfile.open(archive()) as packed:
        for member in packed:
            name = Path(member.name).name
            file = packed.extractfile(member)
            if file is None or not name.endswith(".json") or name == "package.json":
                continue
            if name.partition("-")[0] not in OF_INTEREST:
                others += 1
                if others % every:
                    continue
            yield name, file.read()


@dataclass
class Fates:
    """Counts by resource type: accepted, dropped, rejected, and why."""

    counts: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    reasons: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    requests: Counter[int] = field(default_factory=Counter)

    def note(self, document: dict[str, Any], answer: httpx.Response) -> None:
        """An answer to one request. Fails where a refusal does not say what is wrong and where."""
        self.requests[answer.status_code] += 1
        kind, body = document["resourceType"], answer.json()
        if body["resourceType"] == "Bundle":
            entries = document.get("entry", [])
            assert len(body["entry"]) == len(entries), "an answer for each entry"
            for entry, told in zip(entries, body["entry"], strict=True):
                inner = entry.get("resource", {}).get("resourceType", "(no resource)")
                response = told["response"]
                fate = {"202": "accepted", "200": "dropped"}.get(response["status"][:3], "rejected")
                self._one(inner, fate, response.get("outcome"))
        elif answer.status_code == 413:
            self._add(kind, "rejected", "the whole body is too large")
        else:
            receipt = answer.headers.get("Peerview-Receipt", "rejected=1")
            fate = next(
                word for word in ("accepted", "dropped", "rejected") if f"{word}=1" in receipt
            )
            self._one(kind, fate, body)

    def _add(self, kind: str, fate: str, *reasons: str) -> None:
        self.counts[kind][fate] += 1
        self.reasons[kind].update(reasons)

    def _one(self, kind: str, fate: str, outcome: dict[str, Any] | None) -> None:
        found: list[str] = []
        if fate == "rejected":
            assert outcome is not None, "a refusal says why"
            errors = [issue for issue in outcome["issue"] if issue["severity"] == "error"]
            assert errors, "a refusal has an error"
            for issue in errors:
                (place,) = issue["expression"]
                assert place, "a refusal names the place"
                short = re.sub(r"\[\d+\]", "", place).replace("Bundle.entry.", "entry.")
                found.append(f"{short}: {issue['diagnostics'].partition(':')[0]}")
        self._add(kind, fate, *found)

    def table(self, title: str) -> list[str]:
        """For the closing lines: the types that ingest looks at, and the others together."""
        requests = ", ".join(f"{number} x {status}" for status, number in self.requests.items())
        rows = [f"{title}: {sum(self.requests.values())} requests ({requests})"]
        others: Counter[str] = Counter()
        for kind, counts in sorted(self.counts.items()):
            if kind not in OF_INTEREST and not counts["rejected"]:
                others += counts
                continue
            top = "; ".join(f"{n} {why}" for why, n in self.reasons[kind].most_common(2))
            rows.append(_row(kind, counts, top))
        rows.append(_row("all other types", others, ""))
        return rows


def _row(kind: str, counts: Counter[str], why: str) -> str:
    numbers = " ".join(f"{counts[fate]:6,} {fate}" for fate in ("accepted", "dropped", "rejected"))
    return f"  {kind:18} {numbers}  {why}".rstrip()
