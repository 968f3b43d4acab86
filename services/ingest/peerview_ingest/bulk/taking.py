"""The groups of one request, taken one after the other."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from peerview_ingest.bulk.holding import Holding
from peerview_ingest.bulk.lines import Group
from peerview_ingest.bulk.reading import read_lines
from peerview_ingest.fhir import Issue, Outcome
from peerview_ingest.receipt import SubmissionReceipt
from peerview_ingest.submission import Ingest, Sender, Submitted

AT_ONCE: Final = 3
"""Groups in work at once, of all requests: a parsed group takes some ten times its bytes."""


@dataclass(frozen=True, slots=True)
class Part:
    """What became of one group, all of it committed."""

    receipt: SubmissionReceipt
    issues: list[tuple[int | None, Issue]]
    """Errors of what was refused and warnings of what was taken, with their lines."""


class Taking:
    """Shared by all requests of a process."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest
        self._room = asyncio.Semaphore(AT_ONCE)

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
            async with self._room:
                done = await self._ingest.submit(
                    sender,
                    partial(read_lines, lines=group.lines, longest=longest),
                    size=group.size,
                    submission=submission,
                    also=holding.with_group(group) if holding else None,
                )
            if holding:
                holding.next_line = group.after
            part = Part(done.receipt, _issues(done))
            del group, done  # not kept while the next is read
            yield part


def _issues(done: Submitted) -> list[tuple[int | None, Issue]]:
    return [
        (line, issue)
        for line, read in done.reads
        for issue in read.issues
        if issue.severity == ("error" if read.outcome is Outcome.REJECTED else "warning")
    ]
