"""``/fhir``: Bundles and single resources."""

import hashlib
from collections.abc import Callable
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from peerview_common.problem import Problem
from peerview_ingest import answers
from peerview_ingest.body import NotJsonError, parse, whole
from peerview_ingest.fhir import Outcome, Read, Reader, Resolver
from peerview_ingest.fhir.types import RESOURCE_TYPES
from peerview_ingest.senders import Senders
from peerview_ingest.store import Answer
from peerview_ingest.submission import Ingest, RefusedError, Sender, Submitted, TooLargeError

VERSION: Final = "0.1.0"
RESPONSE_TYPES: Final = frozenset({"batch-response", "transaction-response"})
MAX_KEY: Final = 255


def router(ingest: Ingest, senders: Senders) -> APIRouter:
    routes = APIRouter(prefix="/fhir", tags=["fhir"])
    limit = ingest.settings.max_body_bytes

    @routes.get("/metadata")
    async def metadata() -> Response:
        """The CapabilityStatement."""
        return answers.fhir(answers.capability(VERSION))

    @routes.post("", status_code=202)
    async def bundle(request: Request) -> Response:
        """A Bundle: a transaction all or nothing, any other entry by entry."""
        sender = senders(request)
        data = await whole(request, limit)
        document = await _document(ingest, data)
        if document.get("resourceType") != "Bundle":
            raise Problem(
                400, "structure", "POST /fhir takes a Bundle; POST /fhir/TYPE takes one resource"
            )
        kind = document.get("type")
        if not isinstance(kind, str) or kind in RESPONSE_TYPES:
            raise Problem(400, "structure", "the Bundle's type is missing, or is a response")
        if not isinstance(document.get("entry", []), list):
            raise Problem(400, "structure", "Bundle.entry must be a list")
        return await _once(
            ingest,
            request,
            sender,
            data,
            lambda reader: reader.bundle(document),
            lambda done: (202, answers.batch_response(kind, done.receipt, done.reads)),
            atomic=kind == "transaction",
        )

    @routes.post("/{kind}", status_code=202)
    async def create(request: Request, kind: str) -> Response:
        """One resource, under the id that it carries."""
        sender = senders(request)
        _known(kind)
        data = await whole(request, limit)
        document = await _document(ingest, data)
        _same_type(document, kind)
        return await _single(ingest, request, sender, data, document)

    @routes.put("/{kind}/{id_text}", status_code=202)
    async def update(request: Request, kind: str, id_text: str) -> Response:
        """A new version of one resource."""
        sender = senders(request)
        _known(kind)
        data = await whole(request, limit)
        document = await _document(ingest, data)
        _same_type(document, kind)
        if document.setdefault("id", id_text) != id_text:
            raise Problem(400, "structure", f"{kind}.id is not the id of the address")
        return await _single(ingest, request, sender, data, document)

    @routes.delete("/{kind}/{id_text}", status_code=202)
    async def remove(request: Request, kind: str, id_text: str) -> Response:
        """The deletion of one resource, as of now. Deleting what is not known is no error."""
        sender = senders(request)
        _known(kind)

        def reading(reader: Reader) -> list[Read]:
            return [reader.deletion(kind, id_text, kind)]

        address = f"{kind}/{id_text}".encode()
        return await _once(ingest, request, sender, address, reading, _single_answer)

    return routes


async def _document(ingest: Ingest, data: bytes) -> dict[str, Any]:
    try:
        # a large body would keep the event loop from everybody else
        document = (
            await ingest.in_thread(lambda: parse(data)) if len(data) > 100_000 else (parse(data))
        )
    except NotJsonError as error:
        raise Problem(400, "structure", str(error)) from None
    if not isinstance(document, dict):
        raise Problem(400, "structure", "a FHIR resource is a JSON object")
    return document


def _known(kind: str) -> None:
    if kind not in RESOURCE_TYPES:
        raise Problem(404, "not-supported", "not a resource type of FHIR R4")
    if kind == "Bundle":
        raise Problem(400, "not-supported", "a Bundle goes to POST /fhir")


def _same_type(document: dict[str, Any], kind: str) -> None:
    if document.get("resourceType") != kind:
        raise Problem(400, "structure", f"resourceType is not {kind}, as the address says")


def _single_answer(done: Submitted) -> tuple[int, dict[str, Any]]:
    _, read = done.reads[0]
    status = 422 if read.outcome is Outcome.REJECTED else 202
    return status, answers.single_response(done.receipt, read)


async def _single(
    ingest: Ingest, request: Request, sender: Sender, data: bytes, document: dict[str, Any]
) -> Response:
    def reading(reader: Reader) -> list[Read]:
        resolver = Resolver(organisations=reader.organisations)
        resolver.add(document)
        return [reader.resource(document, resolver)]

    return await _once(ingest, request, sender, data, reading, _single_answer)


async def _once(
    ingest: Ingest,
    request: Request,
    sender: Sender,
    data: bytes,
    reading: Callable[[Reader], list[Read]],
    word: Callable[[Submitted], tuple[int, dict[str, Any]]],
    *,
    atomic: bool = False,
) -> Response:
    """Take it; answer a repeated ``Idempotency-Key`` with what was answered the first time."""
    key = _key(request, sender)
    asked = hashlib.sha256(f"{request.method} {request.url.path}\0".encode() + data).digest()
    if key is not None:
        old = await ingest.in_thread(lambda: _answered(ingest, sender, key))
        if old is not None and old.request != asked:
            raise Problem(422, "idempotency", "this Idempotency-Key came with another request")
        if old is not None:
            return Response(old.text, old.status, media_type=answers.MEDIA_TYPE)

    def remember(done: Submitted) -> Answer:
        status, body = word(done)
        text = answers.encoded(body).decode()
        return Answer(key or b"", asked, status, text, done.receipt.received)

    try:
        done = await ingest.submit(
            sender,
            lambda reader: [(None, read) for read in reading(reader)],
            size=len(data),
            atomic=atomic,
            remember=remember if key is not None else None,
        )
    except RefusedError as error:
        return answers.fhir(answers.outcome(error.issues), 422)
    except TooLargeError:
        raise Problem(
            413, "too-costly", "the transaction does not fit one record: send it as a batch"
        ) from None
    status, body = word(done)
    return answers.fhir(body, status, answers.headers(done.receipt))


def _key(request: Request, sender: Sender) -> bytes | None:
    text = request.headers.get("idempotency-key")
    if not text:
        return None
    if len(text) > MAX_KEY:
        raise Problem(400, "idempotency", f"an Idempotency-Key has at most {MAX_KEY} characters")
    return hashlib.sha256(f"{sender.source}\0{text}".encode()).digest()


def _answered(ingest: Ingest, sender: Sender, key: bytes) -> Answer | None:
    with ingest.store.turn(sender.practice, sender.source) as turn:
        return turn.answer(key)
