"""Tokens that must not let anybody in, each with what is wrong with it. Generated, so that it is
seen at a glance which trick is tried with which key, algorithm and claim."""

import hashlib
import json
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from tests.ingest.builders import PRACTICE
from tests.security.keyring import AUDIENCE, ISSUER, Keyring, claims, pack, sign, token, unpack

ED = {"alg": "Ed25519", "kid": "ed", "typ": "JWT"}
RS = {"alg": "RS256", "kid": "rsa", "typ": "JWT"}
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


@dataclass(frozen=True)
class Forgery:
    name: str
    headers: tuple[tuple[str, str], ...]
    status: int = 401


def forgeries(ring: Keyring) -> list[Forgery]:
    found = [
        *_algorithms(ring),
        *_confusion(ring),
        *_foreign_keys(ring),
        *_unusable_keys(ring),
        *_headers(ring),
        *_claims(ring),
        *_payloads(ring),
        *_signatures(ring),
        *_shapes(ring),
        *_practices(ring),
    ]
    assert len({each.name for each in found}) == len(found), "each is told from the others"
    return found


def _bearer(name: str, text: str, status: int = 401) -> Forgery:
    return Forgery(name, (("Authorization", f"Bearer {text}"),), status)


def _algorithms(ring: Keyring) -> Iterator[Forgery]:
    """The header names an algorithm that is not ours, whatever the signature is."""
    body = pack(json.dumps(claims()).encode())
    good = token(ring.ed, ED, claims()).split(".")[2]
    wrong: list[Any] = [
        "none", "None", "NONE", "nOnE", "", "null", None, 0, True, ["none"], ["RS256"], {"a": 1},
        "rs256", "RS256 ", " RS256", "RS256\u0000", "eddsa", "ed25519", "EDDSA", "RS384", "RS512",
        "PS256", "PS512", "ES256", "ES384", "ES512", "ES256K", "Ed448", "HS256", "HS384", "HS512",
        "dir", "A128KW", "RSA-OAEP", "RSA1_5", "PBES2-HS256+A128KW", "ECDH-ES", "sha256", "MD5",
    ]  # fmt: skip
    for alg in wrong:
        head = pack(json.dumps({"alg": alg, "kid": "ed", "typ": "JWT"}).encode())
        yield _bearer(f"alg {alg!r} with a good token's signature", f"{head}.{body}.{good}")
    for alg in ("none", "None", "NONE", "nOnE"):
        head = pack(json.dumps({"alg": alg, "kid": "ed"}).encode())
        yield _bearer(f"alg {alg} without a signature", f"{head}.{body}.")
        yield _bearer(f"alg {alg} with one byte", f"{head}.{body}.AA")
    head = pack(json.dumps({"kid": "ed"}).encode())
    yield _bearer("no alg at all", f"{head}.{body}.{good}")


def _confusion(ring: Keyring) -> Iterator[Forgery]:
    """What everybody knows of a public key is used as an HMAC's secret."""
    public = ring.rsa.public_key()
    pem, der = serialization.Encoding.PEM, serialization.Encoding.DER
    info, pkcs1 = (
        serialization.PublicFormat.SubjectPublicKeyInfo,
        serialization.PublicFormat.PKCS1,
    )
    secrets = {
        "its PEM": public.public_bytes(pem, info),
        "its PEM stripped": public.public_bytes(pem, info).strip(),
        "its PKCS1 PEM": public.public_bytes(pem, pkcs1),
        "its DER": public.public_bytes(der, info),
        "its modulus": unpack(ring.public("rsa")["n"]),
        "its modulus as text": ring.public("rsa")["n"].encode(),
        "its JWK": json.dumps(ring.public("rsa")).encode(),
        "the whole JWKS": json.dumps(ring.jwks()).encode(),
        "its kid": b"rsa",
        "nothing": b"",
    }
    for what, secret in secrets.items():
        for alg, digest in (("HS256", hashlib.sha256), ("HS512", hashlib.sha512)):
            header = {**RS, "alg": alg}
            yield _bearer(f"{alg} by {what}", token(secret, header, claims(), digest))
        yield _bearer(f"HMAC by {what}, called RS256", token(secret, RS, claims()))
    raw = unpack(ring.public("ed")["x"])
    yield _bearer("HS256 by the Ed25519 key's bytes", token(raw, {**ED, "alg": "HS256"}, claims()))
    yield _bearer("HMAC by the Ed25519 key's bytes, called EdDSA", token(raw, ED, claims()))
    yield _bearer("Ed25519 under the RSA key's kid", token(ring.ed, {**ED, "kid": "rsa"}, claims()))
    yield _bearer(
        "RS256 under the Ed25519 key's kid", token(ring.rsa, {**RS, "kid": "ed"}, claims())
    )
    yield _bearer("Ed25519 called RS256", token(ring.ed, {**ED, "alg": "RS256"}, claims()))
    yield _bearer("RS256 called EdDSA", token(ring.rsa, {**RS, "alg": "EdDSA"}, claims()))


def _foreign_keys(ring: Keyring) -> Iterator[Forgery]:
    """Signed well, by a key that is not the issuer's; the header says where to find it."""
    evil = "https://evil.test/jwks.json"
    own = {"kty": "OKP", "crv": "Ed25519", "x": pack(ring.stranger.public_key().public_bytes_raw())}
    hints: dict[str, dict[str, Any]] = {
        "and no hint": {},
        "in jwk": {"jwk": own},
        "in jwk with the issuer's kid": {"jwk": {**own, "kid": "ed"}},
        "at jku": {"jku": evil},
        "at jku on the issuer's host": {"jku": f"{ISSUER}@evil.test/"},
        "at jku in a file": {"jku": "file:///etc/passwd"},
        "at jku as data": {"jku": "data:application/json,{}"},
        "at x5u": {"x5u": evil},
        "in x5c": {"x5c": ["MIIB"]},
        "at jku, critical": {"jku": evil, "crit": ["jku"]},
        "named by a thumbprint": {"x5t#S256": "c3R1ZmY"},
    }
    for what, hint in hints.items():
        yield _bearer(f"another key {what}", token(ring.stranger, {**ED, **hint}, claims()))
    kids: list[Any] = [
        "other", "", None, 0, 1.5, True, [], ["ed"], {"kid": "ed"}, "ED", "ed ", " ed", "ed\u0000",
        "../../../../dev/null", "/dev/null", "file:///dev/null", evil, "' OR '1'='1",
        "ed' UNION SELECT 'x", "ed;ls", "$(id)", "k" * 300, "\ud800", "*", "%65%64",
    ]  # fmt: skip
    for kid in kids:
        yield _bearer(f"another key, kid {kid!r:.40}", token(
            ring.stranger, {**ED, "kid": kid}, claims()
        ))  # fmt: skip
    yield _bearer("another RSA key", token(ring.stranger_rsa, RS, claims()))
    yield _bearer("no kid", token(ring.ed, {"alg": "Ed25519"}, claims()))
    yield _bearer("an empty secret under the oct key's kid", token(
        b"", {"alg": "HS256", "kid": "oct"}, claims()
    ))  # fmt: skip
    yield _bearer("a retired key", token(ring.retired, {**ED, "kid": "retired"}, claims()))


def _unusable_keys(ring: Keyring) -> Iterator[Forgery]:
    """Signed well by keys that stand in the issuer's own set, but not for this."""
    for kid, key, alg in (
        ("weak", ring.weak, "RS256"),
        ("for-encryption", ring.other_rsa, "RS256"),
        ("for-signing", ring.other_rsa, "RS256"),
        ("for-rs512", ring.other_rsa, "RS256"),
        ("leaked", ring.leaked, "Ed25519"),
        ("leaked", ring.leaked, "EdDSA"),
        ("ed448", ring.ed448, "EdDSA"),
        ("ed448", ring.ed448, "Ed448"),
        ("ec", ring.ec, "ES256"),
        ("oct", ring.oct, "HS256"),
    ):
        yield _bearer(f"the key {kid} by {alg}", token(key, {"alg": alg, "kid": kid}, claims()))
    yield _bearer("RS512 by the key for it", token(
        ring.other_rsa, {"alg": "RS512", "kid": "for-rs512"}, claims(), hashes.SHA512()
    ))  # fmt: skip


def _headers(ring: Keyring) -> Iterator[Forgery]:
    """The issuer's own signature, over a header that asks for something else than checking it."""
    more: dict[str, dict[str, Any]] = {
        "crit exp": {"crit": ["exp"]},
        "crit empty": {"crit": []},
        "crit alg": {"crit": ["alg"]},
        "crit unknown": {"crit": ["http://evil.test"], "http://evil.test": 1},
        "b64 true": {"b64": True},
        "b64 false": {"b64": False},
        "b64 false, critical": {"b64": False, "crit": ["b64"]},
        "zip DEF": {"zip": "DEF"},
        "enc": {"enc": "A128GCM"},
        "cty JWT": {"cty": "JWT"},
        "a member nobody knows": {"x": 1},
        "jku of the issuer": {"jku": f"{ISSUER}/jwks"},
        "claims in the header": {"iss": ISSUER},
    }
    for what, members in more.items():
        yield _bearer(f"header with {what}", token(ring.ed, {**ED, **members}, claims()))
    types: list[Any] = [
        "JWE", "dpop+jwt", "logout+jwt", "secevent+jwt", "JOSE", "", None, 1, ["JWT"], "at+jwt ",
    ]  # fmt: skip
    for typ in types:
        yield _bearer(f"typ {typ!r}", token(ring.ed, {**ED, "typ": typ}, claims()))
    raw: dict[str, bytes] = {
        "alg twice": b'{"alg":"none","alg":"Ed25519","kid":"ed"}',
        "kid twice": b'{"alg":"Ed25519","kid":"other","kid":"ed"}',
        "a list": b'["Ed25519","ed"]',
        "a text": b'"Ed25519"',
        "null": b"null",
        "no JSON": b"Ed25519",
        "nothing but blanks": b"  ",
        "two documents": b'{"alg":"Ed25519","kid":"ed"}{}',
        "not UTF-8": b'{"alg":"Ed25519","kid":"ed","x5t":"\xff"}',
        "UTF-16": '{"alg":"Ed25519","kid":"ed"}'.encode("utf-16"),
        "a BOM": b'\xef\xbb\xbf{"alg":"Ed25519","kid":"ed"}',
        "NaN": b'{"alg":"Ed25519","kid":"ed","x5t":NaN}',
        "deep nesting": b'{"alg":"Ed25519","kid":"ed","x5t":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    }
    for what, header in raw.items():
        yield _bearer(f"header: {what}", token(ring.ed, header, claims()))


def _claims(ring: Keyring) -> Iterator[Forgery]:
    """The issuer's own signature, over claims that let nobody in here, or not now, or not there."""
    now = int(time.time())
    wrong: dict[str, list[Any]] = {
        "exp": [None, now - 60, now - 31, 0, -1, "2099", str(now + 60), True, [now + 60], {},
                now * 1000, 1e300, 10**30, now + 400 * 86_400],
        "nbf": [now + 60, now + 10**9, "soon", True, [0], {}],
        "iat": [now + 60, "now", True, [now], {}],
        "iss": [None, "", f"{ISSUER}/", ISSUER.upper(), ISSUER[:-1], "https://evil.test", [ISSUER],
                1, {}, "urn:peerview:development", f"{ISSUER} ", f" {ISSUER}"],
        "aud": [None, "", "other", "peerview2", "PEERVIEW", "peer", [], ["other"], [AUDIENCE, 1], 1,
                {AUDIENCE: 1}, [[AUDIENCE]], "peerview other", True],
        "sub": [None, "", [], 1, {}, "s" * 300, "a\nb", "a\u0000b", True, "\ud800"],
        "scope": [{}, 1, True, [1], ["ingest:write", None], {"ingest:write": 1}],
        "practices": [{}, 1, True, [1], [[PRACTICE]], {PRACTICE: True}],
        "roles": [{}, 1, [None]],
        "system": [1, ["emis"], {}, True, "a\nb", "s" * 300],
    }  # fmt: skip
    for claim, values in wrong.items():
        for value in values:
            made = claims(**{claim: value})
            yield _bearer(f"claim {claim} {value!r:.40}",
                          token(ring.ed, ED, made))  # fmt: skip
    scopes = [
        "", "other", "ingest", "ingest:", "ingest:writes", "INGEST:WRITE", "ingest:read", "*",
        "ingest:write,share:read", "ingest:*", "share:read release:operate",
    ]  # fmt: skip
    for scope in scopes:
        made = {**claims(), "scope": scope}
        yield _bearer(f"scope {scope!r}", token(ring.ed, ED, made), 403)
    yield _bearer("no scope", token(ring.ed, ED, claims(scope=None)), 403)
    yield _bearer("scope under another name", token(
        ring.ed, ED, claims(scope=None, scopes="ingest:write", scp=["ingest:write"])
    ), 403)  # fmt: skip
    practices = {
        "no practices": None,
        "an empty list of practices": [],
        "an empty text of practices": "",
    }
    for what, value in practices.items():
        yield _bearer(what, token(ring.ed, ED, claims(practices=value)), 403)


def _payloads(ring: Keyring) -> Iterator[Forgery]:
    good = json.dumps(claims())[1:-1]
    raw: dict[str, bytes] = {
        "exp twice": f'{{{good},"exp":{int(time.time()) + 9_000}}}'.encode(),
        "practices twice": f'{{{good},"practices":["B99003"]}}'.encode(),
        "a member twice, deep inside": f'{{{good},"x":{{"a":1,"a":2}}}}'.encode(),
        "exp NaN": f"{{{good.replace(str(claims()['exp']), 'NaN')}}}".encode(),
        "exp Infinity": f"{{{good.replace(str(claims()['exp']), 'Infinity')}}}".encode(),
        "exp 1e400": f"{{{good.replace(str(claims()['exp']), '1e400')}}}".encode(),
        "exp of 5,000 digits": f"{{{good.replace(str(claims()['exp']), '9' * 5_000)}}}".encode(),
        "a list": f"[{{{good}}}]".encode(),
        "a text": json.dumps(good).encode(),
        "null": b"null",
        "a number": b"1",
        "an empty object": b"{}",
        "no JSON": good.encode(),
        "not UTF-8": f'{{{good},"x":"'.encode() + b'\xff"}',
        "compressed": zlib.compress(f"{{{good}}}".encode()),
        "two documents": f"{{{good}}}{{{good}}}".encode(),
        "deep nesting": f'{{{good},"x":'.encode() + b"[" * 5_000 + b"]" * 5_000 + b"}",
    }
    for what, payload in raw.items():
        yield _bearer(f"payload: {what}", token(ring.ed, ED, payload))
    inner = token(ring.ed, ED, claims())
    yield _bearer("payload: another token", token(ring.ed, {**ED, "cty": "JWT"}, inner.encode()))


def _signatures(ring: Keyring) -> Iterator[Forgery]:
    good = token(ring.ed, ED, claims())
    head, body, signature = good.split(".")
    bytes_of = unpack(signature)
    for place in (0, 15, 31, 32, 48, 63):
        flipped = bytearray(bytes_of)
        flipped[place] ^= 1
        yield _bearer(f"Ed25519: bit flipped in byte {place}", f"{head}.{body}.{pack(flipped)}")
    s = int.from_bytes(bytes_of[32:], "little")
    malleable = bytes_of[:32] + (s + ED25519_ORDER).to_bytes(32, "little")
    others: dict[str, bytes] = {
        "S plus the order": malleable,
        "zeros": bytes(64),
        "ones": b"\xff" * 64,
        "a small-order point": b"\x01" + bytes(63),
        "too short": bytes_of[:-1],
        "too long": bytes_of + b"\0",
        "twice": bytes_of * 2,
        "of the body alone": ring.ed.sign(body.encode()),
        "of nothing": ring.ed.sign(b""),
        "of another token": unpack(token(ring.ed, ED, claims(sub="x")).split(".")[2]),
    }
    for what, data in others.items():
        yield _bearer(f"Ed25519: {what}", f"{head}.{body}.{pack(data)}")
    rs = token(ring.rsa, RS, claims())
    text, rs_signature = rs.rsplit(".", 1)
    n = ring.rsa.public_key().public_numbers().n
    value = int.from_bytes(unpack(rs_signature))
    rsa_others: dict[str, bytes] = {
        "zero": bytes(256),
        "one": (1).to_bytes(256),
        "n minus one": (n - 1).to_bytes(256),
        "plus n": (value + n).to_bytes(257),
        "a zero byte before": b"\0" + unpack(rs_signature),
        "a byte less": unpack(rs_signature)[:-1],
        "by SHA-512": sign(ring.rsa, text.encode(), hashes.SHA512()),
        "by SHA-384": sign(ring.rsa, text.encode(), hashes.SHA384()),
        "by PSS": ring.rsa.sign(
            text.encode(), padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()
        ),
    }
    for what, data in rsa_others.items():
        yield _bearer(f"RS256: {what}", f"{text}.{pack(data)}")
    widened = pack(json.dumps(claims(practices=["B99003", PRACTICE])).encode())
    yield _bearer("changed claims", f"{head}.{widened}.{signature}")
    for place in (1, 9, len(body) // 2, len(body) - 2):
        swapped = body[:place] + ("A" if body[place] != "A" else "B") + body[place + 1 :]
        yield _bearer(f"claims changed at {place}", f"{head}.{swapped}.{signature}")
    yield _bearer("another header before the claims",
                  f"{rs.split('.')[0]}.{body}.{signature}")  # fmt: skip


def _shapes(ring: Keyring) -> Iterator[Forgery]:
    good = token(ring.ed, ED, claims())
    head, body, signature = good.split(".")
    last = signature[:-1] + {"A": "B", "Q": "R", "g": "h", "w": "x"}[signature[-1]]
    texts = {
        "empty": "",
        "a word": "abc",
        "two parts": f"{head}.{body}",
        "four parts": f"{good}.{signature}",
        "five parts, as a JWE": f"{good}.{body}.{signature}",
        "no header": f".{body}.{signature}",
        "no claims": f"{head}..{signature}",
        "no signature": f"{head}.{body}.",
        "dots alone": "..",
        "parts in another order": f"{body}.{head}.{signature}",
        "padded": f"{head}=.{body}.{signature}",
        "padded signature": f"{good}==",
        "other last bits of the signature": f"{head}.{body}.{last}",
        "the other base64 alphabet": f"{head}.{body}.{signature[:-2]}+/",
        "blanks inside": f"{head}. {body}.{signature}",
        "a tab inside": f"{head}.\t{body}.{signature}",
        "quoted": f'"{good}"',
        "percent-encoded": good.replace(".", "%2E"),
        "JSON serialization": json.dumps(
            {"protected": head, "payload": body, "signature": signature}
        ),
        "two tokens": f"{good} {good}",
        "two tokens by a comma": f"{good},{good}",
        "followed by a parameter": f'{good}, realm="x"',
        "17,000 letters": "a" * 17_000,
        "too long, though all is true": token(
            ring.ed, ED, claims(scope=["ingest:write", *map(str, range(4_000))])
        ),
        "a claim of 17,000 letters": token(ring.ed, ED, claims(name="n" * 17_000)),
        "a signature of 17,000 letters": f"{head}.{body}.{'A' * 17_000}",
        "full-width letters": good[:10] + "\uff41" + good[11:],
        "a no-break space": f"{head}.\u00a0{body}.{signature}",
    }
    for what, text in texts.items():
        yield _bearer(f"shape: {what}", text)
    schemes = {
        "no header": (),
        "no scheme": (("Authorization", good),),
        "Basic": (("Authorization", f"Basic {good}"),),
        "DPoP": (("Authorization", f"DPoP {good}"),),
        "Token": (("Authorization", f"Token {good}"),),
        "BearerX": (("Authorization", f"BearerX {good}"),),
        "Bearer and nothing": (("Authorization", "Bearer"),),
        "Bearer twice": (("Authorization", f"Bearer Bearer {good}"),),
        "a colon": (("Authorization", f"Bearer: {good}"),),
        "two headers": (("Authorization", f"Bearer {good}"), ("Authorization", f"Bearer {good}")),
        "a good one after a bad": (
            ("Authorization", "Bearer x.y.z"),
            ("Authorization", f"Bearer {good}"),
        ),
        "in another header": (("X-Authorization", f"Bearer {good}"),),
        "in a proxy's header": (("Proxy-Authorization", f"Bearer {good}"),),
        "in a cookie": (("Cookie", f"access_token={good}; Authorization=Bearer {good}"),),
    }
    for what, headers in schemes.items():
        yield Forgery(f"scheme: {what}", headers)


def _practices(ring: Keyring) -> Iterator[Forgery]:
    """A good token, for another practice than the one it is used for."""
    good = ("Authorization", f"Bearer {token(ring.ed, ED, claims())}")
    supplier = token(ring.ed, ED, claims(practices=["A99001", "A99002"]))
    many = ("Authorization", f"Bearer {supplier}")
    for what, named, status in (
        ("another practice", "B99003", 403),
        ("another practice of the same length", "A99003", 403),
        ("lower case", PRACTICE.lower(), 400),
        ("a list", f"{PRACTICE},B99003", 400),
        ("a wildcard", "*", 400),
        ("nothing", "", 400),
        ("a path", f"{PRACTICE}/../B99003", 400),
        ("an Arabic digit", "A9900\u0661", 400),
    ):
        yield Forgery(f"ODS-Code: {what}", (good, ("ODS-Code", named)), status)
        yield Forgery(f"a supplier's ODS-Code: {what}", (many, ("ODS-Code", named)), status)
    yield Forgery("ODS-Code twice", (many, ("ODS-Code", "A99001"), ("ODS-Code", "B99003")))
    yield Forgery("a supplier names no practice", (many,), 400)
    for practice in ("*", "A9900", "a99001", f"{PRACTICE}\n", "A99001 "):
        made = ("Authorization", f"Bearer {token(ring.ed, ED, claims(practices=[practice]))}")
        yield Forgery(
            f"a token for {practice!r}, used for a practice", (made, ("ODS-Code", PRACTICE)), 403
        )
