"""The end of a full drop: what it no longer has is deleted, unless that must wait for a person."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from peerview_common.facts import FHIR_NAMES
from peerview_ingest import backfill
from peerview_ingest.bulk.uploads import Uploads
from peerview_ingest.extracts.index import DropIndex, Vanished
from peerview_ingest.extracts.resources import RESOURCES
from peerview_ingest.extracts.versions import Mark, Standing, Version, deletion
from peerview_ingest.fhir import Read
from peerview_ingest.publisher import Position
from peerview_ingest.submission import Ingest, Sender, Submitted

DELETED_AT_ONCE: Final = 2_000


@dataclass
class Ending:
    """``codes`` is the version of the code list that the drop's rows came under."""

    ingest: Ingest
    index: DropIndex
    sender: Sender
    standing: Standing
    codes: str
    tables: Sequence[str]
    submission: str
    through: int = 0
    """Up to when the feed was known to be whole before."""
    position: Position | None = None
    """Of the last record sent."""

    async def vanished(self) -> dict[str, Vanished]:
        """By table: what earlier drops held, and how much of it this one does not."""
        sender, standing = self.sender, self.standing
        found = await self.ingest.in_thread(
            lambda: self.index.vanished(sender.practice, sender.source, standing)
        )
        return {
            name: found[FHIR_NAMES[RESOURCES[name]]]
            for name in self.tables
            if FHIR_NAMES[RESOURCES[name]] in found
        }

    async def carry_out(self) -> dict[str, Any]:
        """Delete what vanished, say that the feed is whole up to the end of the day, and that a
        full submission has ended.

        Gives how many records of which table were deleted, and the other sources of the practice
        that its back-fill waits for. Does no harm when it is done again.
        """
        deleted = {name: await self._delete(FHIR_NAMES[RESOURCES[name]]) for name in self.tables}
        await self.beat()
        ingest, sender = self.ingest, self.sender
        waits_for = await ingest.in_thread(self._sources_to_come)
        if not waits_for:
            await backfill.completed(ingest.publisher, sender.practice, self.codes, ingest.now())
        return {"deleted": deleted, "waits_for": waits_for}

    def _sources_to_come(self) -> list[str]:
        uploads = Uploads(self.ingest.store)
        # first noted, then asked: of two sources that end at once, one sees the other
        uploads.note_full(self.sender.practice, self.sender.source, self.codes)
        return uploads.sources_to_come(self.sender.practice, self.codes)

    async def beat(self) -> None:
        """All of the drop is there: the feed is whole up to the end of its day."""
        self.sent(
            await self.ingest.submit(
                self.sender,
                lambda _: [],
                beat=True,
                submission=self.submission,
                through=self.standing.day.end,
            )
        )

    def sent(self, done: Submitted) -> None:
        if done.receipt.positions:
            self.position = done.receipt.positions[-1]

    async def _delete(self, kind: int) -> int:
        """Delete what vanished of one type, page after page, each a submission of its own."""
        sender, standing = self.sender, self.standing
        deleted, after = 0, b""
        while True:
            last = after
            page = await self.ingest.in_thread(
                lambda last=last: self.index.page(  # type: ignore[misc]
                    sender.practice, sender.source, standing, kind, last, DELETED_AT_ONCE
                )
            )
            if not page:
                return deleted
            deleted += await self._delete_page(page)
            after = page[-1][0].key

    async def _delete_page(self, page: list[tuple[Mark, Version | None]]) -> int:
        reads: list[tuple[int | None, Read]] = [
            (None, deletion(mark, version, self.standing.day))
            for mark, version in page
            if version is not None and not version.deleted
        ]

        def also(connection: Connection, _: Submitted) -> None:
            self.index.forget(connection, [mark.key for mark, _ in page])

        done = await self.ingest.submit(
            self.sender,
            lambda _: reads,
            submission=self.submission,
            also=also,
            through=self.through,
        )
        self.sent(done)
        return len(reads)


def new_submission() -> str:
    return str(uuid.uuid4())
