"""What operators ask of every service: ``/metrics``, ``/health/live``, ``/health/ready``, and one
log line a request."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

import structlog
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from peerview_common import metrics

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""A caller may send any other word as a method; it is not shown."""

Checks: TypeAlias = Callable[[], Awaitable[Mapping[str, str | None]]]
"""Answers ``{part: None when it is well, else what is wrong}``."""

Guard: TypeAlias = Callable[[Request], Awaitable[None]]

UNKNOWN: Final = "unknown"
QUIET: Final = frozenset({"/metrics", "/health/live", "/health/ready"})
RETRY_AFTER: Final = "2"

log = structlog.get_logger("peerview.access")


def router(service: str, checks: Checks, *, metrics_guard: Guard | None = None) -> APIRouter:
    """``metrics_guard`` raises for whom ``/metrics`` is not; without one it is open."""
    ops = APIRouter(tags=["operations"])

    @ops.get("/metrics", include_in_schema=False)
    async def read_metrics(request: Request) -> Response:
        if metrics_guard is not None:
            await metrics_guard(request)
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @ops.get("/health/live")
    async def live() -> dict[str, str]:
        """The process answers."""
        return {"service": service, "status": "live"}

    @ops.get("/health/ready")
    async def ready() -> JSONResponse:
        """Everything it needs to do its work answers; 503 otherwise, with what is wrong."""
        parts = dict(await checks())
        well = all(wrong is None for wrong in parts.values())
        body = {
            "service": service,
            "status": "ready" if well else "not ready",
            "checks": {name: wrong or "ok" for name, wrong in parts.items()},
        }
        headers = None if well else {"Retry-After": RETRY_AFTER}
        return JSONResponse(body, 200 if well else 503, headers)

    return ops


def measure(app: FastAPI, service: str) -> None:
    """Time and log every request."""
    app.add_middleware(Measured, service=service)


class Measured:
    """ASGI middleware: each request by its route's template. Never its path or query string, which
    may hold ids, and never a header's text, which may hold a token. A service that has looked at
    the caller puts the trace id of its trace context into ``request.state.trace``, and the practice
    that it acts for into ``request.state.practice``."""

    def __init__(self, app: ASGIApp, service: str) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        status, read, written = 500, 0, 0

        async def reading() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            return message

        async def writing(message: Message) -> None:
            nonlocal status, written
            if message["type"] == "http.response.start":
                status = message["status"]
            written += len(message.get("body", b""))
            await send(message)

        metrics.requests_under_way.labels(self._service).inc()
        try:
            await self._app(scope, reading, writing)
        finally:
            metrics.requests_under_way.labels(self._service).dec()
            took = time.perf_counter() - start
            route = getattr(scope.get("route"), "path", UNKNOWN)
            method = scope["method"] if scope["method"] in METHODS else UNKNOWN
            metrics.requests.labels(self._service, route, method, f"{status // 100}xx").observe(
                took
            )
            tell = log.debug if route in QUIET else log.info
            state = scope.get("state", {})
            tell(
                "request",
                method=method,
                route=route,
                status=status,
                ms=round(took * 1000, 1),
                read=read,
                written=written,
                trace=state.get("trace"),
                practice=state.get("practice"),
            )
