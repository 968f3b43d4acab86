"""What operators ask of every service: ``/metrics``, ``/health/live`` and ``/health/ready``."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from peerview_common import metrics

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""A caller may send any other word as a method; it is not shown."""

Checks: TypeAlias = Callable[[], Awaitable[Mapping[str, str | None]]]
"""Answers ``{part: None when it is well, else what is wrong}``."""


def router(service: str, checks: Checks) -> APIRouter:
    ops = APIRouter(tags=["operations"])

    @ops.get("/metrics", include_in_schema=False)
    async def read_metrics() -> Response:
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
        return JSONResponse(body, 200 if well else 503)

    return ops


def measure(app: FastAPI, service: str) -> None:
    """Time every request by its route's template, never by its path."""

    @app.middleware("http")
    async def _measure(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        start = time.perf_counter()
        status = "5xx"
        try:
            response = await call_next(request)
            status = f"{response.status_code // 100}xx"
            return response
        finally:
            route = request.scope.get("route")
            method = request.method if request.method in METHODS else "other"
            metrics.requests.labels(
                service, getattr(route, "path", "unknown"), method, status
            ).observe(time.perf_counter() - start)
