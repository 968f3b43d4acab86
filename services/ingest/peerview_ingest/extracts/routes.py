"""``/v1/extracts``: drops of delimited files, and what people decide about those that are held."""

from datetime import date
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError

from peerview_common.problem import Problem
from peerview_ingest import refusals
from peerview_ingest.extracts.catalogue import Catalogue
from peerview_ingest.extracts.drop import Drop
from peerview_ingest.extracts.parts import Begin, Data, parts
from peerview_ingest.extracts.taking import Extracts
from peerview_ingest.publisher import BrokerAwayError, BusyError
from peerview_ingest.senders import SCOPE, Senders
from peerview_ingest.submission import Ingest

CONFIRM: Final = "ingest:confirm"
"""The scope of a person who may let a full drop delete what it does not have. No feed has it."""

Source = Annotated[str | None, Query(max_length=100)]


def router(ingest: Ingest, senders: Senders, catalogue: Catalogue) -> APIRouter:
    routes = APIRouter(prefix="/v1/extracts", tags=["extracts"])
    extracts = Extracts(ingest, catalogue)

    @routes.put("/{day}", status_code=202)
    async def put(
        request: Request,
        day: date,
        mode: Annotated[Literal["full", "delta"], Query()],
        mapping: Annotated[str | None, Query(max_length=100)] = None,
    ) -> JSONResponse:
        """A day's drop as multipart/form-data: a part a table, named for it."""
        sender = senders(request)
        drop = await extracts.begin(sender, day, mode, mapping)
        try:
            await _take(request, drop)
            return JSONResponse(await drop.finish(), 202)
        except Problem as error:
            await drop.fail(error.detail)
            error.extra.setdefault("report", drop.report())
            raise
        except BrokerAwayError as error:
            await drop.fail("the log did not acknowledge")
            raise _with_report(refusals.broker_away(error), drop) from error
        except BusyError as error:
            await drop.fail("too much was under way")
            raise _with_report(refusals.busy(), drop) from error
        except SQLAlchemyError:
            raise  # the database cannot be told either; the next drop gives this one up
        except BaseException:
            await drop.fail("a fault of the service, or the sender went away")
            raise

    @routes.get("")
    async def listed(request: Request) -> dict[str, Any]:
        """The practice's drops, the newest first, and what is held."""
        sender = senders(request, SCOPE, CONFIRM)
        return {"extracts": await extracts.listed(sender.practice)}

    @routes.post("/{day}/confirm", status_code=202)
    async def confirm(request: Request, day: date, source: Source = None) -> JSONResponse:
        """Let a held drop delete what it does not have."""
        sender = senders(request, CONFIRM)
        try:
            done = await extracts.confirm(sender, day, source, request.state.caller.subject)
        except BrokerAwayError as error:
            raise refusals.broker_away(error) from error
        except BusyError as error:
            raise refusals.busy() from error
        return JSONResponse(done, 202)

    @routes.delete("/{day}/held")
    async def reject(request: Request, day: date, source: Source = None) -> dict[str, Any]:
        """Let a held drop delete nothing."""
        sender = senders(request, CONFIRM)
        return await extracts.reject(sender, day, source, request.state.caller.subject)

    return routes


async def _take(request: Request, drop: Drop) -> None:
    async for event in parts(request):
        if isinstance(event, Begin):
            await drop.begin_table(event.name)
        elif isinstance(event, Data):
            await drop.feed(event.data)
        else:
            await drop.end_table()


def _with_report(problem: Problem, drop: Drop) -> Problem:
    problem.extra["report"] = drop.report()
    return problem
