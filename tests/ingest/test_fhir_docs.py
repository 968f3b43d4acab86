"""docs/fhir.md is true: its examples run as they stand, its fields are those that are read."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec

from peerview_ingest.fhir.bodies import MAPPINGS
from peerview_ingest.fhir.issues import MAX_ISSUES
from peerview_ingest.fhir.reader import MAX_ENTRIES
from peerview_ingest.fhir.shapes import Resource
from tests.ingest.conftest import Service

PAGE = (Path(__file__).parents[2] / "docs" / "fhir.md").read_text()
EXAMPLES = re.findall(r"```http\n(.*?)```\n```answer\n(.*?)```", PAGE, re.DOTALL)


def within(wanted: Any, found: Any) -> bool:
    """Whether everything that an example shows is in the answer; lists are as long as shown."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(
            key in found and within(value, found[key]) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return len(wanted) == len(found) and all(map(within, wanted, found))
    return bool(wanted == found)


def parted(text: str) -> tuple[str, dict[str, str], str]:
    """First line, headers and body."""
    head, _, body = text.partition("\n\n")
    first, *lines = head.strip().splitlines()
    headers = dict(line.split(": ", 1) for line in lines)
    return first, headers, body.strip()


async def test_the_examples_run(service: Service) -> None:
    assert len(EXAMPLES) >= 6
    assert PAGE.count("```http") == len(EXAMPLES)
    for asked, told in EXAMPLES:
        first, headers, body = parted(asked)
        method, path = first.split(" ", 1)
        content = body.encode() if body else None
        answer = await service.send(method, path, content=content, headers=headers)
        status, wanted_headers, wanted = parted(told)
        assert answer.status_code == int(status), (first, answer.text)
        for name, value in wanted_headers.items():
            assert answer.headers[name] == value
        if wanted:
            assert within(json.loads(wanted), answer.json()), (wanted, answer.text)


def _said(kind: str) -> set[str]:
    (row,) = re.findall(rf"^\| {kind} \| (.*) \|$", PAGE, re.MULTILINE)
    words = set(re.findall(r"`([A-Za-z]+)[A-Za-z.]*(?:\[x\])?`", row))
    return words | ({"extension"} if "extension" in row else set())


def test_the_fields_are_those_that_are_read() -> None:
    common = {field.encode_name for field in msgspec.structs.fields(Resource)}
    assert _said("all") | {"contained"} == common
    for kind, mapping in MAPPINGS.items():
        read = {field.encode_name for field in msgspec.structs.fields(mapping.shape)} - common
        stems = {re.sub(r"(DateTime|Instant|Period|Boolean|CodeableConcept|Reference)$", "", name)
                 if name != "managingOrganization" else name for name in read}  # fmt: skip
        assert _said(kind) - {"identifier"} == stems, kind


def test_the_limits_are_those_of_the_code() -> None:
    assert f"up to {MAX_ENTRIES:,} entries" in PAGE
    assert f"{MAX_ISSUES} faults are told" in PAGE
