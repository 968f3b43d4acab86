"""CloudEvents headers of many records: what they share is built once for each source record."""

import os
import random
import time
from datetime import UTC, datetime
from itertools import count

from peerview_common.cloudevents import Headers, new_traceparent

SOURCE = b"peerview/compute"
_RUN = os.urandom(8).hex()
_sequence = count()
_second: tuple[int, bytes] = (0, b"")
"""A second since 1970, and how ``ce_time`` says it: many records share one."""


def _time() -> bytes:
    global _second
    second, millis = divmod(time.time_ns() // 1_000_000, 1000)
    if _second[0] != second:
        moment = datetime.fromtimestamp(second, UTC)
        _second = (second, moment.strftime("%Y-%m-%dT%H:%M:%S").encode())
    return b"%b.%03d+00:00" % (_second[1], millis)


class HeaderFactory:
    """Headers of the records that one source record leads to: the same trace, time and subject."""

    __slots__ = ("_shared", "_types")

    def __init__(self, subject: str, traceparent: str | None = None) -> None:
        trace = traceparent if traceparent is not None and _sound(traceparent) else None
        if trace is not None:
            # our span, in the trace of whoever sent the source record
            trace = f"{trace[:36]}{random.getrandbits(64):016x}{trace[52:55]}"
        self._shared: Headers = [
            ("ce_specversion", b"1.0"),
            ("ce_source", SOURCE),
            ("ce_time", _time()),
            ("traceparent", (trace or new_traceparent()).encode()),
            ("ce_subject", subject.encode()),
        ]
        self._types: dict[str, Headers] = {}

    def of(self, event_type: str, content_type: str) -> Headers:
        """Headers of one more record: its id is new, all else is shared."""
        fixed = self._types.get(event_type)
        if fixed is None:
            fixed = self._types[event_type] = [
                *self._shared,
                ("ce_type", event_type.encode()),
                ("content-type", content_type.encode()),
            ]
        return [*fixed, ("ce_id", f"{_RUN}-{next(_sequence):x}".encode())]


def _sound(traceparent: str) -> bool:
    return len(traceparent) >= 55 and traceparent[35] == "-" and traceparent[52] == "-"
