"""No forged token lets anybody in, and nothing of it is repeated or logged."""

import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from peerview_common import codes, logs
from peerview_common.auth import TokenVerifier
from peerview_common.settings import IngestSettings
from peerview_ingest.app import make_app
from peerview_ingest.main import DEMONSTRATION_KEY
from peerview_ingest.store import Store
from peerview_ingest.submission import Ingest
from tests.ingest.builders import NOW, PRACTICE, bundle, patient
from tests.ingest.conftest import MemoryLog
from tests.security.forgeries import ED, RS, Forgery, forgeries
from tests.security.keyring import AUDIENCE, CANARY, ISSUER, Keyring, claims, token

WANTED = 200
pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")


@pytest.fixture(scope="module")
def ring() -> Keyring:
    return Keyring()


@pytest.fixture(scope="module")
def table(ring: Keyring) -> list[Forgery]:
    return forgeries(ring)


class Edge:
    def __init__(self, ingest: Ingest, log: MemoryLog, client: httpx.AsyncClient) -> None:
        self.ingest, self.log, self.client = ingest, log, client

    async def bundle(self, headers: Any) -> httpx.Response:
        return await self.client.post("/fhir", json=bundle(patient()), headers=_bytes(headers))

    async def heartbeat(self, headers: Any) -> httpx.Response:
        return await self.client.post("/v1/heartbeat", headers=_bytes(headers))


def _bytes(headers: Any) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("utf-8")) for name, value in headers]


@pytest.fixture
async def edge(tmp_path: Path, ring: Keyring) -> AsyncIterator[Edge]:
    settings = IngestSettings(
        ingest_database=f"sqlite:///{tmp_path / 'ingest.db'}",
        jwks=ring.write(tmp_path / "jwks.json"),
        issuer=ISSUER,
        audience=AUDIENCE,
        log_level="debug",
    )
    log = MemoryLog()
    store = Store(settings.ingest_database)
    ingest = Ingest(settings, store, log, codes.shipped(), DEMONSTRATION_KEY, lambda: NOW)
    app = make_app(ingest, TokenVerifier.from_settings(settings))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://ingest"
    ) as client:
        yield Edge(ingest, log, client)
    ingest.close()


@pytest.fixture
def written(capfd: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """Everything that the service writes, at the level that says most."""
    root, configured = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    logs.configure(IngestSettings(log_level="debug"), "ingest")
    yield lambda: "".join(capfd.readouterr())
    # other tests would go on writing to a stream that is closed by then
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**configured)
    structlog.contextvars.clear_contextvars()


def test_there_are_enough_of_them(table: list[Forgery]) -> None:
    assert len(table) >= WANTED


async def test_good_tokens_do_get_in(edge: Edge, ring: Keyring) -> None:
    good = {
        "Ed25519": token(ring.ed, ED, claims()),
        "EdDSA": token(ring.ed, {**ED, "alg": "EdDSA"}, claims()),
        "RS256": token(ring.rsa, RS, claims()),
        "RFC 9068": token(ring.rsa, {**RS, "typ": "at+jwt"}, claims()),
        "no typ": token(ring.rsa, {"alg": "RS256", "kid": "rsa"}, claims()),
        "a certificate's thumbprint": token(ring.rsa, {**RS, "x5t": "abc"}, claims()),
        "audiences": token(ring.ed, ED, claims(aud=["other", AUDIENCE])),
        "a list of scopes": token(ring.ed, ED, claims(scope=["openid", "ingest:write"])),
        "claims nobody needs": token(ring.ed, ED, claims(azp="x", realm={"a": [1, None]})),
        "no name and no system": token(ring.ed, ED, claims(name=None, system=None)),
        "a little late": token(ring.ed, ED, claims(exp=claims()["iat"] - 20)),
    }
    for name, text in good.items():
        answer = await edge.bundle([("Authorization", f"Bearer {text}")])
        assert (name, answer.status_code) == (name, 202)
    lower = await edge.bundle([("authorization", f"bearer  {good['RS256']}")])
    assert lower.status_code == 202
    supplier = token(ring.ed, ED, claims(practices=["A99002", PRACTICE]))
    named = await edge.bundle([("Authorization", f"Bearer {supplier}"), ("ODS-Code", PRACTICE)])
    assert named.status_code == 202


async def test_none_gets_in(edge: Edge, table: list[Forgery], written: Any) -> None:
    wrong: list[str] = []
    for forgery in table:
        fhir = await edge.bundle(forgery.headers)
        plain = await edge.heartbeat(forgery.headers)
        said = written()
        for path, answer in (("/fhir", fhir), ("/v1/heartbeat", plain)):
            if reason := _misbehaves(path, answer, forgery):
                wrong.append(f"{forgery.name}: {path}: {reason}")
        told = said + "".join(f"{a.headers}{a.text}" for a in (fhir, plain))
        wrong += [f"{forgery.name}: {piece} is told" for piece in _pieces(forgery) if piece in told]
    assert not wrong, "\n".join(wrong)
    assert edge.log.records == []


def _misbehaves(path: str, answer: httpx.Response, forgery: Forgery) -> str | None:
    if answer.status_code != forgery.status:
        return f"{answer.status_code}, not {forgery.status}"
    challenge = answer.headers.get("www-authenticate", "")
    if forgery.status in (401, 403) and not challenge.startswith('Bearer realm="peerview"'):
        return f"no challenge: {challenge!r}"
    kind = "application/fhir+json" if path == "/fhir" else "application/problem+json"
    if answer.headers["content-type"] != kind:
        return f"content type {answer.headers['content-type']}"
    body = answer.json()
    if path == "/fhir" and body["resourceType"] != "OperationOutcome":
        return "no OperationOutcome"
    if path != "/fhir" and body["status"] != forgery.status:
        return "another status in the problem"
    return None


def _pieces(forgery: Forgery) -> list[str]:
    """Pieces of what was sent that are long enough to be known again; claims hold the canary."""
    found = [CANARY]
    for name, value in forgery.headers:
        if name != "ODS-Code":
            found += [
                piece[:16] for piece in re.split(r"[^A-Za-z0-9_-]", value) if len(piece) >= 16
            ]
    return found


async def test_a_token_in_the_address_or_in_a_form_is_none(edge: Edge, ring: Keyring) -> None:
    text = token(ring.ed, ED, claims())
    in_query = await edge.client.post(
        "/fhir", params={"access_token": text}, json=bundle(patient())
    )
    in_form = await edge.client.post("/v1/heartbeat", data={"access_token": text})
    assert (in_query.status_code, in_form.status_code) == (401, 401)


async def test_an_attack_is_one_fetch(edge: Edge, ring: Keyring, monkeypatch: Any) -> None:
    """Tokens of a thousand unknown keys at one moment do not make a thousand fetches."""
    from peerview_common import jwks

    fetched: list[str] = []
    real = jwks.read_place

    def counted(place: str) -> bytes:
        fetched.append(place)
        return real(place)

    settings = edge.ingest.settings
    verifier = TokenVerifier(
        jwks.KeySource(settings.jwks, read=counted, clock=lambda: 1_000.0),
        issuer=ISSUER,
        audience=AUDIENCE,
    )
    app = make_app(edge.ingest, verifier)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://ingest"
    ) as client:
        for number in range(1_000):
            text = token(b"x", {"alg": "RS256", "kid": f"k{number}"}, json.dumps(claims()).encode())
            answer = await client.post("/v1/heartbeat", headers={"Authorization": f"Bearer {text}"})
            assert answer.status_code == 401
    assert len(fetched) <= 2
