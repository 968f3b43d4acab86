"""The groups of one request, taken one after the other."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from peerview_ingest.bulk.holding import Holding
from peerview_ingest.bulk.lines import Group
from peerview_ingest.bulk.reading import read_lines
from peerview_ingest.fhir import Issue, Outcome, Read, Reader
from peerview_ingest.receipt import SubmissionReceipt
from peerview_ingest.submission import Ingest, Sender, Submitted


@dataclass(frozen=True, slots=True)
class Part:
    """What became of one group, all of it committed."""

    receipt: SubmissionReceipt
    issues: list[tuple[int | None, Issue]]
    """Errors of what was refused and warnings of what was taken, with their lines."""


AT_ONCE: Final = 3
"""Groups in work in a process. What one group takes in memory is so bounded."""


class Taking:
    """Shared by all requests of a process: whoever has waited longest has the next group taken.

    One group is read at a time: more threads than one would only wait for each other. But while it
    waits for the log, or for another replica that works on its practice, others' are read.
    """

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest
        self._places = asyncio.Semaphore(AT_ONCE)
        self._reading = threading.Lock()

    async def parts(
        self,
        sender: Sender,
        groups: AsyncIterator[Group],
        submission: str,
        holding: Holding | None = None,
    ) -> AsyncGenerator[Part, None]:
        """Raises what ``Ingest.submit`` does, and LostError."""
        longest = self._ingest.settings.max_body_bytes
        async for group in groups:
            if not group.lines and holding is None:
                continue
            async with self._places:
                done = await self._ingest.submit(
                    sender,
                    partial(self._read, lines=group.lines, longest=longest),
                    size=group.size,
                    submission=submission,
                    also=holding.with_group(group) if holding else None,
                )
            if holding:
                holding.next_line = group.after
            part = Part(done.receipt, _issues(done))
            del group, done  # not kept while the next is read
            yield part

    def _read(
        self, reader: Reader, lines: Sequence[tuple[int, bytes | None]], longest: int
    ) -> list[tuple[int | None, Read]]:
        with self._reading:
            return read_lines(reader, lines, longest)


def _issues(done: Submitted) -> list[tuple[int | None, Issue]]:
    return [
        (line, issue)
        for line, read in done.reads
        for issue in read.issues
        if issue.severity == ("error" if read.outcome is Outcome.REJECTED else "warning")
    ]
