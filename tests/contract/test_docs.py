"""What a reader is told must be what the code does: settings, metrics, commands, links."""

import re
from pathlib import Path

import pytest
import typer.main

from peerview_common.settings import ALL_SETTINGS
from peerview_tools import docs
from peerview_tools.cli import app

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
OUR_PAGES = [
    "README.md",
    *(f"docs/{name}.md" for name in ("contracts", "metrics", "security", "settings", "tour")),
]


@pytest.mark.parametrize("name", sorted(docs.pages()))
def test_the_page_is_what_the_code_says(name: str) -> None:
    written = (ROOT / "docs" / name).read_text()
    assert written == docs.pages()[name], f"docs/{name} is out of date: run `make docs`"


def test_every_setting_is_described() -> None:
    page = docs.settings_page()
    for kind in ALL_SETTINGS:
        for name, found in kind.model_fields.items():
            assert f"`PEERVIEW_{name.upper()}`" in page
            assert found.description, f"{name} has no description"


def test_every_metric_is_described() -> None:
    page = docs.metrics_page()
    found = list(docs.declared_metrics())
    assert len(found) > 10
    for name, _, _, meaning in found:
        assert f"`{name}`" in page
        assert meaning


def test_every_variable_that_the_code_reads_is_described() -> None:
    page = docs.settings_page()
    read = set()
    for folder in ("libs", "services", "tools"):
        for path in (ROOT / folder).rglob("*.py"):
            read |= set(re.findall(r"[\"'](PEERVIEW_[A-Z_]+[A-Z])[\"']", path.read_text()))
    missing = sorted(name for name in read if f"`{name}`" not in page)
    assert not missing, f"not in docs/settings.md: {missing}"


def test_every_command_is_in_the_readme_or_the_tour() -> None:
    text = (ROOT / "README.md").read_text() + (ROOT / "docs" / "tour.md").read_text()
    group = typer.main.get_command(app)
    for name in group.commands:  # type: ignore[attr-defined]
        assert f"peerview {name}" in text, f"`peerview {name}` is nowhere explained"


@pytest.mark.parametrize("page", OUR_PAGES)
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target in LINK.findall(path.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (path.parent / target).exists(), f"{page} links to {target}, which is not there"


@pytest.mark.parametrize("page", OUR_PAGES)
def test_make_targets_that_are_named_exist(page: str) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name in re.findall(r"`make ([a-z-]+)", (ROOT / page).read_text()):
        assert name in targets
