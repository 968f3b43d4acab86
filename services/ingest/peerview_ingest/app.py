"""The web part: routes, and every error in the words of its path."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import structlog
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from peerview_common import ops, problem
from peerview_common.auth import AuthError, TokenVerifier
from peerview_common.patience import Patience, Stopping
from peerview_common.problem import Problem
from peerview_ingest import (
    answers,
    fhir_routes,
    openapi,
    operator_routes,
    patient_routes,
    refusals,
    v1_routes,
)
from peerview_ingest.addresses import Slashless
from peerview_ingest.budget import Budget, Budgeting
from peerview_ingest.bulk import routes as bulk_routes
from peerview_ingest.extracts import routes as extract_routes
from peerview_ingest.extracts.catalogue import Catalogue
from peerview_ingest.keyring import ForeignKeysError
from peerview_ingest.publisher import (
    BrokerAwayError,
    BusyError,
    KafkaPublisher,
    RecordTooLargeError,
)
from peerview_ingest.senders import Senders
from peerview_ingest.submission import Ingest

SERVICE = "ingest"

log = structlog.get_logger("peerview.ingest")


def make_app(
    ingest: Ingest, verifier: TokenVerifier, catalogue: Catalogue | None = None
) -> FastAPI:
    """``catalogue`` has the mappings of extracts; those that the settings name without it."""
    senders = Senders(verifier, ingest.settings)
    app = FastAPI(
        title="Peerview ingest",
        version=fhir_routes.VERSION,
        description="Takes a practice's records, minimises them, and hands them to the log.",
        lifespan=_lifespan(ingest),
        dependencies=[Depends(senders.admit)],
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
    )
    app.include_router(fhir_routes.router(ingest, senders))
    app.include_router(v1_routes.router(ingest, senders))
    app.include_router(bulk_routes.router(ingest, senders))
    app.include_router(patient_routes.router(ingest, senders))
    app.include_router(operator_routes.router(ingest, senders))
    mappings = catalogue or Catalogue.of(ingest.settings.extract_mappings)
    app.include_router(extract_routes.router(ingest, senders, mappings))
    stopping = app.state.stopping = Stopping()
    app.include_router(ops.router(SERVICE, _checks(ingest, verifier, stopping)))
    problem.install(app)
    _install(app)
    # the innermost first
    app.add_middleware(Slashless)
    app.add_middleware(Patience, stopping=stopping)
    app.add_middleware(Budgeting, budget=Budget(ingest.settings.max_in_flight_bytes))
    ops.measure(app, SERVICE)
    app.add_middleware(Discreet)
    openapi.install(app)
    return app


def _lifespan(ingest: Ingest) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        publisher = ingest.publisher
        if isinstance(publisher, KafkaPublisher):
            await publisher.start()
        try:
            yield
        finally:
            if isinstance(publisher, KafkaPublisher):
                await publisher.stop()
            await asyncio.to_thread(ingest.close)

    return lifespan


def _checks(ingest: Ingest, verifier: TokenVerifier, stopping: Stopping) -> ops.Checks:
    async def checks() -> Mapping[str, str | None]:
        try:
            await asyncio.wait_for(asyncio.to_thread(ingest.store.check), 2)
            database = None
        except Exception as error:  # whatever it is, it is the database's state, and is told
            database = f"does not answer ({type(error).__name__})"
        return {
            "broker": ingest.publisher.wrong(),
            "database": database,
            "issuer": await verifier.wrong(),
            "serving": None if stopping.since is None else "stopping",
        }

    return checks


def _install(app: FastAPI) -> None:
    """FHIR paths answer an OperationOutcome, all others a problem document."""

    @app.exception_handler(Problem)
    async def _problem(request: Request, error: Problem) -> Response:
        if not request.url.path.startswith("/fhir"):
            return error.response()
        code = ISSUE_CODES.get(error.code, ISSUE_CODES.get(str(error.status), "processing"))
        return answers.fhir(
            answers.failure(code, error.detail, error.extra.get("place")),
            error.status,
            headers=error.headers,
        )

    @app.exception_handler(AuthError)
    async def _auth(request: Request, error: AuthError) -> Response:
        return await _problem(request, problem.from_auth(error))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        code = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "refused")
        headers = dict(error.headers or {})
        return await _problem(
            request, Problem(error.status_code, code, str(error.detail), headers=headers)
        )

    @app.exception_handler(RequestValidationError)
    async def _validation(request: Request, error: RequestValidationError) -> Response:
        # all of them are parameters that the routes declare: their names are ours
        told = "; ".join(f"{found['loc'][-1]}: {found['msg']}" for found in error.errors())
        return await _problem(request, Problem(400, "structure", told))

    @app.exception_handler(BusyError)
    async def _busy(request: Request, _: BusyError) -> Response:
        return await _problem(request, refusals.busy())

    @app.exception_handler(RecordTooLargeError)
    async def _too_large(request: Request, _: RecordTooLargeError) -> Response:
        return await _problem(request, refusals.record_too_large())

    @app.exception_handler(BrokerAwayError)
    async def _away(request: Request, error: BrokerAwayError) -> Response:
        return await _problem(request, refusals.broker_away(error))

    @app.exception_handler(ForeignKeysError)
    async def _foreign(request: Request, error: ForeignKeysError) -> Response:
        log.error("foreign keys", reason=str(error))
        return await _problem(request, refusals.foreign_keys())

    @app.exception_handler(SQLAlchemyError)
    async def _database(request: Request, error: SQLAlchemyError) -> Response:
        log.error("database", kind=type(error).__name__)
        return await _problem(request, refusals.database_away())


ISSUE_CODES = {
    "structure": "structure",
    "not-supported": "not-supported",
    "not-found": "not-found",
    "too-costly": "too-costly",
    "401": "login",
    "403": "forbidden",
    "404": "not-found",
    "405": "not-supported",
    "408": "timeout",
    "400": "invalid",
    "413": "too-long",
    "415": "not-supported",
    "422": "invalid",
    "429": "throttled",
    "503": "transient",
}


class Discreet:
    """The outermost layer: a fault of ours is told by its kind and place, never by its message,
    which may quote a record."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            log.error("fault", kind=type(error).__name__, place=_place(error))
            if begun:
                return
            if scope["path"].startswith("/fhir"):
                body = answers.failure("exception", "a fault of the service; it is logged")
                answer = answers.fhir(body, 500)
            else:
                answer = Problem(500, "fault", "a fault of the service; it is logged").response()
            await answer(scope, receive, send)


def _place(error: BaseException) -> str:
    trace, place = error.__traceback__, "?"
    while trace is not None:
        code = trace.tb_frame.f_code
        if "peerview" in code.co_filename:
            place = f"{Path(code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def now_millis() -> int:
    return time.time_ns() // 1_000_000
