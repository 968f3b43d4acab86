"""``/fhir``: Bundles and single resources."""

from typing import Any, Final

from fastapi import APIRouter, Request, Response

from peerview_common.problem import Problem
from peerview_ingest import answers, capability, fhir_unsupported
from peerview_ingest.body import whole
from peerview_ingest.fhir import Outcome, Read, Reader, Resolver
from peerview_ingest.fhir.reader import MAX_ENTRIES
from peerview_ingest.fhir.types import RESOURCE_TYPES
from peerview_ingest.fhir_negotiation import check_answer, check_body, preferred
from peerview_ingest.fhir_once import Once, Reading, Word
from peerview_ingest.parsing import NotJsonError, parse
from peerview_ingest.senders import Senders
from peerview_ingest.submission import Ingest, Submitted

VERSION: Final = "0.1.0"
BUNDLE_TYPES: Final = frozenset(
    {"batch", "transaction", "collection", "history", "searchset", "document", "message"}
)
RESPONSE_TYPES: Final = frozenset({"batch-response", "transaction-response"})


def router(ingest: Ingest, senders: Senders) -> APIRouter:
    routes = APIRouter(prefix="/fhir", tags=["fhir"])
    limit = ingest.settings.max_body_bytes
    once = Once(ingest)

    @routes.api_route("/metadata", methods=["GET", "HEAD"])
    async def metadata(request: Request) -> Response:
        """The CapabilityStatement."""
        check_answer(request)
        return answers.fhir(capability.statement(VERSION))

    @routes.post("", status_code=202)
    async def bundle(request: Request) -> Response:
        """A Bundle: a transaction all or nothing, any other entry by entry."""
        sender = senders(request)
        data, document = await _body(ingest, request, limit)
        kind = _bundle_type(document)
        minimal = preferred(request) == "minimal"

        def word(done: Submitted) -> tuple[int, dict[str, Any]]:
            return 202, answers.batch_response(kind, done.receipt, done.reads, minimal=minimal)

        return await once.take(
            request,
            sender,
            data,
            lambda reader: reader.bundle(document),
            word,
            atomic=kind == "transaction",
        )

    @routes.post("/{kind}", status_code=202)
    async def create(request: Request, kind: str) -> Response:
        """One resource, under the id that it carries."""
        sender = senders(request)
        _known(request, kind)
        data, document = await _body(ingest, request, limit)
        _same_type(document, kind)
        return await once.take(request, sender, data, _reading(document), *_told(request))

    @routes.put("/{kind}/{id_text}", status_code=202)
    async def update(request: Request, kind: str, id_text: str) -> Response:
        """A new version of one resource."""
        sender = senders(request)
        _known(request, kind, id_text)
        data, document = await _body(ingest, request, limit)
        _same_type(document, kind)
        if document.setdefault("id", id_text) != id_text:
            raise Problem(
                400, "structure", f"{kind}.id is not the id of the address", place=f"{kind}.id"
            )
        return await once.take(request, sender, data, _reading(document), *_told(request))

    @routes.delete("/{kind}/{id_text}", status_code=202)
    async def remove(request: Request, kind: str, id_text: str) -> Response:
        """The deletion of one resource, as of now. Deleting what is not known is no error."""
        sender = senders(request)
        _known(request, kind, id_text)
        check_answer(request)
        address = f"{kind}/{id_text}".encode()
        return await once.take(
            request,
            sender,
            address,
            lambda reader: [reader.deletion(kind, id_text, kind)],
            *_told(request),
        )

    fhir_unsupported.add(routes)
    return routes


async def _body(ingest: Ingest, request: Request, limit: int) -> tuple[bytes, dict[str, Any]]:
    check_answer(request)
    check_body(request)
    data = await whole(request, limit)
    try:
        # a large body would keep the event loop from everybody else
        document = (
            await ingest.in_thread(lambda: parse(data)) if len(data) > 100_000 else parse(data)
        )
    except NotJsonError as error:
        raise Problem(400, "structure", str(error)) from None
    if not isinstance(document, dict):
        raise Problem(400, "structure", "a FHIR resource is a JSON object")
    return data, document


def _bundle_type(document: dict[str, Any]) -> str:
    """A Bundle's type; Problem where it is no Bundle that can be taken."""
    if document.get("resourceType") != "Bundle":
        raise Problem(
            400,
            "structure",
            "POST /fhir takes a Bundle; POST /fhir/TYPE takes one resource",
            place="resourceType",
        )
    kind = document.get("type")
    if not isinstance(kind, str) or kind not in BUNDLE_TYPES:
        reason = "must be one of " + ", ".join(sorted(BUNDLE_TYPES))
        if isinstance(kind, str) and kind in RESPONSE_TYPES:
            reason = "is that of an answer"
        raise Problem(400, "structure", f"the Bundle's type {reason}", place="Bundle.type")
    entries = document.get("entry")
    if entries is None:
        entries = []
    if not isinstance(entries, list):
        raise Problem(400, "structure", "Bundle.entry must be a list", place="Bundle.entry")
    if len(entries) > MAX_ENTRIES:
        raise Problem(
            413,
            "too-costly",
            f"a Bundle may have {MAX_ENTRIES} entries: send several, or lines to /v1/bulk",
            place="Bundle.entry",
        )
    return kind


def _known(request: Request, kind: str, id_text: str | None = None) -> None:
    if kind == "metadata" or kind.startswith(("$", "_")) or (id_text or "").startswith(("$", "_")):
        fhir_unsupported.answer(request, [kind] if id_text is None else [kind, id_text])
    if kind not in RESOURCE_TYPES:
        raise Problem(404, "not-supported", "not a resource type of FHIR R4")
    if kind == "Bundle":
        raise Problem(400, "not-supported", "a Bundle goes to POST /fhir")
    fhir_unsupported.refuse_conditions(request, kind)


def _same_type(document: dict[str, Any], kind: str) -> None:
    if document.get("resourceType") != kind:
        raise Problem(
            400,
            "structure",
            f"resourceType is not {kind}, as the address says",
            place="resourceType",
        )


def _reading(document: dict[str, Any]) -> Reading:
    def reading(reader: Reader) -> list[Read]:
        resolver = Resolver(organisations=reader.organisations)
        resolver.add(document)
        return [reader.resource(document, resolver)]

    return reading


def _told(request: Request) -> tuple[Word, Any]:
    """How one resource's fate is told: in the body, and in headers."""
    minimal = preferred(request) == "minimal"
    base = f"{request.scope.get('root_path', '')}/fhir"

    def word(done: Submitted) -> tuple[int, dict[str, Any] | None]:
        _, read = done.reads[0]
        if read.outcome is Outcome.REJECTED:
            return 422, answers.single_response(done.receipt, read)
        return 202, None if minimal else answers.single_response(done.receipt, read)

    def headers(done: Submitted) -> dict[str, str]:
        _, read = done.reads[0]
        return answers.version_headers(read, base)

    return word, headers
