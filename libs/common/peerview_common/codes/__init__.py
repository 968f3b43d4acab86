"""Code lists: which clinical codes belong to which clusters, and where each row came from.

The shipped list is small on purpose and for demonstration: whole national lists carry their own
licences. ``CodeList.load`` reads any CSV of the same four columns.
"""

import csv
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Final

from peerview_common.facts import Code

SNOMED_SYSTEMS: Final = frozenset({"http://snomed.info/sct", "https://dmd.nhs.uk"})
"""One code space: dm+d identifiers are SNOMED CT identifiers."""
BNF_ROW: Final = "bnf-prefix"
COLUMNS: Final = ("cluster", "system", "code", "origin")
OBJECTION: Final = "TYPE1DISSENT_COD"
OBJECTION_WITHDRAWN: Final = "TYPE1WITHDRAWN_COD"


@dataclass(frozen=True, slots=True)
class Row:
    cluster: str
    system: str
    code: str
    origin: str

    @property
    def demonstration_only(self) -> bool:
        """A code that stands in for unpublished ones, or that nobody has verified."""
        return self.origin.startswith(("stand-in", "from memory"))


_MOST_CODINGS: Final = 10_000
_LONGEST_CODING: Final = 200

_VERSION_IN_NAME: Final = re.compile(r"-([0-9a-f]{12})\.csv$")
"""How `peerview codes import` names what it writes."""


class CodeListError(ValueError):
    """A row that cannot be used; names the line."""


class CodeList:
    """An immutable list. ``version`` is a hash of its rows, so equal lists have equal versions."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = tuple(rows)
        text = "\n".join(sorted(f"{r.cluster}\t{r.system}\t{r.code}" for r in self.rows))
        self.version = hashlib.sha256(text.encode()).hexdigest()[:12]
        exact: defaultdict[Code, set[str]] = defaultdict(set)
        prefixes: defaultdict[str, set[str]] = defaultdict(set)
        for row in self.rows:
            if row.system == BNF_ROW:
                prefixes[row.code].add(row.cluster)
            else:
                exact[_exact(row.system, row.code)].add(row.cluster)
        self._exact = {code: frozenset(found) for code, found in exact.items()}
        self._prefixes = {code: frozenset(found) for code, found in prefixes.items()}
        self._lengths = sorted({len(code) for code in prefixes}, reverse=True)
        self.clusters = frozenset(row.cluster for row in self.rows)
        self.cluster_hashes = _cluster_hashes(self.rows)
        """By cluster, 12 hexadecimal digits that are equal only where its codes are."""
        self._memo: dict[Code, frozenset[str]] = {}
        self._codings: dict[tuple[str, str], tuple[Code, ...]] = {}

    def codes_for(self, system: str | None, code: str | None) -> tuple[Code, ...]:
        """What a coding becomes in a fact: nothing where no cluster lists it.

        A BNF code becomes the longest listed prefix, which is in exactly the clusters that the
        whole code is in, and says no more than the list needs.
        """
        if not system or not code:
            return ()
        known = self._codings.get((system, code))
        if known is None:
            known = self._coding(system, code)
            # records name the same codings again and again; nobody can make us remember for ever
            if len(self._codings) >= _MOST_CODINGS:
                self._codings.clear()
            if len(system) + len(code) < _LONGEST_CODING:
                self._codings[(system, code)] = known
        return known

    def _coding(self, system: str, code: str) -> tuple[Code, ...]:
        found: list[Code] = []
        exact = _exact(system, code)
        if exact in self._exact:
            found.append(exact)
        if "bnf" in system.lower():
            for length in self._lengths:
                if code[:length] in self._prefixes and len(code) >= length:
                    found.append(f"bnf:{code[:length]}")
                    break
        return tuple(found)

    def clusters_of(self, code: Code) -> frozenset[str]:
        """The clusters of a code as facts hold it; empty where this list no longer has it."""
        known = self._memo.get(code)
        if known is None:
            known = self._memo[code] = self._find(code)
        return known

    def _find(self, code: Code) -> frozenset[str]:
        if isinstance(code, str) and code.startswith("bnf:"):
            text = code[4:]
            clusters: set[str] = set()
            for length in self._lengths:
                if len(text) >= length:
                    clusters |= self._prefixes.get(text[:length], frozenset())
            return frozenset(clusters)
        return self._exact.get(code, frozenset())

    def demonstration_clusters(self) -> frozenset[str]:
        """Clusters of which at least one code is for demonstration only."""
        return frozenset(row.cluster for row in self.rows if row.demonstration_only)

    @classmethod
    def load(cls, path: Path) -> "CodeList":
        """Read ``cluster,system,code,origin``. Raises CodeListError with the line."""
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames != list(COLUMNS):
                raise CodeListError(f"{path.name}: line 1: columns must be {','.join(COLUMNS)}")
            rows = []
            for entry in reader:
                row = Row(*((entry[name] or "").strip() for name in COLUMNS))
                if not (row.cluster and row.system and row.code):
                    raise CodeListError(f"{path.name}: line {reader.line_num}: an empty field")
                rows.append(row)
        listed = cls(rows)
        said = _VERSION_IN_NAME.search(path.name)
        if said is not None and said[1] != listed.version:
            raise CodeListError(
                f"{path.name}: its name says version {said[1]}, its rows are version "
                f"{listed.version}: import it again"
            )
        return listed


def _cluster_hashes(rows: Iterable[Row]) -> dict[str, str]:
    texts: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        texts[row.cluster].add(f"{row.system}\t{row.code}")
    return {
        cluster: hashlib.sha256("\n".join([cluster, *sorted(found)]).encode()).hexdigest()[:12]
        for cluster, found in sorted(texts.items())
    }


def _exact(system: str, code: str) -> Code:
    if system in SNOMED_SYSTEMS:
        if code.isascii() and code.isdigit() and code[0] != "0" and len(code) <= 18:
            return int(code)
        return f"http://snomed.info/sct|{code}"
    return f"{system}|{code}"


@lru_cache(maxsize=1)
def shipped() -> CodeList:
    """The illustrative list that comes with Peerview."""
    with resources.as_file(resources.files(__package__) / "clusters.csv") as path:
        return CodeList.load(path)
