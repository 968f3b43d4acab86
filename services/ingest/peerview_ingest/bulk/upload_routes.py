"""``/v1/uploads``: begin an upload, ask how far it is, read its report, complete it."""

from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from peerview_common import metrics
from peerview_common.problem import Problem
from peerview_ingest.body import whole
from peerview_ingest.bulk import completion, report
from peerview_ingest.bulk.failures import FAILURES, problem
from peerview_ingest.bulk.holding import Holding
from peerview_ingest.bulk.uploads import (
    MAX_OPEN,
    MAX_REFUSALS,
    TooManyError,
    Upload,
    Uploads,
)
from peerview_ingest.parsing import NotJsonError, parse
from peerview_ingest.senders import Senders
from peerview_ingest.small_bodies import wrong
from peerview_ingest.submission import Ingest, Sender

MAX_BODY: Final = 10_000
Lines = Annotated[int, Field(ge=0, le=10**12)]


class NewUpload(BaseModel):
    """What is declared of an upload when it begins."""

    model_config = ConfigDict(extra="forbid", strict=True)

    full: bool = Field(False, description="It holds all records that this source has.")
    lines: Lines | None = Field(None, description="How many lines it will have, blank ones too.")
    code_list: str | None = Field(
        None, max_length=16, description="Refuse unless this version of the code list is in use."
    )


class Completion(BaseModel):
    """What is declared of an upload when it ends."""

    model_config = ConfigDict(extra="forbid", strict=True)

    lines: Lines | None = Field(None, description="How many lines it has; a full one must say.")
    without: list[Annotated[str, Field(max_length=100)]] = Field(
        [], max_length=100, description="Source systems of the practice that send no more."
    )


Body = TypeVar("Body", bound=BaseModel)


def router(ingest: Ingest, senders: Senders, uploads: Uploads) -> APIRouter:
    routes = APIRouter(prefix="/v1/uploads")

    @routes.post("", status_code=201, openapi_extra=_takes(NewUpload))
    async def begin(request: Request) -> JSONResponse:
        """A new upload."""
        sender = senders(request)
        asked = await _body(request, NewUpload)
        codes = ingest.codes.version
        if asked.code_list not in (None, codes):
            raise Problem(409, "other-code-list", "another code list is in use", code_list=codes)
        now = ingest.now()
        try:
            made = await ingest.in_thread(
                lambda: uploads.begin(
                    sender.practice,
                    sender.source,
                    full=asked.full,
                    codes=codes,
                    lines=asked.lines,
                    now=now,
                )
            )
        except TooManyError:
            raise Problem(
                409,
                "too-many-uploads",
                f"{MAX_OPEN} uploads of this source are open: complete or delete some",
            ) from None
        metrics.uploads.labels("begun").inc()
        where = {"Location": f"/v1/uploads/{made.id}"}
        return JSONResponse(made.json(now), 201, where)

    @routes.get("/{identity}")
    async def show(request: Request, identity: str) -> JSONResponse:
        """How far it is: every line before ``next_line`` is committed."""
        found = await find(ingest, uploads, senders(request), identity)
        return JSONResponse(found.json(ingest.now()))

    @routes.get("/{identity}/report")
    async def read_report(request: Request, identity: str) -> Response:
        """What was refused, a line each, and how much of that is not kept."""
        found = await find(ingest, uploads, senders(request), identity)
        kept = await ingest.in_thread(lambda: list(uploads.refusals(identity)))
        lines = [report.line(each) for each in kept]
        end = {
            **found.json(ingest.now()),
            "not_kept": max(0, found.refusals - MAX_REFUSALS),
        }
        lines.append(report.line({"summary": end}))
        return Response(b"".join(lines), media_type=report.MEDIA_TYPE)

    @routes.post("/{identity}/complete", openapi_extra=_takes(Completion))
    async def complete(request: Request, identity: str) -> JSONResponse:
        """It has ended. Asking again gives the same answer."""
        sender = senders(request)
        asked = await _body(request, Completion)
        found = await find(ingest, uploads, sender, identity)
        waits_for: list[str] = []
        if found.completed is None or (found.full and not found.backfill):
            try:
                async with Holding(ingest, uploads, found) as holding:
                    waits_for = await completion.complete(
                        ingest, uploads, sender, holding, lines=asked.lines, without=asked.without
                    )
            except FAILURES as error:
                raise problem(error) from error
            first_time = found.completed is None
            found = await find(ingest, uploads, sender, identity)
            if first_time:
                metrics.uploads.labels("completed").inc()
            if found.backfill:
                metrics.uploads.labels("backfilled").inc()
        return JSONResponse({**found.json(ingest.now()), "waits_for": waits_for})

    @routes.delete("/{identity}", status_code=204)
    async def remove(request: Request, identity: str) -> Response:
        """Forget the upload. The records that it brought stay."""
        found = await find(ingest, uploads, senders(request), identity)
        try:
            async with Holding(ingest, uploads, found):
                await ingest.in_thread(lambda: uploads.drop(identity))
        except FAILURES as error:
            raise problem(error) from error
        return Response(status_code=204)

    return routes


async def find(ingest: Ingest, uploads: Uploads, sender: Sender, identity: str) -> Upload:
    """The sender's own upload; any other is a 404."""
    now = ingest.now()
    found = await ingest.in_thread(
        lambda: uploads.find(identity, sender.practice, sender.source, now)
    )
    if found is None:
        raise Problem(404, "no-such-upload", "there is no such upload of yours, or it has expired")
    return found


async def _body(request: Request, kind: type[Body]) -> Body:
    data = await whole(request, MAX_BODY)
    try:
        return kind.model_validate(parse(data) if data.strip() else {})
    except NotJsonError as error:
        raise Problem(400, "structure", str(error)) from None
    except ValidationError as error:
        raise Problem(400, "structure", wrong(error, kind)) from None


def _takes(kind: type[BaseModel]) -> dict[str, Any]:
    schema = kind.model_json_schema()
    return {"requestBody": {"content": {"application/json": {"schema": schema}}}}
