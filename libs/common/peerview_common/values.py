"""``indicator.values``: a practice's live figure for one indicator. Absolute, never a delta."""

from typing import Final, Literal

import msgspec

FORMAT: Final = 1

ValueState = Literal["current", "awaiting-backfill", "rekeying"]


class Position(msgspec.Struct, frozen=True):
    """The last record of ``practice.changes`` that the figure includes."""

    partition: int
    offset: int


class IndicatorValue(msgspec.Struct, frozen=True, kw_only=True):
    """JSON under the key ``PRACTICE/INDICATOR``. Met, miss, exception and excluded count patients;
    they, and the figure itself, are for the own practice only."""

    format: int = FORMAT
    practice: str
    indicator: str
    version: str
    definitions: str
    """Hash of the definitions and code list that gave it."""
    state: ValueState = "current"
    as_of: str
    """The day the figure is for, ``2026-03-31``."""
    data_through: str
    """ISO instant up to which the practice's feed is known to be whole."""
    denominator: int
    numerator: int
    met: int
    miss: int
    exception: int
    excluded: int
    objected: int
    """Patients of the practice with a type 1 opt-out, who are not counted."""
    source: Position


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(IndicatorValue)


def value_key(practice: str, indicator: str) -> bytes:
    return f"{practice}/{indicator}".encode()


def encode_value(value: IndicatorValue) -> bytes:
    return _encoder.encode(value)


def decode_value(data: bytes) -> IndicatorValue:
    """Raises ``msgspec.ValidationError`` or ``msgspec.DecodeError``."""
    return _decoder.decode(data)
