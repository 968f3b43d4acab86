"""Dead letters: what could not be worked off, in a form that can be sent again."""

from collections.abc import Sequence

import msgspec

from peerview_common import changes
from peerview_common.changes import ChangeSet, PatientChange
from peerview_common.cloudevents import Headers, header
from peerview_compute.engine.lanes import Item

_REASON_CHARS = 300


def reason_of(error: BaseException) -> str:
    """Why, without the data: an exception's text may quote what it could not take."""
    text = str(error) if isinstance(error, ValueError | msgspec.MsgspecError) else ""
    return f"{type(error).__name__}: {text}"[:_REASON_CHARS]


def dead_letter(
    key: bytes,
    value: bytes | None,
    original: Sequence[tuple[str, bytes]],
    *,
    reason: str,
    stage: str,
    partition: int,
    offset: int,
) -> Item:
    """A record of ``practice.changes.dlq``: headers as the original's, and what went wrong."""
    kept: Headers = [(name, content) for name, content in original if content is not None]
    kept.extend(
        (name, text.encode())
        for name, text in (
            ("reason", reason),
            ("stage", stage),
            ("source-partition", str(partition)),
            ("source-offset", str(offset)),
        )
    )
    return Item(key, value if value is not None else b"", kept)


def part_of(whole: ChangeSet, part: PatientChange) -> bytes:
    """The change set with this patient's part alone."""
    return changes.encode(msgspec.structs.replace(whole, patients=[part]))


def part_of_tick(practice: str, patient: bytes, headers: Sequence[tuple[str, bytes]]) -> bytes:
    """A part without facts: sent again, it changes nothing and has the patient evaluated."""
    nothing = PatientChange(patient, 0, False, [])
    source = header(headers, "ce_source") or ""
    return changes.encode(ChangeSet(changes.FORMAT, practice, source, "", 0, 0, "", [nothing]))
