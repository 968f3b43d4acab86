"""``/v1/heartbeat``: a sign of life."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from peerview_ingest.senders import Senders
from peerview_ingest.submission import Ingest


def router(ingest: Ingest, senders: Senders) -> APIRouter:
    routes = APIRouter(prefix="/v1", tags=["feeds"])

    @routes.post("/heartbeat", status_code=202)
    async def heartbeat(request: Request) -> JSONResponse:
        """Nothing new, still alive: the practice's feed is whole up to now."""
        done = await ingest.submit(senders(request), lambda _: [], beat=True)
        return JSONResponse(done.receipt.json(), 202)

    return routes
