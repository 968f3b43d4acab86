"""Keys made once: a feed names the same patients and GPs again and again."""

import re
from typing import Final, TypeVar

from peerview_common.facts import pack_id
from peerview_ingest.fhir.keys import Keys

T = TypeVar("T")

MOST: Final = 50_000
"""Keys remembered at once of each kind."""

_PLAIN_UUID: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-(?![0-9a-f]{0,2}[0-9]{10})[0-9a-f]{12}",
    re.ASCII,
)


class KnownKeys:
    """The ``Keys`` of one source system, remembered for as long as a reader lives."""

    def __init__(self, keys: Keys, source: str) -> None:
        self._keys, self._source = keys, source
        self._patients: dict[str, bytes] = {}
        self._gps: dict[str, bytes] = {}

    def patient(self, id_text: str) -> bytes:
        found = self._patients.get(id_text)
        if found is None:
            found = self._keys.patient(self._source, id_text)
            remember(self._patients, id_text, found)
        return found

    def gp(self, text: str) -> bytes:
        found = self._gps.get(text)
        if found is None:
            found = self._keys.gp(text)
            remember(self._gps, text, found)
        return found

    def fact_id(self, text: str) -> tuple[bytes, bool]:
        """The id under which a fact is kept, packed, and whether it is the text as it is.

        Of a UUID in which no ten digits follow each other all keys say the same, at a cost.
        """
        if _PLAIN_UUID.fullmatch(text):
            return b"\0" + bytes.fromhex(text.replace("-", "")), True
        shown = self._keys.fact_id(text)
        return pack_id(shown), shown == text

    def person(self, nhs_number: str) -> bytes:
        return self._keys.person(nhs_number)


def remember(known: dict[str, T], text: str, key: T) -> None:
    """Nobody can make us remember for ever: of too many all are forgotten."""
    if len(known) >= MOST:
        known.clear()
    known[text] = key
