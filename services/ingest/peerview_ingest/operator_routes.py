"""``/v1/rekeyings``: for the operator alone (scope ``ingest:operate``)."""

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from peerview_common.ids import ODS_PATTERN, OdsCode
from peerview_common.problem import Problem
from peerview_ingest.rekeying_operation import (
    NotNowError,
    RekeyingOperation,
    Status,
    UnknownError,
    UnmatchedError,
)
from peerview_ingest.senders import Senders
from peerview_ingest.small_bodies import described, small_body
from peerview_ingest.submission import Ingest

FINISH_SECONDS: Final = 5.0
"""How long one request works on the end: its caller goes on asking until the phase is ``done``."""

Ods = Annotated[str, Path(pattern=ODS_PATTERN, description="The practice's ODS code.")]


class Finish(BaseModel):
    """How to finish."""

    model_config = ConfigDict(extra="forbid")

    unmatched: Literal["refuse", "empty"] = "refuse"
    """What becomes of former patients whom nothing sent since has matched."""


def router(ingest: Ingest, senders: Senders) -> APIRouter:
    routes = APIRouter(prefix="/v1/rekeyings", tags=["operator"])
    operation = RekeyingOperation(ingest)

    @routes.post("/{ods}", status_code=202)
    async def begin(request: Request, ods: Ods) -> JSONResponse:
        """Give a practice new keys; what it sends from now on comes under them."""
        senders.operator(request)
        try:
            return _answer(await operation.begin(OdsCode(ods)), 202)
        except (NotNowError, UnknownError) as error:
            raise _refused(error) from None

    @routes.get("/{ods}")
    async def status(request: Request, ods: Ods) -> JSONResponse:
        """How far it is."""
        senders.operator(request)
        try:
            return _answer(await operation.status(OdsCode(ods)))
        except UnknownError as error:
            raise _refused(error) from None

    @routes.delete("/{ods}")
    async def cancel(request: Request, ods: Ods) -> JSONResponse:
        """Leave it, as long as nothing has come under the new keys."""
        senders.operator(request)
        try:
            return _answer(await operation.cancel(OdsCode(ods)))
        except (NotNowError, UnknownError) as error:
            raise _refused(error) from None

    @routes.post("/{ods}/finish", openapi_extra=described(Finish))
    async def finish(request: Request, ods: Ods) -> JSONResponse:
        """Work on the end for some seconds. To be repeated until ``phase`` is ``done``."""
        senders.operator(request)
        how = await small_body(request, Finish)
        try:
            found = await operation.finish(
                OdsCode(ods),
                empty_unmatched=how.unmatched == "empty",
                seconds=FINISH_SECONDS,
            )
        except (NotNowError, UnknownError) as error:
            raise _refused(error) from None
        except UnmatchedError as error:
            raise Problem(
                409,
                "unmatched",
                f"{error}: has everything been sent? If so, have them emptied",
                unmatched=error.unmatched,
                patients=error.patients,
            ) from None
        return _answer(found)

    return routes


def _answer(status: Status, code: int = 200) -> JSONResponse:
    body: dict[str, Any] = status.json()
    return JSONResponse(body, code)


def _refused(error: NotNowError | UnknownError) -> Problem:
    if isinstance(error, UnknownError):
        return Problem(404, "not-found", str(error))
    return Problem(409, "not-now", str(error))
