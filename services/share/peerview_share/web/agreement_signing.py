"""Signing on pages, joining by a signature, and agreeing to whoever asks to join."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from peerview_common.problem import Problem
from peerview_share.agreements import keys
from peerview_share.agreements.acts import RefusedError
from peerview_share.agreements.life import AgreementRecord, statuses
from peerview_share.api.callers import ShareParts
from peerview_share.service import Share
from peerview_share.store import agreements as store
from peerview_share.web import key_proof
from peerview_share.web.agreement_acts import attempt, back, sentence
from peerview_share.web.agreement_pages import (
    may,
    may_admit,
    page,
    version_of,
    versions_of,
)
from peerview_share.web.forms import Fields, Submitted
from peerview_share.web.routes import PageRoute
from peerview_share.web.visitor import Looking, Visitor

router = APIRouter(prefix="/agreements", include_in_schema=False, route_class=PageRoute)

HASH_START: Final = 8
"""So many characters of the SHA-256 does a signatory type, to have looked at it."""


@router.get("/{agreement}/sign")
def sign_page(
    request: Request,
    agreement: str,
    share: ShareParts,
    visitor: Looking,
    version: Annotated[int | None, Query(ge=1)] = None,
) -> Response:
    return _sign_form(request, share, visitor, agreement, version, {}, {})


@router.post("/{agreement}/sign")
def sign(
    request: Request,
    agreement: str,
    share: ShareParts,
    visitor: Looking,
    fields: Submitted,
) -> Response:
    """Signs exactly the terms that were shown: their hash came with the form."""
    actor = visitor.actor()
    version, shown = _which(fields)
    errors, kept = _confirmed(fields)
    proof = key_proof.pasted(fields)
    if not errors:
        refused = attempt(lambda: share.acts.sign(agreement, version, shown, actor, proof=proof))
        if refused is None:
            return back(agreement, "signed", version)
        errors = _refused(refused, proof, "terms_hash")
    return _sign_form(request, share, visitor, agreement, version, errors, kept)


@router.get("/{agreement}/join")
def join_page(
    request: Request,
    agreement: str,
    share: ShareParts,
    visitor: Looking,
    terms: Annotated[str, Query(pattern=r"^[0-9a-f]{64}$")],
) -> Response:
    """For a practice that is no party, and was given the hash of the terms by one that is."""
    return _join_form(request, share, visitor, agreement, terms, {}, {})


@router.post("/{agreement}/join")
def join(
    request: Request,
    agreement: str,
    share: ShareParts,
    visitor: Looking,
    fields: Submitted,
) -> Response:
    actor = visitor.actor()
    version, shown = _which(fields)
    errors, kept = _confirmed(fields)
    name = kept["party_name"] = fields.one("party_name")
    if not 1 <= len(name) <= 300:
        errors = {"party_name": "Enter the name of your practice"} | errors
    proof = key_proof.pasted(fields)
    if not errors:
        refused = attempt(
            lambda: share.acts.join(agreement, version, shown, actor, name=name, proof=proof)
        )
        if refused is None:
            return back(agreement, "asked", version)
        errors = _refused(refused, proof, "terms_hash")
    return _join_form(request, share, visitor, agreement, shown, errors, kept)


@router.get("/{agreement}/admit")
def admit_page(
    request: Request,
    agreement: str,
    share: ShareParts,
    visitor: Looking,
    practice: Annotated[str, Query(max_length=10)],
) -> Response:
    return _admit_form(request, share, visitor, agreement, practice, {}, {})


@router.post("/{agreement}/admit")
def admit(
    request: Request,
    agreement: str,
    share: ShareParts,
    visitor: Looking,
    fields: Submitted,
) -> Response:
    actor = visitor.actor()
    practice = fields.one("practice")
    proof = key_proof.pasted(fields)
    errors = {"confirmed": "Confirm it first"}
    if fields.one("confirmed") == "yes":
        refused = attempt(lambda: share.acts.admit(agreement, practice, actor, proof=proof))
        if refused is None:
            return back(agreement, "agreed")
        errors = _refused(refused, proof, "confirmed")
    kept = {name: fields.one(name) for name in ("confirmed", key_proof.FIELD)}
    return _admit_form(request, share, visitor, agreement, practice, errors, kept)


def _which(fields: Fields) -> tuple[int, str]:
    """The version and the hash of its terms that the form showed."""
    version, shown = fields.one("version"), fields.one("terms_hash")
    if not (version.isascii() and version.isdigit() and len(version) < 6):
        raise Problem(422, "invalid", "the form names no version")
    return int(version), shown


def _confirmed(fields: Fields) -> tuple[dict[str, str], dict[str, str]]:
    """What is missing for a signature, and what was typed."""
    shown = fields.one("terms_hash")
    typed = fields.one("hash_start").lower().replace(" ", "")
    errors = {}
    if len(typed) < HASH_START or not shown.startswith(typed):
        errors["hash_start"] = (
            f"Enter the first {HASH_START} characters of the SHA-256 as it is shown above"
        )
    if fields.one("confirmed") != "yes":
        errors["confirmed"] = "Confirm that you have read the terms and may sign for the practice"
    return errors, {name: fields.one(name) for name in ("hash_start", "confirmed", key_proof.FIELD)}


def _refused(refused: RefusedError, proof: str | None, field: str) -> dict[str, str]:
    """Beside the signature if that is why, else beside ``field``."""
    told = key_proof.told(refused, proof)
    return {field: sentence(refused)} if told is None else {key_proof.FIELD: told}


def _asked(
    share: Share, visitor: Visitor, act: str, record: AgreementRecord
) -> key_proof.Asked | None:
    """The signature with the practice's key to these terms, if it has one."""
    identity, version = record.key
    message = keys.terms_message(act, visitor.own, identity, version, record.terms_hash)
    return key_proof.asked(share, visitor, message)


def _join_form(
    request: Request,
    share: Share,
    visitor: Visitor,
    agreement: str,
    shown: str,
    errors: dict[str, str],
    kept: dict[str, str],
) -> Response:
    with share.database.read() as connection:
        records = store.records(connection, agreement=agreement)
    states = statuses(records, share.clock())
    found = [record for record in records if record.terms_hash == shown]
    if not found:
        # to a stranger without the hash there is nothing there
        raise Problem(404, "not-found", "there is no such agreement of this practice")
    record = found[-1]
    return page(
        request,
        share,
        visitor,
        "join.html",
        record,
        states[record.key],
        errors=errors,
        person=visitor.name,
        characters=HASH_START,
        kept=kept,
        asked=_asked(share, visitor, "join", record),
    )


def _admit_form(
    request: Request,
    share: Share,
    visitor: Visitor,
    agreement: str,
    practice: str,
    errors: dict[str, str],
    kept: dict[str, str],
) -> Response:
    for record, status in reversed(versions_of(share, visitor, agreement)):
        for asking in record.asking:
            if asking.ods == practice:
                identity, version = record.key
                message = keys.admission_message(visitor.own, identity, version, practice)
                return page(
                    request,
                    share,
                    visitor,
                    "admit.html",
                    record,
                    status,
                    errors=errors,
                    asking=asking,
                    open=asking in may_admit(record, visitor),
                    kept=kept,
                    asked=key_proof.asked(share, visitor, message),
                )
    raise Problem(404, "not-found", "nobody of that code asks to join")


def _sign_form(
    request: Request,
    share: Share,
    visitor: Visitor,
    agreement: str,
    version: int | None,
    errors: dict[str, str],
    kept: dict[str, str],
) -> Response:
    record, status = version_of(share, visitor, agreement, version)
    return page(
        request,
        share,
        visitor,
        "sign.html",
        record,
        status,
        errors=errors,
        open="sign" in may(record, status, visitor),
        person=visitor.name,
        characters=HASH_START,
        kept=kept,
        asked=_asked(share, visitor, "sign", record),
    )
