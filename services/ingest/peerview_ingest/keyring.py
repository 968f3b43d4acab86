"""The operator's master keys, and what each practice's keys derive from.

A practice's keys have versions. The database keeps of each version which master key it came from,
by a fingerprint, so that a service that is started with another master key refuses instead of
giving every patient a second pseudonym.
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final, NamedTuple

from peerview_ingest.fhir.keys import HmacKeys

FINGERPRINT_BYTES: Final = 8
FIRST_VERSION: Final = 1
FIRST_GENERATION: Final = 1


class KeyVersion(NamedTuple):
    """One version of a practice's keys."""

    version: int = FIRST_VERSION
    master: bytes = b""
    """The fingerprint of the master key that it derives from."""
    first_generation: int = FIRST_GENERATION
    """The generation at which patients begin under it: above all those of the version before."""


class PracticeKeys(NamedTuple):
    """What a practice's submissions are pseudonymised with now."""

    current: KeyVersion = KeyVersion()
    former: KeyVersion | None = None
    """During a re-keying: the version that is being left."""


class ForeignKeysError(Exception):
    """The practice's keys derive from a master key that this service was not given."""


def fingerprint(master: bytes) -> bytes:
    """Tells one master key from another, and nothing of either."""
    return hmac.digest(master, b"peerview master key", hashlib.sha256)[:FINGERPRINT_BYTES]


class PairingKeys(HmacKeys):
    """The new keys of a practice that is being re-keyed. Notes of every patient and every person
    that it is asked for what they were under the former ones."""

    def __init__(self, master: bytes, practice: str, version: int, former: HmacKeys) -> None:
        super().__init__(master, practice, version)
        self._former = former
        self.patients: dict[bytes, bytes] = {}
        """Former keys of patients by their new ones: the same id of the same source system."""
        self.persons: dict[bytes, bytes] = {}
        """Former hashes of NHS numbers by their new ones."""

    def patient(self, source: str, id_text: str) -> bytes:
        new = super().patient(source, id_text)
        if new not in self.patients:
            self.patients[new] = self._former.patient(source, id_text)
        return new

    def person(self, nhs_number: str) -> bytes:
        new = super().person(nhs_number)
        self.persons[new] = self._former.person(nhs_number)
        return new


@dataclass(frozen=True)
class _Master:
    key: bytes
    fingerprint: bytes


class Keyring:
    """The master key in use, and the one before it where practices are still to be re-keyed."""

    def __init__(self, master: bytes, previous: bytes | None = None) -> None:
        self._masters = [_Master(key, fingerprint(key)) for key in (master, previous) if key]
        self._made: dict[tuple[str, KeyVersion], HmacKeys] = {}

    @property
    def fingerprint(self) -> bytes:
        """Of the master key that new versions derive from."""
        return self._masters[0].fingerprint

    def knows(self, found: bytes) -> bool:
        return any(master.fingerprint == found for master in self._masters)

    def keys(self, practice: str, version: KeyVersion) -> HmacKeys:
        """Raises ForeignKeysError."""
        made = self._made.get((practice, version))
        if made is None:
            master = self._master(version)
            made = self._made[practice, version] = HmacKeys(master, practice, version.version)
        return made

    def pairing(self, practice: str, current: KeyVersion, former: KeyVersion) -> PairingKeys:
        """Fresh: what it notes of is one submission's. Raises ForeignKeysError."""
        old = self.keys(practice, former)
        return PairingKeys(self._master(current), practice, current.version, old)

    def _master(self, version: KeyVersion) -> bytes:
        for master in self._masters:
            if master.fingerprint == version.master:
                return master.key
        raise ForeignKeysError("the practice's keys derive from another master key")
