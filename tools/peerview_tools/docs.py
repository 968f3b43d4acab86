"""What is written from the code: the pages of settings and metrics, and the contract files.

`peerview docs` writes them anew, and a test fails when they are not what the code says.
"""

from collections.abc import Iterator
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Final, get_args

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from peerview_common import metrics
from peerview_common.settings import (
    CommonSettings,
    ComputeSettings,
    IngestSettings,
    ShareSettings,
)
from peerview_tools.contracts import files as contracts

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"

_SECTIONS: Final = (
    ("All services", CommonSettings),
    ("Ingest", IngestSettings),
    ("Compute", ComputeSettings),
    ("Share", ShareSettings),
)
_TOOLS: Final = (
    ("PEERVIEW_KAFKA", "The demo and the tests use this broker instead of starting one."),
    ("PEERVIEW_BROKER", "auto, container or jvm: how the demo and the tests start a broker."),
    ("PEERVIEW_CACHE", "Where what is fetched once stays; `~/.cache/peerview` by default."),
    ("PEERVIEW_TEST_POSTGRES", "The tests use this PostgreSQL (SQLAlchemy URL), not their own."),
    ("PEERVIEW_CHAOS_SEED", "Repeats a run of `make chaos`: its faults, and all that is sent."),
    ("PEERVIEW_CHAOS_FAULTS", "How many faults `make chaos` has; 100 by default."),
    (
        "PEERVIEW_TOKEN",
        "Bearer token for `peerview send`, `send-extract`, `extracts`, `rekey`, `erase` and "
        "`agreement`.",
    ),
    (
        "PEERVIEW_INGEST",
        "Address of ingest for `peerview send`, `send-extract`, `extracts`, `rekey` and `erase`.",
    ),
    ("XDG_STATE_HOME", "Where `peerview send` remembers unfinished uploads; else ~/.local/state."),
    ("PEERVIEW_SHARE", "Address of share for `peerview agreement` and `peerview audit`."),
    ("PEERVIEW_SIGNING_KEY", "PEM file of the Ed25519 key that `peerview agreement` signs with."),
)
_WRITTEN: Final = "Written from the code by `make docs`; change the code, not this page."


@cache
def pages() -> dict[str, str]:
    """`{path under docs: text}` of everything there that is written from the code."""
    return {"settings.md": settings_page(), "metrics.md": metrics_page(), **contracts.files()}


def write(folder: Path = DOCS) -> list[Path]:
    """Write the pages whose text has changed; returns these."""
    changed = []
    for name, text in pages().items():
        path = folder / name
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            changed.append(path)
    return changed


def settings_page() -> str:
    """Every `PEERVIEW_*` variable with its default and its meaning."""
    lines = [
        "# Settings",
        "",
        _WRITTEN,
        "",
        "All settings are environment variables. A service that is given a wrong one says so and "
        "does not start.",
    ]
    shared = set(CommonSettings.model_fields)
    for title, kind in _SECTIONS:
        fields = {
            name: found
            for name, found in kind.model_fields.items()
            if kind is CommonSettings or name not in shared
        }
        lines += ["", f"## {title}", "", "| variable | default | meaning |", "|---|---|---|"]
        lines += [
            f"| `PEERVIEW_{name.upper()}` | {_default(found)} | {_cell(found.description or '')} |"
            for name, found in fields.items()
        ]
    lines += ["", "## The `peerview` command and the tests", ""]
    lines += ["| variable | meaning |", "|---|---|"]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in _TOOLS]
    return "\n".join(lines) + "\n"


def metrics_page() -> str:
    """Every metric with its type, its labels and its meaning."""
    lines = [
        "# Metrics",
        "",
        _WRITTEN,
        "",
        "Every service answers `GET /metrics` in Prometheus' text format, share only to a token "
        "of the scope `metrics:read`. No label ever holds a patient or a practice.",
        "",
        "| metric | type | labels | meaning |",
        "|---|---|---|---|",
    ]
    for name, kind, labels, meaning in declared_metrics():
        shown = ", ".join(f"`{label}`" for label in labels)
        lines.append(f"| `{name}` | {kind} | {shown} | {_cell(meaning)} |")
    return "\n".join(lines) + "\n"


def declared_metrics() -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """`(name, type, labels, meaning)` in the order in which they are declared."""
    for found in vars(metrics).values():
        if not isinstance(found, MetricWrapperBase):
            continue
        (described,) = found.describe()
        name = described.name + ("_total" if isinstance(found, Counter) else "")
        kind = {Counter: "counter", Gauge: "gauge", Histogram: "histogram"}[type(found)]
        yield name, kind, tuple(found._labelnames), described.documentation


def _default(found: FieldInfo) -> str:
    value: Any = found.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, Enum):
        value = value.value
    if value is None or value in ("", frozenset()):
        return "none" if type(None) in get_args(found.annotation) else "empty"
    return f"`{value}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
