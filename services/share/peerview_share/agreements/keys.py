"""Ed25519: what a practice signs with a key of its own, and how that is proved.

What is signed is short canonical JSON (RFC 8785) that says what is meant, so that a signature made
for one thing proves nothing else.
"""

import base64
import binascii
from typing import Final

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64


class KeyProofError(Exception):
    """A key or a signature that is not one, or not of the right key."""


def terms_message(act: str, practice: str, agreement: str, version: int, terms_hash: str) -> bytes:
    """What is signed to sign an agreement (``act`` sign) or to ask to join it (join)."""
    return rfc8785.dumps(
        {
            "act": act,
            "agreement": agreement,
            "practice": practice,
            "termsHash": terms_hash,
            "version": version,
        }
    )


def admission_message(practice: str, agreement: str, version: int, admitted: str) -> bytes:
    """What is signed to agree to a practice that asks to join."""
    return rfc8785.dumps(
        {
            "act": "admit",
            "admitted": admitted,
            "agreement": agreement,
            "practice": practice,
            "version": version,
        }
    )


def key_message(practice: str, public_key: str) -> bytes:
    """What is signed to register a key: by that key itself, and by the one it replaces."""
    return rfc8785.dumps({"act": "register-key", "practice": practice, "publicKey": public_key})


def keep_message(practice: str, public_key: str) -> bytes:
    """What is signed to object to the revocation of a key, with that key."""
    return rfc8785.dumps({"act": "keep-key", "practice": practice, "publicKey": public_key})


def verify(public_key: str, signature: str, message: bytes) -> None:
    """``public_key`` and ``signature`` in base64. Raises KeyProofError."""
    key = Ed25519PublicKey.from_public_bytes(decoded(public_key, KEY_BYTES, "the public key"))
    try:
        key.verify(decoded(signature, SIGNATURE_BYTES, "the signature"), message)
    except InvalidSignature:
        raise KeyProofError("the signature was not made of this with the practice's key") from None


def decoded(text: str, length: int, what: str) -> bytes:
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise KeyProofError(f"{what} is not base64") from None
    if len(found) != length:
        raise KeyProofError(f"{what} has {len(found)} bytes, Ed25519 has {length}")
    return found
