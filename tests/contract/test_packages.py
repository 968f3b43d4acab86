"""What a package imports it asks for: in the image of one service nothing else is installed."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMON = "libs/common"
SERVICES = ("services/ingest", "services/compute", "services/share")
COMES_WITH = {"starlette": "fastapi", "mode": "faust-streaming", "pydantic_core": "pydantic"}
"""Parts of a library that its own interface hands out."""
OF_OTHER_ENVIRONMENTS = {"quixstreams", "fhir"}
"""What the bench stands us beside, each in an environment of its own."""


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def asked_for(package: str) -> set[str]:
    project = tomllib.loads((ROOT / package / "pyproject.toml").read_text("utf-8"))["project"]
    lines = list(project["dependencies"])
    for extra in project.get("optional-dependencies", {}).values():
        lines.extend(extra)
    return {plain(re.split(r"[\[<>=~!; ]", line, maxsplit=1)[0]) for line in lines}


def imported(package: str) -> Iterator[tuple[str, Path]]:
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in names:
                yield name.partition(".")[0], path


@pytest.mark.parametrize("package", [COMMON, *SERVICES, "tools"])
def test_a_package_asks_for_what_it_imports(package: str) -> None:
    asked = asked_for(package)
    for below in {COMMON: (), "tools": (COMMON, *SERVICES)}.get(package, (COMMON,)):
        asked |= asked_for(below)
    installed = packages_distributions()
    own = f"peerview_{Path(package).name}"
    missing = {}
    for name, path in imported(package):
        if name in sys.stdlib_module_names or name == own or name in OF_OTHER_ENVIRONMENTS:
            continue
        sources = {plain(found) for found in installed.get(name, [name])}
        if not (sources | {COMES_WITH.get(name, name)}) & asked:
            missing[name] = str(path.relative_to(ROOT))
    assert not missing
