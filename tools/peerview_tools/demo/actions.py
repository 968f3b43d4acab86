"""What people and systems do with Peerview over HTTP: send, sign, cut, read. Used by the
demonstration and by the end-to-end tests."""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from peerview_tools.client import Answer, Client, ServiceError, refusal
from peerview_tools.fhir_files import is_lines, open_bytes, parse

NDJSON: Final = "application/fhir+ndjson"
FHIR_JSON: Final = "application/fhir+json"
ENCODINGS: Final = {".gz": "gzip", ".zst": "zstd"}
CHUNK: Final = 65_536
WAIT_S: Final = 60.0
_PAUSE_S: Final = 0.05

Found = TypeVar("Found")


class NotHappenedError(RuntimeError):
    """Something that was waited for did not come about in time."""


def wait_for(
    what: str,
    look: Callable[[], Found | None],
    *,
    seconds: float = WAIT_S,
    check: Callable[[], None] = lambda: None,
    seen: Callable[[], str] = lambda: "",
) -> Found:
    """The first answer of `look` that is not None.

    `check` may raise (a service has died); `seen` says what there was instead, for the error.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None:
            return found
        check()
        if time.monotonic() > deadline:
            instead = seen()
            more = f"; {instead}" if instead else ""
            raise NotHappenedError(f"waited {seconds:.0f} s for {what}{more}")
        time.sleep(_PAUSE_S)


@dataclass
class Loaded:
    """What ingest said of a submission."""

    sent: int = 0
    accepted: int = 0
    unchanged: int = 0
    dropped: int = 0
    rejected: int = 0
    positions: dict[int, int] = field(default_factory=dict)
    """The last offset of each partition."""
    issues: list[str] = field(default_factory=list)

    def add(self, other: "Loaded") -> None:
        for name in ("sent", "accepted", "unchanged", "dropped", "rejected"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for partition, offset in other.positions.items():
            self.positions[partition] = max(offset, self.positions.get(partition, -1))
        self.issues += other.issues


def receipt(body: Any, sent: int) -> Loaded:
    """Ingest's receipt as it stands in an answer."""
    positions: dict[int, int] = {}
    for place in body["positions"]:
        partition, offset = place["partition"], place["offset"]
        positions[partition] = max(offset, positions.get(partition, -1))
    issues = [
        f"line {found.get('line', 1)}: {found['place']}: {found['reason']}"
        for found in body["rejections"]
    ]
    return Loaded(
        sent=sent,
        accepted=body["accepted"],
        unchanged=body["unchanged"],
        dropped=body["dropped"],
        rejected=body["rejected"],
        positions=positions,
        issues=issues,
    )


def bulk(client: Client, resources: Iterable[Any]) -> Loaded:
    """Send resources as one NDJSON submission."""
    lines = [json.dumps(resource, separators=(",", ":")).encode() for resource in resources]
    answer = client.request("POST", "/v1/bulk", b"\n".join(lines) + b"\n", {"Content-Type": NDJSON})
    if answer.status >= 300:
        raise refusal("POST", f"{client.url}/v1/bulk", answer)
    return receipt(answer.json(), len(lines))


def bulk_file(client: Client, path: Path) -> Answer:
    """Send a file as one submission: NDJSON packed as it lies there, other JSON as one line."""
    headers = {"Content-Type": NDJSON}
    if not is_lines(path):
        with open_bytes(path) as file:
            return client.request(
                "POST", "/v1/bulk", json.dumps(parse(file.read())).encode(), headers
            )
    if path.suffix in ENCODINGS:
        headers["Content-Encoding"] = ENCODINGS[path.suffix]
    with path.open("rb") as file:
        return client.request("POST", "/v1/bulk", iter(partial(file.read, CHUNK), b""), headers)


def live(client: Client, practice: str) -> dict[str, Any]:
    """`{indicator: figure}` of the own practice; empty while there is none."""
    try:
        found: dict[str, Any] = client.get(f"/v1/practices/{practice}/indicators")["indicators"]
    except ServiceError as error:
        if error.status == 404:
            return {}
        raise
    return found


def await_counted(
    client: Client,
    practice: str,
    positions: dict[int, int],
    *,
    indicators: int = 12,
    seconds: float = WAIT_S,
    check: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """The live figures, once every one of them includes what the receipt named."""
    last: dict[str, Any] = {}

    def look() -> dict[str, Any] | None:
        nonlocal last
        last = live(client, practice)
        if len(last) < indicators:
            return None
        for figure in last.values():
            source = figure["source"]
            wanted = positions.get(source["partition"])
            if positions and (wanted is None or source["offset"] < wanted):
                return None
        return last

    def seen() -> str:
        sources = sorted({json.dumps(figure.get("source")) for figure in last.values()})
        return f"{len(last)} of {indicators} figures are there, as of {sources}"

    what = f"the figures of {practice} to include {positions}"
    return wait_for(what, look, seconds=seconds, check=check, seen=seen)


def counts_of(figures: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Live figures in the form that `peerview evaluate` prints."""
    names = ("version", "denominator", "numerator", "met", "miss", "exception", "excluded")
    return {
        indicator: {name: figure[name] for name in names}
        for indicator, figure in sorted(figures.items())
    }


def sign(share: Client, identity: str) -> dict[str, Any]:
    """Sign the newest terms of an agreement, as whoever the client's token stands for."""
    found = share.get(f"/v1/agreements/{identity}")
    body = {"version": found["agreement"]["version"], "termsHash": found["termsHash"]}
    signed: dict[str, Any] = share.post(f"/v1/agreements/{identity}/sign", body)
    return signed


def withdraw(share: Client, identity: str) -> dict[str, Any]:
    """Withdraw the caller's practice from an agreement: final, and at once."""
    found: dict[str, Any] = share.post(f"/v1/agreements/{identity}/withdraw")
    return found


def cut(operator: Client, *, seconds: float = WAIT_S) -> dict[str, Any]:
    """Ask for a release cut; waits while an earlier epoch is still open."""

    def look() -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = operator.post("/v1/releases/cut") or {}
        except ServiceError as error:
            if error.status == 409:
                return None
            raise
        return found

    return wait_for("the earlier epoch to end", look, seconds=seconds)


def peer_view(viewer: Client, network: str) -> dict[str, Any]:
    """What a peer sees of a network."""
    found: dict[str, Any] = viewer.get(f"/v1/networks/{network}/indicators")
    return found


def states(cells: Sequence[dict[str, Any]]) -> dict[str, int]:
    """How many cells are in each state."""
    found: dict[str, int] = {}
    for cell in cells:
        found[cell["state"]] = found.get(cell["state"], 0) + 1
    return found


def cells(view: dict[str, Any]) -> list[dict[str, Any]]:
    """All peers' cells of a view."""
    found: list[dict[str, Any]] = view["cells"]
    return found


def await_released(
    viewer: Client,
    network: str,
    *,
    seconds: float = WAIT_S,
    check: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """The peer view, once an epoch has been published."""
    told = ""

    def look() -> dict[str, Any] | None:
        nonlocal told
        try:
            found = peer_view(viewer, network)
        except ServiceError as error:
            if error.status not in (404, 503):
                raise
            told = str(error)
            return None
        told = f"the view shows {states(cells(found)) or 'no cell'}"
        return found if cells(found) else None

    what = f"a published release of network {network}"
    return wait_for(what, look, seconds=seconds, check=check, seen=lambda: told)
