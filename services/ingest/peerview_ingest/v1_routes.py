"""``/v1``: lines in bulk, and a sign of life."""

import uuid
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from peerview_common.problem import Problem
from peerview_ingest import refusals
from peerview_ingest.body import NotJsonError, decoded, parse
from peerview_ingest.fhir import Issue, Outcome, Read, Reader, Resolver
from peerview_ingest.publisher import BrokerAwayError, BusyError
from peerview_ingest.receipt import MAX_REJECTIONS, SubmissionReceipt
from peerview_ingest.senders import Senders
from peerview_ingest.submission import Ingest

GROUP_BYTES: Final = 4_000_000
GROUP_LINES: Final = 5_000
"""Lines are taken in groups: memory holds one, whatever the length of the stream."""

Lines = list[tuple[int, bytes]]


def router(ingest: Ingest, senders: Senders) -> APIRouter:
    routes = APIRouter(prefix="/v1", tags=["feeds"])

    @routes.post("/bulk", status_code=202)
    async def bulk(request: Request) -> JSONResponse:
        """NDJSON: a resource a line, plain, gzip or zstd, as long as it likes."""
        sender = senders(request)
        receipt = SubmissionReceipt(str(uuid.uuid4()), sender.practice, sender.source, 0)
        taken: SubmissionReceipt | None = None
        try:
            async for lines in _groups(request, ingest.settings.max_body_bytes):
                done = await ingest.submit(
                    sender,
                    partial(_read, lines=lines),
                    size=sum(len(line) for _, line in lines),
                    submission=receipt.submission,
                )
                _add(receipt, done.receipt)
                taken = receipt
        except BrokerAwayError as error:
            raise refusals.broker_away(error, taken) from error
        except BusyError as error:
            raise refusals.busy(taken) from error
        except Problem as error:
            if taken is not None:
                error.extra["receipt"] = taken.json()
            raise
        if taken is None:
            raise Problem(400, "empty", "there is no line in the body")
        return JSONResponse(receipt.json(), 202)

    @routes.post("/heartbeat", status_code=202)
    async def heartbeat(request: Request) -> JSONResponse:
        """Nothing new, still alive: the practice's feed is whole up to now."""
        done = await ingest.submit(senders(request), lambda _: [], beat=True)
        return JSONResponse(done.receipt.json(), 202)

    return routes


async def _groups(request: Request, longest: int) -> AsyncIterator[Lines]:
    begun: list[bytes] = []  # pieces of a line that has not ended yet
    number = size = length = 0
    group: Lines = []
    async for chunk in decoded(request):
        first, *others = chunk.split(b"\n")
        begun.append(first)
        length += len(first)
        if length > longest:
            raise Problem(413, "too-large", f"line {number + 1} is over {longest} bytes")
        if not others:
            continue
        lines = [b"".join(begun), *others[:-1]]
        begun, length = [others[-1]], len(others[-1])
        for line in lines:
            number += 1
            if line.strip():
                group.append((number, line))
                size += len(line)
            if size >= GROUP_BYTES or len(group) >= GROUP_LINES:
                yield group
                group, size = [], 0
    rest = b"".join(begun)
    if rest.strip():
        group.append((number + 1, rest))
    if group:
        yield group


def _read(reader: Reader, lines: Lines) -> list[tuple[int | None, Read]]:
    resolver = Resolver(organisations=reader.organisations)
    documents: list[tuple[int, Any]] = []
    reads: list[tuple[int | None, Read]] = []
    for number, line in lines:
        try:
            document = parse(line)
        except NotJsonError as error:
            issue = Issue("error", "structure", "line", str(error))
            reads.append((number, Read("line", None, Outcome.REJECTED, issues=(issue,))))
            continue
        documents.append((number, document))
        if not isinstance(document, dict) or document.get("resourceType") != "Bundle":
            resolver.add(document)
    for number, document in documents:
        if isinstance(document, dict) and document.get("resourceType") == "Bundle":
            reads.extend((number, read) for read in reader.bundle(document, resolver))
        else:
            reads.append((number, reader.resource(document, resolver)))
    return reads


def _add(total: SubmissionReceipt, part: SubmissionReceipt) -> None:
    for name in (
        "accepted",
        "rejected",
        "dropped",
        "unchanged",
        "objections",
        "opted_in",
        "shared_nhs_numbers",
    ):
        setattr(total, name, getattr(total, name) + getattr(part, name))
    total.received = part.received
    total.positions.extend(part.positions)
    total.rejections.extend(part.rejections[: MAX_REJECTIONS - len(total.rejections)])
