"""Pseudonyms: the only place where an identifier becomes a key.

``HmacKeys`` is what the service uses; ``ClearKeys`` keeps ids as they are, for evaluation on a
machine that holds the records anyway.
"""

import hashlib
import hmac
import re
import uuid
from typing import Final, Protocol

from peerview_common.ids import PATIENT_KEY_BYTES

GP_BYTES: Final = 8
MASTER_BYTES: Final = 32

# Up to nine decimal digits, with dashes, behind one letter at most; or hexadecimal too long for a
# name. Two letters are enough for one ("Jo-1950"), and three hexadecimal digits ("Ada"); ten digits
# are an NHS number, eleven a telephone's.
_TECHNICAL: Final = re.compile(r"[A-Za-z]?[0-9](-*[0-9]){0,8}|[0-9A-Fa-f]{16,64}", re.ASCII)
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_DIGITS: Final = re.compile(r"[0-9]{10,}", re.ASCII)
_NHS_WEIGHTS: Final = range(10, 1, -1)


def issuable(digits: str) -> bool:
    """Whether it is a valid NHS number of the ranges that are, or were meant to be, issued: none
    begins with 0, 1 or 2, as numbers that count seconds or milliseconds do."""
    return is_nhs_number(digits) and digits[0] >= "3"


class Keys(Protocol):
    version: int
    """Of the practice's keys: another one gives everything another key."""

    def patient(self, source: str, id_text: str) -> bytes:
        """The key of a patient of a source system."""

    def gp(self, text: str) -> bytes:
        """8 bytes for a practitioner's reference or identifier."""

    def fact_id(self, text: str) -> str:
        """The id under which a resource's fact is kept; no person's identifier shows through."""

    def person(self, nhs_number: str) -> bytes:
        """16 bytes for the person behind an NHS number; empty where that is not kept."""


def is_nhs_number(digits: str) -> bool:
    """Ten digits whose last is the check digit (modulus 11)."""
    if len(digits) != 10 or not (digits.isascii() and digits.isdigit()):
        return False
    total = sum(weight * int(digit) for weight, digit in zip(_NHS_WEIGHTS, digits, strict=False))
    check = 11 - total % 11
    return check != 10 and check % 11 == int(digits[9])


def holds_nhs_number(text: str) -> bool:
    """Whether ten digits in a row make a valid NHS number, dashes and spaces between them or not.

    In a UUID the groups are looked at one by one: joined, they would hit by chance.
    """
    joined = text if _UUID.fullmatch(text) else text.replace("-", "").replace(" ", "")
    return any(
        is_nhs_number(run[start : start + 10])
        for run in _DIGITS.findall(joined)
        for start in range(len(run) - 9)
    )


def looks_technical(text: str) -> bool:
    """Whether an id was made by a machine: it may then stand in the log as it is."""
    made = _UUID.fullmatch(text) or _TECHNICAL.fullmatch(text)
    return bool(made) and not holds_nhs_number(text)


def derive(master: bytes, practice: str, purpose: str, version: int = 1) -> bytes:
    """One practice's key for one purpose: HKDF-SHA-256 (RFC 5869) with the practice as salt, and
    the purpose and the version of the practice's keys as info."""
    extracted = hmac.digest(practice.encode(), master, hashlib.sha256)
    info = f"peerview {purpose} v{version}".encode()
    return hmac.digest(extracted, info + b"\x01", hashlib.sha256)


class HmacKeys:
    """Keyed hashes under keys of the practice's own: equal people of two practices never match,
    nor do those of two versions of one practice's keys."""

    def __init__(self, master: bytes, practice: str, version: int = 1) -> None:
        if len(master) < MASTER_BYTES:
            raise ValueError(f"the master key must have at least {MASTER_BYTES} bytes")
        self.version = version

        def keyed(purpose: str) -> hmac.HMAC:
            key = derive(master, practice, purpose, version)
            return hmac.new(key, digestmod=hashlib.sha256)

        self._patient = keyed("patient")
        self._gp = keyed("gp")
        self._fact = keyed("fact")
        self._person = keyed("person")

    def patient(self, source: str, id_text: str) -> bytes:
        return _hash(self._patient, f"{len(source)}:{source}|{id_text}")[:PATIENT_KEY_BYTES]

    def gp(self, text: str) -> bytes:
        return _hash(self._gp, text)[:GP_BYTES]

    def fact_id(self, text: str) -> str:
        # in the form of a UUID, which takes half the room
        return text if looks_technical(text) else str(uuid.UUID(bytes=_hash(self._fact, text)[:16]))

    def person(self, nhs_number: str) -> bytes:
        return _hash(self._person, nhs_number)[:16]


class ClearKeys:
    """FHIR ids stay as they are: a patient's key is their id."""

    version = 1

    def patient(self, source: str, id_text: str) -> bytes:
        return id_text.encode("utf-8", "replace")

    def gp(self, text: str) -> bytes:
        return hashlib.sha256(text.encode("utf-8", "replace")).digest()[:GP_BYTES]

    def fact_id(self, text: str) -> str:
        return text.encode("utf-8", "replace").decode()

    def person(self, nhs_number: str) -> bytes:
        return b""


def _hash(keyed: hmac.HMAC, text: str) -> bytes:
    # a copy costs a third of a new HMAC: the key's two blocks are hashed already
    copy = keyed.copy()
    copy.update(text.encode("utf-8", "surrogatepass"))
    return copy.digest()
