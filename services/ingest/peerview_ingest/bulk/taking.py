"""The groups of one request, taken one after the other."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from functools import partial

from peerview_ingest.bulk.holding import Holding
from peerview_ingest.bulk.lines import Group
from peerview_ingest.bulk.reading import read_lines
from peerview_ingest.fhir import Issue, Outcome
from peerview_ingest.receipt import SubmissionReceipt
from peerview_ingest.submission import Ingest, Sender, Submitted


@dataclass(frozen=True, slots=True)
class Part:
    """What became of one group, all of it committed."""

    receipt: SubmissionReceipt
    issues: list[tuple[int | None, Issue]]
    """Errors of what was refused and warnings of what was taken, with their lines."""


class Taking:
    """Shared by all requests of a process: one group is in work at a time.

    A parsed group takes some ten times its bytes, and more threads than one only wait for each
    other: six senders in turn are faster than at once.
    """

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest
        self._turn = asyncio.Lock()

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
            async with self._turn:
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
