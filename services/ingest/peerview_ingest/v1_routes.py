"""``/v1/heartbeat``: a sign of life."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from msgspec import json

from peerview_ingest.fhir import Read, Reader
from peerview_ingest.idempotency import REPLAYED, IdempotencyKey, RepeatedError
from peerview_ingest.senders import Senders
from peerview_ingest.store import Answer
from peerview_ingest.submission import Ingest, Submitted


def router(ingest: Ingest, senders: Senders) -> APIRouter:
    routes = APIRouter(prefix="/v1", tags=["feeds"])

    @routes.post("/heartbeat", status_code=202)
    async def heartbeat(request: Request) -> Response:
        """Nothing new, still alive: the practice's feed is whole up to now."""
        sender = senders(request)
        key = IdempotencyKey.of(request, sender, b"")

        def nothing(_: Reader) -> list[tuple[int | None, Read]]:
            return []

        def remember(done: Submitted) -> Answer:
            assert key is not None  # noqa: S101 - asked for only with one
            text = json.encode(done.receipt.json()).decode()
            return key.answer(202, text, done.receipt.received)

        try:
            done = await ingest.submit(
                sender,
                key.guard(ingest.store, nothing) if key else nothing,
                beat=True,
                remember=remember if key else None,
            )
        except RepeatedError as error:
            old = error.answer
            return Response(old.text, old.status, REPLAYED, "application/json")
        return JSONResponse(done.receipt.json(), 202)

    return routes
