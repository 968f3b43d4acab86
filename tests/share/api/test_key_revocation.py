"""A lost key: an operator asks that it be revoked, all are told, and the practice can object."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select

from peerview_share.agreements import keys
from peerview_share.store import chain, schema
from tests.share.api.test_joining import (
    NAME,
    A,
    B,
    C,
    admit,
    ask,
    call,
    problem,
    read,
    register,
    sign,
    text,
)
from tests.share.support import document

WAIT_DAYS = 14
LOST = {"reason": "The practice rang up: the computer with its key was stolen"}


@pytest.fixture
def lost(world):
    """A and B have an agreement, A has signed it with its key; B has one with C."""
    world.key = Ed25519PrivateKey.generate()
    register(world, A, world.key)
    world.hash = world.agree(document(A, B), B)["termsHash"]
    message = keys.terms_message("sign", A, NAME, 1, world.hash)
    signed = sign(world, A, world.hash, proof=text(world.key.sign(message)))
    assert signed.json()["status"] == "active"
    world.agree(document(B, C, id="other", network={"id": "south"}))
    return world


def revoke(world, practice=A, **claims):
    claims = {"scope": "keys:revoke", "roles": ("operator",), "subject": "op"} | claims
    return call(
        world, "POST", f"/practices/{practice}/signing-key/revocation", "OPS", LOST, **claims
    )


def stop(world, code, practice=A, proof=None, **claims):
    body = {"reason": "We have our key"} | ({} if proof is None else {"proof": proof})
    path = f"/practices/{practice}/signing-key/revocation/stop"
    return call(world, "POST", path, code, body, **claims)


def key_of(world, code=A):
    return call(world, "GET", f"/practices/{code}/signing-key", code).json()


def events(world):
    with world.share.database.read() as connection:
        rows = connection.execute(select(schema.outbox.c.value).order_by(schema.outbox.c.seq))
        found = [json.loads(row.value) for row in rows]
    return [(e["agreement"], e["event"], e["practice"]) for e in found if "key" in e["event"]]


def test_only_an_operator_with_the_scope_asks_and_the_key_holds_until_the_days_are_over(lost):
    for claims in ({"scope": "share:read"}, {"scope": "release:operate"}, {"scope": ""}):
        assert revoke(lost, **claims).status_code == 403
    answer = revoke(lost)
    assert answer.status_code == 202, answer.text
    found = answer.json()["revocation"]
    assert (found["state"], found["by"], found["reason"]) == ("waiting", "op", LOST["reason"])
    assert problem(revoke(lost)) == (409, "already-asked")
    assert problem(revoke(lost, B)) == (409, "no-key")

    lost.clock.pass_days(WAIT_DAYS - 0.01)
    ask(lost, C, lost.hash)
    vote = text(lost.key.sign(keys.admission_message(A, NAME, 1, C)))
    assert problem(admit(lost, A, C)) == (409, "key-needed")
    assert admit(lost, A, C, proof=vote).status_code == 200, "it holds until then"
    assert key_of(lost)["revocation"]["state"] == "waiting"


def test_all_that_share_an_agreement_are_told_and_nobody_else(lost):
    revoke(lost)
    for code in (A, B):
        (told,) = read(lost, code)["keyRevocations"]
        assert (told["practice"], told["reason"]) == (A, LOST["reason"])
        history = call(lost, "GET", f"/agreements/{NAME}/history", code).json()["changes"]
        assert history[-1]["event"] == "key-revocation-asked"
    other = call(lost, "GET", "/agreements/other", C).json()
    assert other["keyRevocations"] == []
    assert events(lost) == [(NAME, "key-revocation-asked", A)]
    assert call(lost, "GET", f"/practices/{A}/signing-key", B).status_code == 403


def test_once_revoked_a_token_alone_signs_nothing_and_what_was_signed_holds(lost):
    revoke(lost)
    lost.clock.pass_days(WAIT_DAYS)
    assert key_of(lost) | {"revocation": None} == {
        "practice": A, "publicKey": None, "revocation": None
    }  # fmt: skip
    found = read(lost, B)
    assert found["status"] == "active"
    assert [s["publicKey"] for s in found["signatures"] if s["practice"] == A] == [
        text(lost.key.public_key().public_bytes_raw())
    ]
    ask(lost, C, lost.hash)
    vote = text(lost.key.sign(keys.admission_message(A, NAME, 1, C)))
    for proof in ({}, {"proof": vote}):
        assert problem(admit(lost, A, C, **proof)) == (409, "key-revoked")
    # what takes rights away needs no key
    assert lost.act(NAME, A, "suspend").status_code == 200
    assert lost.act(NAME, A, "resume").status_code == 200

    assert problem(register(lost, A, lost.key)) == (409, "key-revoked")
    new = Ed25519PrivateKey.generate()
    assert call(lost, "PUT", f"/practices/{A}/signing-key", A, {
        "publicKey": text(new.public_key().public_bytes_raw()),
        "proof": text(lost.key.sign(keys.key_message(A, "x"))),
    }).status_code == 409  # fmt: skip
    assert register(lost, A, new).status_code == 200
    assert events(lost)[-1] == (NAME, "key-registered", A), "and this is told too"
    vote = text(new.sign(keys.admission_message(A, NAME, 1, C)))
    assert admit(lost, A, C, proof=vote).status_code == 200
    assert read(lost, B)["keyRevocations"] == []


@pytest.mark.parametrize("how", ["with the key", "by signing in", "by the operator"])
def test_the_practice_objects_and_the_operator_calls_it_off(lost, how):
    revoke(lost)
    message = keys.keep_message(A, text(lost.key.public_key().public_bytes_raw()))
    wrong = text(Ed25519PrivateKey.generate().sign(message))
    assert problem(stop(lost, A, proof=wrong)) == (409, "key-proof")
    for code in (B, C):
        assert stop(lost, code).status_code == 403
    assert stop(lost, A, roles=("clinical",)).status_code == 403
    if how == "with the key":
        answer = stop(lost, A, proof=text(lost.key.sign(message)))
    elif how == "by signing in":
        answer = stop(lost, A)
    else:
        answer = stop(lost, "OPS", scope="keys:revoke", roles=("operator",))
    assert answer.status_code == 200, answer.text
    stopped = answer.json()["revocation"]["stopped"]
    assert stopped["how"] == ("called-off" if "operator" in how else "objected")
    assert events(lost)[-1] == (NAME, "key-revocation-stopped", A)
    assert problem(stop(lost, A)) == (409, "not-asked")
    lost.clock.pass_days(WAIT_DAYS + 1)
    assert key_of(lost)["revocation"]["state"] == "stopped"
    assert key_of(lost)["publicKey"] is not None
    # the same may be asked anew, and waits anew
    assert revoke(lost).json()["revocation"]["state"] == "waiting"


def test_too_late_an_objection_stops_nothing(lost):
    revoke(lost)
    lost.clock.pass_days(WAIT_DAYS)
    assert problem(stop(lost, A)) == (409, "not-asked")
    assert problem(revoke(lost)) == (409, "key-revoked")


def test_a_key_found_again_is_replaced_in_time_as_ever(lost):
    revoke(lost)
    new = Ed25519PrivateKey.generate()
    assert problem(register(lost, A, new)) == (409, "key-proof")
    assert register(lost, A, new, former=lost.key).status_code == 200
    lost.clock.pass_days(WAIT_DAYS)
    assert key_of(lost)["revocation"] is None
    assert key_of(lost)["publicKey"] == text(new.public_key().public_bytes_raw())


def test_what_was_asked_and_stopped_is_in_the_chain_of_the_audit(lost):
    revoke(lost)
    stop(lost, A)
    with lost.share.database.read() as connection:
        acts = connection.execute(select(schema.signing_key_acts)).all()
    assert [(row.act, row.by, row.reason) for row in acts] == [
        ("revocation-asked", "op", LOST["reason"]),
        ("objected", "dr-jones", "We have our key"),
    ]
    assert schema.signing_key_acts in chain.chained_tables()
    assert all(row.hash for row in acts)
