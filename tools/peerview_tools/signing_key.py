"""A practice's Ed25519 key in a file, and what is signed with it."""

import base64
import json
import sys
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from peerview_share.agreements import keys
from peerview_tools.client import ServiceError


def load(file: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(file.read_bytes(), None)
    except OSError as error:
        raise ServiceError(0, f"cannot read {file}: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ServiceError(0, f"{file} is no private key in PEM without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ServiceError(0, f"{file} is not an Ed25519 key")
    return key


def make(file: Path) -> Ed25519PrivateKey:
    """A new key, in a file for its owner's eyes alone."""
    key = Ed25519PrivateKey.generate()
    try:
        file.touch(mode=0o600, exist_ok=False)
        file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    except OSError as error:
        raise ServiceError(0, f"cannot write {file}: {error.strerror}") from error
    return key


def public(key: Ed25519PrivateKey) -> str:
    return text(key.public_key().public_bytes_raw())


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def signature(file: Path, message: str) -> int:
    """Prints the signature in base64, and to standard error what it stands for.

    Signs what pages ask for and nothing else: 2 for any other message, so that nobody is led to
    sign something unread.
    """
    wanted = message.strip()
    said = meaning(wanted)
    if said is None:
        print(
            "peerview agreement: this is no message that a page asks a signature of. Copy it "
            "whole, from { to }",
            file=sys.stderr,
        )
        return 2
    key = load(file)
    print(f"With the key {public(key)}: {said}", file=sys.stderr)
    print(text(key.sign(wanted.encode())))
    return 0


def meaning(message: str) -> str | None:
    """What somebody says who signs this, in words; None for what is no message of `keys`."""
    try:
        found = json.loads(message)
    except ValueError:
        return None
    match found:
        case {
            "act": "sign" | "join" as act,
            "agreement": str(agreement),
            "practice": str(practice),
            "termsHash": str(terms),
            "version": int(version),
        }:
            whole = keys.terms_message(act, practice, agreement, version, terms)
            verb = "signs" if act == "sign" else "signs, and asks to join,"
            said = f"{practice} {verb} version {version} of {agreement}, terms {terms}"
        case {
            "act": "admit",
            "admitted": str(admitted),
            "agreement": str(agreement),
            "practice": str(practice),
            "version": int(version),
        }:
            whole = keys.admission_message(practice, agreement, version, admitted)
            said = f"{practice} agrees to {admitted} joining version {version} of {agreement}"
        case {"act": "keep-key", "practice": str(practice), "publicKey": str(public_key)}:
            whole = keys.keep_message(practice, public_key)
            said = f"{practice} objects to the revocation of its key {public_key}"
        case _:
            return None
    return said if whole == message.encode() else None
