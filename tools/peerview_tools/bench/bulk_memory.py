"""What ingest holds in memory while a practice's whole records go through it, of any size."""

import json
import sys
import time
from pathlib import Path
from typing import Any

from peerview_tools.bench.lines import stream
from peerview_tools.bench.measure import Found, Size
from peerview_tools.bench.processes import Process, wait_until
from peerview_tools.bench.surroundings import Surroundings, Topics
from peerview_tools.client import Client
from peerview_tools.issuer import DevelopmentIssuer

_SIZES = {"full": 2_000_000_000, "quick": 50_000_000, "tiny": 2_000_000}
_PRACTICE = "A99001"


def run(around: Surroundings, size: Size) -> Found:
    """One request, made on the fly and never held, to `python -m peerview_ingest`."""
    place = around.topics(1)
    issuer = DevelopmentIssuer(place.folder / "issuer")
    token = issuer.token(
        subject="bench", practices=[_PRACTICE], scope="ingest:write", expires_in=86_400
    )
    with _ingest(place, issuer) as process:
        url = wait_until(lambda: _address(process), "ingest listening", 60)
        with Client(url, lambda: token, timeout=600) as client:
            wait_until(lambda: client.request("GET", "/health/ready").status == 200, "ready", 60)
            before = peak_bytes(process.pid)
            began = time.monotonic()
            answer = client.request("POST", "/v1/bulk", stream(_PRACTICE, _SIZES[size]))
            seconds = time.monotonic() - began
            peak = peak_bytes(process.pid)
        receipt: dict[str, Any] = answer.json()
    lines = receipt.get("accepted", 0) + receipt.get("dropped", 0)
    size_mb = _SIZES[size] / 1e6
    return Found(
        peak / 1e6,
        f"peak resident memory over {size_mb:,.0f} MB of NDJSON in one request, {lines:,} lines in "
        f"{seconds:,.0f} s ({size_mb / seconds:.1f} MB/s, {lines / seconds:,.0f} lines/s), "
        f"{before / 1e6:.0f} MB before it",
        holds=answer.status == 202 and not receipt["rejected"],
    )


def peak_bytes(pid: int) -> int:
    """The most resident memory that a process has had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmHWM: the process has ended")


def _ingest(place: Topics, issuer: DevelopmentIssuer) -> Process:
    env = {
        "PEERVIEW_KAFKA": place.bootstrap,
        "PEERVIEW_TOPIC_PREFIX": place.prefix,
        "PEERVIEW_PARTITIONS": str(place.partitions),
        "PEERVIEW_INGEST_DATABASE": f"sqlite:///{place.folder / 'ingest.db'}",
        "PEERVIEW_JWKS": issuer.jwks,
    }
    return Process([sys.executable, "-m", "peerview_ingest"], env, place.folder)


def _address(process: Process) -> str | None:
    process.check()
    for line in process.lines:
        if '"listening"' in line:
            found: str = json.loads(line)["address"]
            return found
    return None
