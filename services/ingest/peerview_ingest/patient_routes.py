"""``/v1/pseudonyms``, ``/v1/erasures``, ``/v1/objections``: a practice about single patients.

Ids come in bodies, never in addresses: what lies between keeps addresses in logs.
"""

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from peerview_common.auth import Principal
from peerview_ingest import patients
from peerview_ingest.patients import MOST, Asked
from peerview_ingest.receipt import RESEND
from peerview_ingest.senders import MAX_SOURCE, Senders
from peerview_ingest.small_bodies import described, small_body
from peerview_ingest.submission import Ingest, Sender

Id = Annotated[str, Field(min_length=1, max_length=300)]


class Patients(BaseModel):
    """Patients by the ids that their source system gives them."""

    model_config = ConfigDict(extra="forbid")

    system: Annotated[str, Field(min_length=1, max_length=MAX_SOURCE)] | None = None
    """The source system; the token's claim ``system`` otherwise."""
    patients: Annotated[list[Id], Field(min_length=1, max_length=MOST)]
    """Logical ids of Patients; for a Patient that has none, ``SYSTEM|VALUE`` of its first
    identifier."""


class Objections(Patients):
    objects: bool


def router(ingest: Ingest, senders: Senders) -> APIRouter:
    routes = APIRouter(prefix="/v1", tags=["patients"])

    @routes.post("/pseudonyms", openapi_extra=described(Patients))
    async def pseudonyms(request: Request) -> JSONResponse:
        """Pseudonyms, in the order of the ids: for the practice's own clinical staff, to find whom
        a list of care gaps means. Every look is noted."""
        caller = senders.clinician(request)
        asked = _asked(*caller, await small_body(request, Patients))
        found = await patients.pseudonyms(ingest, asked)
        return JSONResponse({"practice": asked.sender.practice, "pseudonyms": found})

    @routes.post("/erasures", status_code=202, openapi_extra=described(Patients))
    async def erase(request: Request) -> JSONResponse:
        """Empty these patients' records for good."""
        caller = senders.keeper(request)
        asked = _asked(*caller, await small_body(request, Patients))
        await patients.erase(ingest, asked)
        return JSONResponse({"practice": asked.sender.practice, "erased": len(asked.ids)}, 202)

    @routes.put("/objections", status_code=202, openapi_extra=described(Objections))
    async def objections(request: Request) -> JSONResponse:
        """Have patients take part in nothing by the practice's word, or take that back."""
        caller = senders.keeper(request)
        body = await small_body(request, Objections)
        asked = _asked(*caller, body)
        objected, opted_in = await patients.set_objection(ingest, asked, objects=body.objects)
        answer = {
            "practice": asked.sender.practice,
            "objections": objected,
            "opted_in": opted_in,
        }
        return JSONResponse(answer | ({"resend": RESEND} if opted_in else {}), 202)

    return routes


def _asked(principal: Principal, sender: Sender, body: Patients) -> Asked:
    return Asked(sender, body.system or sender.source, principal.subject, body.patients)
