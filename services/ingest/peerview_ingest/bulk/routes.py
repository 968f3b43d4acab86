"""``POST /v1/bulk``: lines, as one request or as a part of an upload."""

import uuid
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from msgspec import json

from peerview_common.problem import Problem
from peerview_ingest.body import decoded
from peerview_ingest.bulk import report, upload_routes
from peerview_ingest.bulk.completion import other_code_list
from peerview_ingest.bulk.failures import FAILURES, problem
from peerview_ingest.bulk.holding import Holding
from peerview_ingest.bulk.lines import groups
from peerview_ingest.bulk.taking import Part, Taking
from peerview_ingest.bulk.uploads import Upload, Uploads
from peerview_ingest.receipt import SubmissionReceipt
from peerview_ingest.senders import Senders
from peerview_ingest.submission import Ingest, Sender

MAX_LINE_NUMBER: Final = 10**12


def router(ingest: Ingest, senders: Senders) -> APIRouter:
    routes = APIRouter(tags=["bulk"])  # whole paths: they are the names in metrics and logs
    uploads, taking = Uploads(ingest.store), Taking(ingest)

    @routes.post("/v1/bulk", status_code=202)
    async def bulk(
        request: Request,
        upload: str | None = None,
        from_line: Annotated[int | None, Query(ge=1, le=MAX_LINE_NUMBER)] = None,
    ) -> Response:
        """NDJSON: a resource or Bundle a line, plain, gzip or zstd, as long as it likes.

        With ``upload``, the lines from ``from_line`` on (1 where that is not said) of an upload;
        those that are committed already are passed over.
        """
        sender = senders(request)
        if upload is None and from_line is not None:
            raise Problem(400, "upload-needed", "from_line counts the lines of an upload: name it")
        of = None if upload is None else await upload_routes.find(ingest, uploads, sender, upload)
        sending = _Sending(ingest, uploads, taking, request, sender, of, from_line or 1)
        if report.wanted(request.headers.get("accept")):
            return await sending.streamed()
        return await sending.whole()

    routes.include_router(upload_routes.router(ingest, senders, uploads))
    return routes


class _Sending:
    """One request that sends lines, and its receipt so far."""

    def __init__(
        self,
        ingest: Ingest,
        uploads: Uploads,
        taking: Taking,
        request: Request,
        sender: Sender,
        upload: Upload | None,
        first: int,
    ) -> None:
        self._ingest = ingest
        self._uploads = uploads
        self._taking = taking
        self._request = request
        self._sender = sender
        self._upload = upload
        self._first = first
        self._next_line: int | None = None
        self._begun = False
        identity = upload.id if upload else str(uuid.uuid4())
        self._receipt = SubmissionReceipt(identity, sender.practice, sender.source, ingest.now())

    async def whole(self) -> Response:
        """The answer, once all is committed."""
        try:
            async with aclosing(self._parts()) as parts:
                async for _ in parts:
                    pass
        except FAILURES as error:
            raise problem(error, self._taken) from error
        self._not_empty()
        return JSONResponse(self._answer(), 202)

    async def streamed(self) -> Response:
        """The report, beginning once a first group is committed: an earlier failure has its own
        status, a later one is the report's last line."""
        parts = self._parts()
        try:
            first = await anext(parts, None)
        except FAILURES as error:
            raise problem(error) from error
        self._not_empty()
        return report.Streamed(self._report(first, parts), 202)

    async def _report(
        self, first: Part | None, parts: AsyncGenerator[Part, None]
    ) -> AsyncGenerator[bytes, None]:
        async with aclosing(parts):
            try:
                if first is not None:
                    yield report.issue_lines(first.issues)
                    del first
                async for part in parts:
                    yield report.issue_lines(part.issues)
            except FAILURES as error:
                body = problem(error, self._taken).response().body
                yield report.line({"problem": json.decode(body)})
                return
        answer = self._answer()
        del answer["rejections"], answer["warnings"]  # each has had a line of its own
        yield report.line({"receipt": answer})

    async def _parts(self) -> AsyncGenerator[Part, None]:
        async with AsyncExitStack() as stack:
            chunks, holding, wanted = decoded(self._request), None, 1
            if self._upload is not None:
                holding = Holding(self._ingest, self._uploads, self._upload)
                await stack.enter_async_context(holding)
                self._next_line = wanted = holding.next_line
                self._check(holding.upload)
                chunks = holding.watched(chunks)
            lines = groups(
                chunks,
                longest=self._ingest.settings.max_body_bytes,
                first=self._first,
                wanted=wanted,
            )
            taken = self._taking.parts(self._sender, lines, self._receipt.submission, holding)
            async with aclosing(taken):
                async for part in taken:
                    self._begun = True
                    self._receipt.add(part.receipt)
                    if holding is not None:
                        self._next_line = holding.next_line
                    yield part

    def _check(self, upload: Upload) -> None:
        if upload.completed is not None:
            raise Problem(409, "upload-completed", "this upload is completed")
        if upload.full and upload.codes != self._ingest.codes.version:
            raise other_code_list(upload, self._ingest)
        if self._first > upload.next_line:
            raise Problem(
                409,
                "upload-gap",
                f"lines are missing before these: go on with line {upload.next_line}",
                next_line=upload.next_line,
            )

    def _not_empty(self) -> None:
        if not self._begun and self._upload is None:
            raise Problem(400, "empty", "there is no line in the body")

    @property
    def _taken(self) -> SubmissionReceipt | None:
        return self._receipt if self._begun else None

    def _answer(self) -> dict[str, Any]:
        found = self._receipt.json()
        if self._upload is not None:
            found |= {"upload": self._upload.id, "next_line": self._next_line}
        return found
