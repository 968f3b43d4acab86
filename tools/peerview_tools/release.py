"""`peerview release`: cuts, what a practice sees of them beforehand, and what it may do."""

import sys
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from peerview_tools.client import Client, ServiceError

NAMED: Final = {"published": "published", "preview": "in preview", "open": "open"}


def cut(*, url: str, token: str) -> int:
    """Ask for a cut now."""
    with _client(url, token) as client:
        found = client.post("/v1/releases/cut")
    print(f"epoch {found['epoch']} is cut as of {found['as_of']}; `release list` follows it")
    return 0


def show(*, url: str, token: str) -> int:
    """The last epochs and where they stand."""
    with _client(url, token) as client:
        epochs = client.get("/v1/releases")["epochs"]
    if not epochs:
        print("no epoch yet: `peerview release cut` asks for the first")
        return 0
    table = Table(header_style="bold")
    for name in ("epoch", "as of", "cut", "closed", "publishes", "published", "snapshots in"):
        table.add_column(name)
    for epoch in epochs:
        table.add_row(
            str(epoch["number"]),
            epoch["as_of"],
            *(_moment(epoch[name]) for name in ("cut", "closed", "publishes", "published")),
            str(epoch.get("submitted", "")),
        )
    _console().print(table)
    return 0


def dry_run(practice: str, *, url: str, token: str, counts: bool) -> int:
    """What would move of a practice, and why."""
    with _client(url, token) as client:
        found = client.get(f"/v1/practices/{practice}/preview")
    _print_preview(found, counts=counts)
    return 0


def hold(practice: str, indicator: str, note: str, *, url: str, token: str) -> int:
    with _client(url, token) as client:
        client.post(f"/v1/practices/{practice}/preview/{indicator}/hold", {"note": note})
    print(f"{indicator} is held: peers keep the earlier figure at this epoch")
    return 0


def confirm(practice: str, indicator: str, *, url: str, token: str) -> int:
    with _client(url, token) as client:
        found = client.post(f"/v1/practices/{practice}/preview/{indicator}/confirm")
    epoch = found["epoch"]
    when = (
        f"it is released with epoch {epoch['number']}"
        if epoch["state"] == "preview"
        else "it was too late for that epoch; the next one like it is not held again"
    )
    print(f"{indicator} is confirmed: {when}")
    return 0


def retract(
    practice: str, epoch: int, indicators: list[str], reason: str, *, url: str, token: str
) -> int:
    body = {"practice": practice, "epoch": epoch, "indicators": indicators, "reason": reason}
    with _client(url, token) as client:
        found = client.post("/v1/releases/retract", body)
    print(
        f"taken back of {practice}, released at epoch {epoch}: {', '.join(found['retracted'])}. "
        "Peers who read it may have kept it; the gate goes on comparing with it"
    )
    return 0


def _print_preview(found: dict[str, Any], *, counts: bool) -> None:
    epoch = found["epoch"]
    if epoch is None:
        print("no epoch yet: nothing was cut", file=sys.stderr)
        return
    when = f", peers see it from {_moment(epoch['publishes'])}" if epoch["publishes"] else ""
    dry = " (a dry run on what has come so far)" if epoch["state"] == "open" else ""
    print(f"epoch {epoch['number']} as of {epoch['as_of']}: {NAMED[epoch['state']]}{when}{dry}")
    table = Table(header_style="bold")
    for name in ("indicator", "released now", "then", "moves"):
        table.add_column(name, no_wrap=True)
    table.add_column("why", ratio=1)
    for cell in found["cells"]:
        why = cell["why"]
        if cell.get("gate"):
            gate = cell["gate"]
            why += (
                f" Against epoch {gate['epoch']}: {gate['denominator']} patients differ in the "
                f"denominator, {gate['numerator']} in the numerator, {gate['complement']} in the "
                "complement."
            )
        if counts and cell.get("counts"):
            raw = cell["counts"]
            why += f" Counts: {raw['numerator']} of {raw['denominator']}."
        if cell.get("viewers") == 0:
            why += " Nobody may see it: no agreement in force shares it."
        moves = "held" if cell["held"] else "yes" if cell["moves"] else "no"
        unit = cell["unit"]
        table.add_row(cell["indicator"], _shown(cell["now"], unit), _shown(cell["then"], unit),
                      moves, why)  # fmt: skip
    _console().print(table)


def _shown(cell: dict[str, Any] | None, unit: str) -> str:
    if cell is None:
        return "nothing yet"
    if cell["value"] is None:
        return str(cell["state"])
    sign = "%" if unit == "%" else ""
    since = f" (epoch {cell['released_epoch']})" if cell["state"] == "carried-forward" else ""
    return f"{cell['value']:g}{sign}{since}"


def _moment(text: str | None) -> str:
    return "" if text is None else f"{text[:10]} {text[11:16]}"


def _console() -> Console:
    """Wide enough for the reasons, also where the output goes into a file."""
    console = Console()
    return console if console.is_terminal else Console(width=150)


def _client(url: str, token: str) -> Client:
    try:
        return Client(url, lambda: token)
    except ValueError as error:
        raise ServiceError(0, str(error)) from error
