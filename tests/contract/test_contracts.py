"""The contract files say what is really sent, and what was released stays readable."""

import asyncio
import copy
import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator, FormatChecker

from peerview_common import cloudevents
from peerview_tools import docs
from peerview_tools.contracts import files
from peerview_tools.contracts.events import events, schemas
from peerview_tools.maven import cache_dir
from tests.contract import examples
from tests.contract.examples import Examples

SPECS = "6.11.1"
"""Of @asyncapi/specs, AsyncAPI's own JSON Schemas."""
CONTRACTS = docs.DOCS / files.FOLDER


@pytest.fixture(scope="module")
def asyncapi() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CONTRACTS / "asyncapi.json").read_text())
    return found


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    one, other = tmp_path_factory.mktemp("ingest"), tmp_path_factory.mktemp("share")
    return {
        **asyncio.run(examples.of_ingest(one)),
        **examples.of_controls(),
        **examples.of_compute(),
        **examples.of_share(other),
    }


def validator(schema: Any) -> Draft202012Validator:
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=FormatChecker())


def test_every_record_that_is_sent_is_as_its_schema_says(real: Examples) -> None:
    assert set(real) == set(schemas())
    for title, schema in schemas().items():
        check = validator(schema)
        assert real[title], f"there is no example of {title}"
        for example in real[title]:
            check.validate(example.value)


def test_keys_and_headers_are_as_asyncapi_says(real: Examples, asyncapi: dict[str, Any]) -> None:
    trait = asyncapi["components"]["messageTraits"]["cloudEvent"]["headers"]
    for event in events():
        message = asyncapi["components"]["messages"][event.title]
        for example in real[event.title]:
            validator(trait).validate(example.headers)
            validator(message["headers"]).validate(example.headers)
            if event.key is None:
                assert example.key is None
                assert "bindings" not in message
            else:
                validator(message["bindings"]["kafka"]["key"]).validate(example.key)


def test_a_schema_refuses_what_is_not_its_record(real: Examples) -> None:
    """Each field and place in turn holds what it never may: a schema that takes anything fails."""
    for title, schema in schemas().items():
        check = validator(schema)
        whole = max((example.value for example in real[title]), key=lambda v: len(json.dumps(v)))
        assert not check.is_valid(None)
        for place in whole if isinstance(whole, dict) else range(len(whole)):
            other = copy.deepcopy(whole)
            other[place] = {"never": ["this"]}
            assert not check.is_valid(other), f"{title}: {place}"
            if isinstance(whole, dict):
                del other[place]
                required = place in schema["required"]
                assert check.is_valid(other) != required, f"{title}: {place}"


def test_examples_hold_every_kind_of_fact(real: Examples) -> None:
    kinds = set()
    for example in real["ChangeSet"]:
        for change in example.value["patients"]:
            kinds |= {fact[6][0] if fact[6] else None for fact in change[3]}
    assert kinds == {1, 2, 3, 4, 5, None}


def test_no_file_is_left_over() -> None:
    written = {path.relative_to(docs.DOCS).as_posix() for path in CONTRACTS.rglob("*.json")}
    assert written == {name for name in docs.pages() if name.startswith(f"{files.FOLDER}/")} | {
        f"{files.FOLDER}/{files.RELEASED}"
    }


def test_every_event_type_is_in_the_contracts() -> None:
    names = {
        value
        for name, value in vars(cloudevents.EventType).items()
        if not name.startswith("_") and name != "DEAD_LETTER"
    }
    assert {event.type for event in events()} == names


# -- what was released


def released() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CONTRACTS / files.RELEASED).read_text())
    return found


def test_what_was_released_stays_readable() -> None:
    broken = files.breaks(released(), files.current())
    assert not broken, "readers of the released contracts break:\n" + "\n".join(broken)


def _without(name: str, place: str) -> Any:
    def change(present: dict[str, Any]) -> None:
        del present["schemas"][name]["properties"][place]

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda p: p["records"].pop(0), "ChangeSet: the kind of record is gone"),
        (lambda p: p["records"][0].update(topic="other"), "ChangeSet: its topic"),
        (lambda p: p["records"][0].update(key={"type": "string"}), "ChangeSet: its key"),
        (lambda p: p["records"][0].update(type="other.v2"), "ChangeSet: its type"),
        (lambda p: p["records"][0].update(content_type="x/y"), "ChangeSet: its content_type"),
        (
            lambda p: next(r for r in p["records"] if r["title"] == "DeadLetter")[
                "headers"
            ].clear(),
            "DeadLetter: its header reason is gone",
        ),
        (lambda p: p["schemas"].pop("SnapshotBody"), "SnapshotBody: its schema is gone"),
        (_without("IndicatorValue", "objected"), "IndicatorValue: /objected: removed"),
        (
            lambda p: p["schemas"]["ChangeSet"]["$defs"]["Fact"]["prefixItems"].pop(3),
            "ChangeSet: /patients[]/facts[]/version: place 3 holds source now",
        ),
        (
            lambda p: p["schemas"]["ChangeSet"]["$defs"]["PatientChange"]["prefixItems"][1].update(
                type="string"
            ),
            "ChangeSet: /patients[]/generation: type integer became string",
        ),
        (
            lambda p: p["schemas"]["PeerCell"]["properties"]["state"]["enum"].remove("suppressed"),
            "PeerCell: /state: suppressed are no longer allowed",
        ),
    ],
)
def test_a_break_is_told_by_its_record_and_place(change: Any, told: str) -> None:
    present = copy.deepcopy(files.current())
    change(present)
    found = files.breaks(released(), present)
    assert any(each.startswith(told) for each in found), found


def test_a_breaking_release_needs_another_first_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.release(tmp_path)
    broken = copy.deepcopy(files.current())
    del broken["schemas"]["IndicatorValue"]["properties"]["objected"]
    monkeypatch.setattr(files, "current", lambda: broken)
    with pytest.raises(files.BreakingChangeError, match="IndicatorValue: /objected: removed"):
        files.release(tmp_path)
    broken["version"] = "2.0.0"
    files.release(tmp_path)
    kept = json.loads((tmp_path / files.FOLDER / files.RELEASED).read_text())
    assert kept["version"] == "2.0.0"


# -- AsyncAPI by its own schema


@pytest.fixture(scope="session")
def asyncapi_schema() -> dict[str, Any]:
    """AsyncAPI 3's official JSON Schema, fetched once from npm."""
    folder = cache_dir() / f"asyncapi-specs-{SPECS}"
    archive = folder / f"asyncapi-specs-{SPECS}.tgz"
    if not archive.exists():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("npm is not there, which fetches AsyncAPI's schema")
        folder.mkdir(parents=True, exist_ok=True)
        try:
            fetched = subprocess.run(
                [npm, "pack", "--silent", f"@asyncapi/specs@{SPECS}"],
                cwd=folder, capture_output=True, text=True, timeout=60,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            pytest.skip("npm does not answer")
        if fetched.returncode:
            pytest.skip(f"npm does not answer: {fetched.stderr.strip()[:200]}")
    with tarfile.open(archive) as packed:
        member = packed.extractfile("package/schemas/3.0.0-without-$id.json")
        assert member is not None
        found: dict[str, Any] = json.load(member)
        return found


def test_asyncapi_is_valid_by_its_own_schema(
    asyncapi: dict[str, Any], asyncapi_schema: dict[str, Any]
) -> None:
    check = Draft7Validator(asyncapi_schema)
    assert [error.message for error in check.iter_errors(asyncapi)] == []
    for change in (
        lambda d: d.pop("info"),
        lambda d: d.update(asyncapi="2.0.0"),
        lambda d: d["channels"]["practice-changes"].update(address=5),
        lambda d: next(iter(d["operations"].values())).update(action="shout"),
    ):
        broken = copy.deepcopy(asyncapi)
        change(broken)
        assert not check.is_valid(broken)


def test_every_reference_leads_somewhere(asyncapi: dict[str, Any]) -> None:
    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            for each in value.values():
                yield from walk(each)
        elif isinstance(value, list):
            for each in value:
                yield from walk(each)

    found = list(walk(asyncapi))
    assert found
    for reference in found:
        if reference.startswith("#/"):
            place: Any = asyncapi
            for name in reference[2:].split("/"):
                place = place[name]
        else:
            assert (CONTRACTS / reference).is_file(), reference
