"""An upload while a request sends it: held in the database, so that no other request does too.

The hold lapses by itself when the process dies, or when nothing arrives any more: whoever goes on
then overtakes a request that was only thought dead, and that one's next group is not remembered.
"""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from functools import partial
from types import TracebackType
from typing import Self

from sqlalchemy import Connection

from peerview_ingest.bulk.lines import Group
from peerview_ingest.bulk.uploads import Upload, Uploads
from peerview_ingest.fhir import Outcome
from peerview_ingest.receipt import Rejection
from peerview_ingest.submission import Also, Ingest, Submitted


class HeldError(Exception):
    """Another request sends this upload; its hold lapses in ``seconds`` unless that goes on."""

    def __init__(self, seconds: int) -> None:
        super().__init__("held")
        self.seconds = seconds


class Holding:
    """``async with``: raises HeldError. ``next_line`` is what was committed last, plus one."""

    def __init__(self, ingest: Ingest, uploads: Uploads, upload: Upload) -> None:
        self._ingest = ingest
        self._uploads = uploads
        self._lease_ms = round(ingest.settings.upload_lease_s * 1000)
        self._alive = True
        self._renewing: asyncio.Task[None] | None = None
        self.holder = str(uuid.uuid4())
        self.upload = upload
        self.next_line = upload.next_line

    async def __aenter__(self) -> Self:
        uploads, upload, holder = self._uploads, self.upload, self.holder
        now = self._ingest.now()

        def take() -> Upload | None:
            if not uploads.hold(upload.id, holder, now, now + self._lease_ms):
                return None
            # what was read before may have moved on until it was held
            return uploads.find(upload.id, upload.practice, upload.source, now)

        found = await self._ingest.in_thread(take)
        if found is None:
            left = max(0, upload.held_until - now) or self._lease_ms
            raise HeldError(max(1, -(-left // 1000)))
        self.upload, self.next_line = found, found.next_line
        self._renewing = asyncio.create_task(self._renew())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._renewing
        release = self._ingest.in_thread(lambda: self._uploads.release(self.upload.id, self.holder))
        await asyncio.shield(release)

    async def watched(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The chunks; while some arrive, the upload is held on."""
        async for chunk in chunks:
            self._alive = True
            yield chunk

    def with_group(self, group: Group) -> Also:
        """Counts the group's lines as done, in the transaction that remembers its facts."""

        def advance(connection: Connection, submitted: Submitted) -> None:
            self._uploads.advance(
                connection,
                self.upload.id,
                self.holder,
                expected=self.next_line,
                after=group.after,
                receipt=submitted.receipt,
                refusals=refusals(submitted),
                until=self._ingest.now() + self._lease_ms,
            )

        return advance

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._lease_ms / 3000)
            if not self._alive:
                continue
            self._alive = False
            until = self._ingest.now() + self._lease_ms
            renew = partial(self._uploads.renew, self.upload.id, self.holder, until)
            await self._ingest.in_thread(renew)


def refusals(submitted: Submitted) -> list[Rejection]:
    """Every reason for which something was refused, with its line."""
    return [
        Rejection(issue, line)
        for line, read in submitted.reads
        if read.outcome is Outcome.REJECTED
        for issue in read.issues
        if issue.severity == "error"
    ]
