"""An issuer with good keys, and with published keys that must not be used all the same."""

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from joserfc.jwk import ECKey, OctKey, OKPKey

from tests.ingest.builders import PRACTICE

ISSUER = "https://issuer.test/realm"
AUDIENCE = "peerview"
CANARY = "canary-7f3a91c2"
"""Stands in every token's claims: no answer and no log line may hold it."""


def pack(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unpack(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Keyring:
    """``ed`` and ``rsa`` are the issuer's working keys; the others are in its JWKS too."""

    def __init__(self) -> None:
        self.ed = ed25519.Ed25519PrivateKey.generate()
        self.rsa = rsa.generate_private_key(65_537, 2048)
        self.weak = rsa.generate_private_key(65_537, 1024)
        self.other_rsa = rsa.generate_private_key(65_537, 2048)
        self.leaked = ed25519.Ed25519PrivateKey.generate()
        self.retired = ed25519.Ed25519PrivateKey.generate()
        self.stranger = ed25519.Ed25519PrivateKey.generate()
        self.stranger_rsa = rsa.generate_private_key(65_537, 2048)
        self.ed448 = ed448.Ed448PrivateKey.generate()
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.oct = b"0123456789abcdef0123456789abcdef"

    def jwks(self) -> dict[str, Any]:
        def rsa_key(key: rsa.RSAPrivateKey, kid: str, **rest: Any) -> Any:
            n = key.public_key().public_numbers().n
            text = pack(n.to_bytes((n.bit_length() + 7) // 8))
            return {"kty": "RSA", "n": text, "e": "AQAB", "kid": kid} | rest

        def okp(key: Any, kid: str, **rest: Any) -> Any:
            return {**OKPKey.import_key(key.public_key()).as_dict(private=False), "kid": kid} | rest

        leaked = OKPKey.import_key(self.leaked).as_dict(private=True)
        return {
            "keys": [
                okp(self.ed, "ed", use="sig"),
                rsa_key(self.rsa, "rsa", use="sig", alg="RS256"),
                rsa_key(self.weak, "weak"),
                rsa_key(self.other_rsa, "for-encryption", use="enc"),
                rsa_key(self.other_rsa, "for-signing", key_ops=["sign"]),
                rsa_key(self.other_rsa, "for-rs512", alg="RS512"),
                {**leaked, "kid": "leaked"},
                okp(self.ed448, "ed448"),
                {**ECKey.import_key(self.ec.public_key()).as_dict(private=False), "kid": "ec"},
                {**OctKey.import_key(self.oct).as_dict(private=True), "kid": "oct"},
            ]
        }

    def write(self, path: Path) -> str:
        path.write_text(json.dumps(self.jwks()))
        return f"file:{path}"

    def public(self, kid: str) -> dict[str, Any]:
        found: dict[str, Any] = next(k for k in self.jwks()["keys"] if k["kid"] == kid)
        return found


def claims(**changed: Any) -> dict[str, Any]:
    """Those of a good token; ``None`` leaves a claim out."""
    now = int(time.time())
    found = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": f"feed-{CANARY}",
        "iat": now,
        "exp": now + 3_600,
        "scope": "ingest:write",
        "practices": [PRACTICE],
        "system": "emis",
        "name": f"The feed {CANARY}",
        **changed,
    }
    return {name: value for name, value in found.items() if value is not None}


def encoded(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def sign(key: Any, text: bytes, digest: Any = None) -> bytes:
    """RS256 or Ed25519 by the kind of key; HS256 for bytes; ES256 in its raw form."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(text, padding.PKCS1v15(), digest or hashes.SHA256())
    if isinstance(key, bytes):
        return hmac.digest(key, text, digest or hashlib.sha256)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

        r, s = decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)
    signature: bytes = key.sign(text)
    return signature


def token(key: Any, header: Any, body: Any, digest: Any = None) -> str:
    """``header`` and ``body`` as JSON values, or as bytes exactly as given."""
    text = f"{pack(encoded(header))}.{pack(encoded(body))}"
    return f"{text}.{pack(sign(key, text.encode(), digest))}"
