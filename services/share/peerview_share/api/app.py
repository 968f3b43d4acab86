"""The HTTP application."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from peerview_common import ops, problem
from peerview_share.agreements.current import StaleError
from peerview_share.api import (
    agreement_questions,
    agreements,
    attacks,
    disclosures,
    networks,
    practices,
    previews,
    releases,
    signing_keys,
)
from peerview_share.api.callers import METRICS
from peerview_share.service import Share
from peerview_share.store.audit import UnloggedError
from peerview_share.web import page

SERVICE = "share"


def create_app(share: Share) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(share.start)
        yield
        await asyncio.to_thread(share.stop)

    async def checks() -> Mapping[str, str | None]:
        return await asyncio.to_thread(share.problems)

    async def metrics_guard(request: Request) -> None:
        """What is counted here rests on everybody's data, so it is for operators."""
        principal = await share.verifier.admit(request.headers.get("authorization"))
        principal.require_scope(METRICS)

    app = FastAPI(title="Peerview share", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.share = share
    app.add_middleware(_NoNul)
    problem.install(app)
    app.add_exception_handler(StaleError, _unconfirmed)
    app.add_exception_handler(UnloggedError, _unlogged)
    ops.measure(app, SERVICE)
    app.include_router(ops.router(SERVICE, checks, metrics_guard=metrics_guard))
    for part in (
        practices, previews, disclosures, networks, agreements, agreement_questions, releases,
        signing_keys, attacks,
    ):  # fmt: skip
        app.include_router(part.router)
    page.install(app)
    return app


class _NoNul:
    """No address has a NUL in it, and PostgreSQL takes no text that has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (
            b"%00" in scope.get("query_string", b"") or "\0" in scope.get("path", "")
        ):
            refused = problem.Problem(400, "nul", "the address has a NUL in it")
            await refused.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)


async def _unconfirmed(_: Request, error: Exception) -> JSONResponse:
    """Deny everything that rests on agreements while they cannot be confirmed."""
    return problem.Problem(
        503,
        "agreements-unconfirmed",
        "agreements could not be confirmed just now, so nothing is shown",
        headers={"Retry-After": "5"},
    ).response()


async def _unlogged(_: Request, error: Exception) -> JSONResponse:
    """What cannot be logged is not shown."""
    return problem.Problem(
        503,
        "audit-unavailable",
        "the disclosure could not be logged just now, so nothing is shown",
        headers={"Retry-After": "5"},
    ).response()
