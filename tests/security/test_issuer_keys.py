"""The issuer's keys: rotated, withdrawn, slow, away, and never in anybody's way."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from peerview_common import jwks
from peerview_common.auth import AuthError, TokenVerifier
from peerview_common.jwks import KeySource
from peerview_common.settings import DEVELOPMENT_ISSUER, IngestSettings
from peerview_tools.issuer import DevelopmentIssuer
from tests.security.forgeries import ED
from tests.security.issuer_server import IssuerServer, issuer_server
from tests.security.keyring import AUDIENCE, ISSUER, Keyring, claims, pack, token


@pytest.fixture(scope="module")
def ring() -> Keyring:
    return Keyring()


@pytest.fixture
def server(ring: Keyring) -> Iterator[IssuerServer]:
    with issuer_server() as started:
        started.document = {"keys": [published(ring.ed, "ed")]}
        yield started


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def verifier(server: IssuerServer, clock: Clock) -> TokenVerifier:
    keys = KeySource(server.address, clock, cache_s=300, stale_s=3_600)
    return TokenVerifier(keys, issuer=ISSUER, audience=AUDIENCE)


def published(key: Any, kid: str) -> dict[str, Any]:
    x = pack(key.public_key().public_bytes_raw())
    return {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "use": "sig"}


async def outcome(verifier: TokenVerifier, key: Any, kid: str) -> int:
    """200 for a caller who is let in, else the status."""
    try:
        await verifier.admit(f"Bearer {token(key, {**ED, 'kid': kid}, claims())}")
    except AuthError as error:
        return error.status
    return 200


async def until(found: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not found():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


async def test_a_new_key_is_fetched_when_its_first_token_comes(
    verifier: TokenVerifier, server: IssuerServer, ring: Keyring, clock: Clock
) -> None:
    assert await outcome(verifier, ring.ed, "ed") == 200
    server.document["keys"].append(published(ring.retired, "new"))
    clock.seconds += jwks.REFETCH_S + 1
    assert await outcome(verifier, ring.retired, "new") == 200
    assert await outcome(verifier, ring.ed, "ed") == 200
    assert server.asked == 2


async def test_a_withdrawn_key_stops_working_within_the_cache_time(
    verifier: TokenVerifier, server: IssuerServer, ring: Keyring, clock: Clock
) -> None:
    server.document["keys"].append(published(ring.retired, "old"))
    assert await outcome(verifier, ring.retired, "old") == 200
    server.document = {"keys": [published(ring.ed, "ed")]}
    clock.seconds += 299
    # an old set still serves while a new one is fetched beside it
    assert await outcome(verifier, ring.retired, "old") == 200
    await until(lambda: server.asked == 2)
    clock.seconds += 2
    assert await outcome(verifier, ring.retired, "old") == 401
    assert await outcome(verifier, ring.ed, "ed") == 200


async def test_a_withdrawn_key_is_gone_also_where_nobody_asked_meanwhile(
    verifier: TokenVerifier, server: IssuerServer, ring: Keyring, clock: Clock
) -> None:
    server.document["keys"].append(published(ring.retired, "old"))
    assert await outcome(verifier, ring.retired, "old") == 200
    server.document = {"keys": [published(ring.ed, "ed")]}
    clock.seconds += 301
    assert await outcome(verifier, ring.retired, "old") == 401


async def test_a_key_replaced_under_its_kid_is_no_longer_taken(
    verifier: TokenVerifier, server: IssuerServer, ring: Keyring, clock: Clock
) -> None:
    assert await outcome(verifier, ring.ed, "ed") == 200
    server.document = {"keys": [published(ring.retired, "ed")]}
    clock.seconds += 301
    assert await outcome(verifier, ring.ed, "ed") == 401
    assert await outcome(verifier, ring.retired, "ed") == 200


@pytest.mark.parametrize("way", ["status", "garbage", "empty", "too large", "redirect"])
async def test_an_issuer_away_is_borne_for_a_while_and_not_for_ever(
    verifier: TokenVerifier, server: IssuerServer, ring: Keyring, clock: Clock, way: str
) -> None:
    assert await outcome(verifier, ring.ed, "ed") == 200
    good = server.document
    if way in ("status", "redirect"):
        # whoever follows it is served: that it is followed would be the mistake
        server.status = 500 if way == "status" else 302
    else:
        server.document = {
            "garbage": b"<html>",
            "empty": {"keys": []},
            "too large": {**good, "more": "x" * 300_000},
        }[way]
    clock.seconds += 400
    assert await outcome(verifier, ring.ed, "ed") == 200
    clock.seconds += 3_300
    assert await outcome(verifier, ring.ed, "ed") == 503
    assert await verifier.wrong() is not None
    server.status, server.document = 200, good
    clock.seconds += jwks.REFETCH_S + 1
    assert await outcome(verifier, ring.ed, "ed") == 200
    assert await verifier.wrong() is None


async def test_an_issuer_away_from_the_start_is_a_503_and_few_fetches(
    verifier: TokenVerifier, server: IssuerServer, ring: Keyring, clock: Clock
) -> None:
    server.status = 500
    for _ in range(100):
        assert await outcome(verifier, ring.ed, "ed") == 503
        clock.seconds += 0.01
    assert server.asked == 1
    server.status = 200
    clock.seconds += jwks.RETRY_S
    assert await outcome(verifier, ring.ed, "ed") == 200


async def test_unknown_kids_cause_few_fetches(
    verifier: TokenVerifier, server: IssuerServer, ring: Keyring, clock: Clock
) -> None:
    assert await outcome(verifier, ring.ed, "ed") == 200
    for number in range(200):
        assert await outcome(verifier, ring.stranger, f"k{number}") == 401
        clock.seconds += 0.1
    assert server.asked <= 1 + 20 / jwks.REFETCH_S


async def test_a_slow_issuer_holds_up_nobody_else(
    verifier: TokenVerifier, server: IssuerServer, ring: Keyring, clock: Clock
) -> None:
    assert await outcome(verifier, ring.ed, "ed") == 200
    server.gate.clear()
    clock.seconds += jwks.REFETCH_S + 1
    waiting = [
        asyncio.create_task(outcome(verifier, ring.stranger, f"k{number}")) for number in range(100)
    ]
    await until(lambda: server.asked == 2)
    began = time.perf_counter()
    for _ in range(20):
        assert await outcome(verifier, ring.ed, "ed") == 200
    assert time.perf_counter() - began < 1
    assert not any(task.done() for task in waiting)
    server.gate.set()
    assert set(await asyncio.gather(*waiting)) == {401}
    assert server.asked == 2, "they all waited for the same fetch"


async def test_who_gives_up_waiting_ends_the_fetch_for_nobody_else(
    verifier: TokenVerifier, server: IssuerServer, ring: Keyring
) -> None:
    server.gate.clear()
    first = asyncio.create_task(outcome(verifier, ring.ed, "ed"))
    second = asyncio.create_task(outcome(verifier, ring.ed, "ed"))
    await until(lambda: server.asked == 1)
    first.cancel()
    server.gate.set()
    assert await second == 200


async def test_an_issuer_that_drips_its_answer_counts_as_away(
    server: IssuerServer, ring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "FETCH_S", 0.3)
    server.drip_s = 0.02
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await asyncio.to_thread(jwks.read_place, server.address)
    assert time.monotonic() - began < 2


def test_a_thread_may_wait_for_keys(verifier: TokenVerifier, ring: Keyring) -> None:
    found = verifier.principal(f"Bearer {token(ring.ed, ED, claims())}")
    assert found.practices == {"A99001"}


def test_one_bad_key_does_not_spoil_the_others(ring: Keyring) -> None:
    good = published(ring.ed, "ed")
    bad: list[Any] = [
        1, None, [], {}, {"kty": "OKP"}, {"kid": "x"}, {**good, "kid": 7}, {**good, "x": "AA"},
        {**good, "x": 5}, {**good, "crv": "X25519"}, {**good, "key_ops": ["sign"]},
        {**good, "use": "enc"}, {"kty": "RSA", "kid": "r", "n": "", "e": ""},
        {"kty": "RSA", "kid": "r", "n": "AQAB", "e": "AQAB"}, {"kty": ["OKP"], "kid": "r"},
        {**good, "alg": ["Ed25519"]}, {**good, "key_ops": 5}, {"kty": "new", "kid": "r"},
    ]  # fmt: skip
    for each in bad:
        document = json.dumps({"keys": [each, good]}).encode()
        assert list(jwks.parse(document)) == [("ed", "OKP")], each


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b'{"keys":{}}', b"[" * 100_000, b"\xff"])
def test_what_is_no_jwks_is_an_error(document: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        jwks.parse(document)


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": DEVELOPMENT_ISSUER},
        {"jwks": "file:/tmp/jwks.json"},
        {"jwks": "http://issuer.test/jwks"},
        {"jwks": ""},
    ],
)
def test_production_refuses_the_development_issuer_and_unsafe_places(wrong: Any) -> None:
    good = {
        "mode": "production",
        "issuer": ISSUER,
        "jwks": "https://issuer.test/jwks",
        "master_key": "00" * 32,
    }
    IngestSettings(**good)
    with pytest.raises(ValidationError):
        IngestSettings(**{**good, **wrong})


async def test_a_development_token_is_no_token_of_the_real_issuer(tmp_path: Any) -> None:
    """Not even where the development key itself is published under the real issuer's name."""
    development = DevelopmentIssuer(tmp_path)
    keys = KeySource(development.jwks)
    verifier = TokenVerifier(keys, issuer=ISSUER, audience=AUDIENCE)
    text = development.token(subject="x", practices=["A99001"], scope="ingest:write")
    with pytest.raises(AuthError) as refused:
        await verifier.admit(f"Bearer {text}")
    assert refused.value.status == 401
