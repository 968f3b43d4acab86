"""A group of lines with a reader: each line a resource or a Bundle."""

from collections.abc import Sequence
from typing import Any, Final

from peerview_ingest.fhir import Issue, Outcome, Read, Reader, Resolver
from peerview_ingest.parsing import NotJsonError, parse_line

A_LINE: Final = "a resource or a Bundle must be one line"


def read_lines(
    reader: Reader, lines: Sequence[tuple[int, bytes | None]], longest: int
) -> list[tuple[int | None, Read]]:
    """What the lines hold, each Read with its line. A line refers to the others of its group by
    ``urn:uuid:`` too."""
    resolver = Resolver(organisations=reader.organisations)
    documents: list[tuple[int, Any]] = []
    reads: list[tuple[int | None, Read]] = []
    for number, line in lines:
        if line is None:
            reads.append((number, _refused("too-long", f"the line is over {longest} bytes")))
            continue
        try:
            document = parse_line(line)
        except NotJsonError as error:
            reads.append((number, _refused("structure", f"{error}: {A_LINE}")))
            continue
        documents.append((number, document))
        if not _is_bundle(document):
            resolver.add(document)
    for number, document in documents:
        if _is_bundle(document):
            reads.extend((number, read) for read in reader.bundle(document, resolver))
        else:
            reads.append((number, reader.resource(document, resolver)))
    reads.sort(key=lambda read: read[0] or 0)  # lines that are no JSON came first
    return reads


def _is_bundle(document: Any) -> bool:
    return isinstance(document, dict) and document.get("resourceType") == "Bundle"


def _refused(code: str, reason: str) -> Read:
    issue = Issue("error", code, "line", reason)
    return Read("line", None, Outcome.REJECTED, issues=(issue,))
