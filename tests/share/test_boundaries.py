"""What keeps raw counts away from views, and the catalogue in step with the definitions."""

import ast
from pathlib import Path

import yaml

import peerview_share
from peerview_common.catalogue import catalogue
from peerview_share.disclosure.cell import CellState

ROOT = Path(peerview_share.__file__).parent
DEFINITIONS = Path(__file__).parents[2] / "services/compute/peerview_compute/indicators"
SERVERS = {"kafka", "sqlalchemy", "fastapi", "starlette", "alembic", "httpx"}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module or "", {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, set()


def test_only_rounding_and_the_store_can_make_a_released_figure():
    users = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        for _, names in imports(path)
        if "SEAL" in names
    }
    assert users == {"disclosure/rounding.py", "store/epochs.py"}


def test_what_peers_read_never_touches_live_figures_or_contributions():
    for name in ("delivery/views.py", "delivery/topics.py", "api/networks.py"):
        for module, _ in imports(ROOT / name):
            assert "consume" not in module, (name, module)
            assert module != "peerview_common.snapshots", (name, module)
            assert module != "peerview_common.values", (name, module)


def test_the_core_knows_no_server():
    for path in (ROOT / "disclosure").glob("*.py"):
        for module, _ in imports(path):
            assert module.split(".")[0] not in SERVERS, (path.name, module)


def test_the_catalogue_says_what_the_definitions_say():
    found = {}
    for path in DEFINITIONS.glob("*.yaml"):
        definition = yaml.safe_load(path.read_text())
        if "kind" in definition:
            found[definition["id"]] = definition
    assert set(found) == set(catalogue())
    for name, info in catalogue().items():
        definition = found[name]
        assert info.title == definition["title"].strip()
        assert info.why == " ".join(definition["why"].split())
        assert info.kind == definition["kind"]
        assert info.direction == definition["direction"]
        assert info.unit == definition["unit"]
        assert list(info.bands) == definition["bands"]


def test_every_cell_state_is_described():
    page = (Path(__file__).parents[2] / "docs" / "sharing.md").read_text()
    for state in CellState:
        assert f"| `{state}` |" in page


def test_whoever_makes_a_view_logs_it():
    """The modules that make views, and how each answers for them. A new way out is added here
    once it logs what goes out."""
    makers = {"named_cells", "derived_cells", "Views", "view", "visible"}
    users = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        for module, names in imports(path)
        if names & makers and module.startswith("peerview_share.")
    }
    logs = {"api/networks.py": "audit.record(", "delivery/topics.py": "audit.append("}
    logs |= {"web/page.py": "record(share, seen.disclosures()"}
    # makes views for the others, wires them, shows a practice its own cells alone
    silent = {"delivery/viewing.py", "main.py", "service.py", "web/preview.py"}
    assert users | {"api/networks.py"} == {*logs, *silent}
    for name, call in logs.items():
        assert call in (ROOT / name).read_text(), name
