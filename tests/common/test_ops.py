"""What operators see of requests: figures and a line each, and nothing that was sent."""

import ast
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

import peerview_common
from peerview_common import ops

SECRET = "s3cr3t-9990000018"


@pytest.fixture
def app() -> FastAPI:
    made = FastAPI()

    @made.get("/patients/{identity}")
    async def one(identity: str) -> dict[str, str]:
        if identity == "fault":
            raise RuntimeError(SECRET)
        return {"found": "it"}

    async def checks() -> dict[str, str | None]:
        return {"broker": "gone"}

    made.include_router(ops.router("test", checks))
    ops.measure(made, "test")
    return made


async def ask(app: FastAPI, path: str, **rest: Any) -> list[dict[str, Any]]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    with capture_logs() as lines:
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            await client.request(rest.pop("method", "GET"), path, **rest)
    return [dict(line) for line in lines if line["event"] == "request"]


async def test_a_line_has_the_route_and_none_of_what_was_sent(app: FastAPI) -> None:
    (line,) = await ask(
        app,
        f"/patients/{SECRET}?name={SECRET}",
        headers={
            "Authorization": f"Bearer {SECRET}",
            "traceparent": f"00-{'9990000018' * 3}ab-{'0' * 16}-01",
            "User-Agent": SECRET,
        },
        content=SECRET.encode(),
    )
    assert line.pop("ms") >= 0
    assert line == {
        "event": "request",
        "log_level": "info",
        "method": "GET",
        "route": "/patients/{identity}",
        "status": 200,
        "read": 0,
        "written": 14,
        "trace": None,
        "practice": None,
    }


@pytest.mark.parametrize(
    ("path", "method", "route", "status"),
    [
        ("/patients/fault", "GET", "/patients/{identity}", 500),
        (f"/{SECRET}", "GET", "unknown", 404),
        ("/patients/x", "PURGE", "unknown", 405),
    ],
)
async def test_what_goes_wrong_is_told_in_the_same_way(
    app: FastAPI, path: str, method: str, route: str, status: int
) -> None:
    (line,) = await ask(app, path, method=method)
    assert (line["status"], SECRET in str(line)) == (status, False)
    if status != 405:
        assert line["route"] == route
    assert line["method"] == ("GET" if method == "GET" else "unknown")


async def test_health_and_metrics_are_asked_too_often_to_be_told(app: FastAPI) -> None:
    (line,) = await ask(app, "/health/live")
    assert line["log_level"] == "debug"


async def test_not_ready_says_when_to_ask_again(app: FastAPI) -> None:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://test"
    ) as client:
        answer = await client.get("/health/ready")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert answer.json()["checks"] == {"broker": "gone"}


async def test_requests_are_counted_by_route_and_class(app: FastAPI) -> None:
    labels = {
        "service": "test",
        "route": "/patients/{identity}",
        "method": "GET",
        "status": "5xx",
    }
    name = "peerview_http_request_seconds_count"
    before = REGISTRY.get_sample_value(name, labels) or 0
    await ask(app, "/patients/fault")
    assert REGISTRY.get_sample_value(name, labels) == before + 1
    assert REGISTRY.get_sample_value("peerview_http_requests_under_way", {"service": "test"}) == 0


def test_every_metric_is_declared_in_one_place() -> None:
    root = Path(peerview_common.__file__).parents[3]
    kinds = {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum", "*"}
    others = []
    for folder in ("libs", "services", "tools"):
        for path in (root / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and node.module == "prometheus_client":
                    if kinds & {each.name for each in node.names}:
                        others.append(path.name)
                elif isinstance(node, ast.Import):
                    others += [path.name for each in node.names if "prometheus" in each.name]
    # the page of metrics tells them apart by kind
    assert sorted(others) == ["docs.py", "metrics.py"]
