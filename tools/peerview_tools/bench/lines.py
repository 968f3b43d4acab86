"""FHIR lines in bulk: a made-up practice's records over and over, each time with new ids."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from itertools import count
from typing import Final

from peerview_tools.simulator import PRACTICES, history

DAY: Final = date(2026, 4, 1)
PATIENTS: Final = 200
"""Patients of one round."""
CHUNK: Final = 65_536

_UUID = re.compile(r"[0-9a-f]{8}(?=-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})")


def templates(ods: str) -> list[tuple[str, ...]]:
    """The lines of one round, in pieces between which a round's eight digits go.

    Every id of a round begins with them, so references hold, and no two rounds share a patient.
    """
    who = replace(PRACTICES[1], ods=ods, size=PATIENTS)
    lines = (json.dumps(found, separators=(",", ":")) + "\n" for found in history(who, DAY))
    return [tuple(_UUID.split(line)) for line in lines]


def rounds(ods: str) -> Iterator[bytes]:
    """Rounds without end, each some 1.2 MB of 2,000 lines."""
    pieces = templates(ods)
    for number in count():
        with_ids = f"{number:08x}"
        yield "".join(with_ids.join(line) for line in pieces).encode()


def stream(ods: str, size: int) -> Iterator[bytes]:
    """At least ``size`` bytes, ended with a round, in chunks as a network brings them."""
    made = 0
    for block in rounds(ods):
        for start in range(0, len(block), CHUNK):
            yield block[start : start + CHUNK]
        made += len(block)
        if made >= size:
            return
