"""The end of an upload, and of a practice's waiting for codes that were not kept before."""

from collections.abc import Collection

from peerview_common.problem import Problem
from peerview_ingest import backfill
from peerview_ingest.bulk.holding import Holding
from peerview_ingest.bulk.uploads import Upload, Uploads
from peerview_ingest.submission import Ingest, Sender


async def complete(
    ingest: Ingest,
    uploads: Uploads,
    sender: Sender,
    holding: Holding,
    *,
    lines: int | None,
    without: Collection[str] = (),
) -> list[str]:
    """Complete the upload that is held; of a full one, tell the log.

    ``backfill.completed`` says that all of a practice's facts are under one code list. So it waits
    for every other source of the practice that has sent under another, save those in ``without``,
    which send no more. Returns the sources that it waits for; the last of them to complete a full
    upload sends it. May be done again after anything that went wrong.
    """
    upload = holding.upload
    _check_lines(upload, lines)
    told = False
    to_come: list[str] = []
    if upload.full:
        _check_full(ingest, upload, lines)
        to_come = await ingest.in_thread(lambda: _noted(uploads, sender, upload))
        to_come = [source for source in to_come if source not in without]
        if not to_come:
            await backfill.completed(ingest.publisher, sender.practice, upload.codes, ingest.now())
            told = True
    await ingest.in_thread(
        lambda: uploads.complete(upload.id, holding.holder, ingest.now(), backfill=told)
    )
    return to_come


def _noted(uploads: Uploads, sender: Sender, upload: Upload) -> list[str]:
    # first noted, then asked: of two sources that end at once, one sees the other
    uploads.note_full(sender.practice, sender.source, upload.codes)
    return uploads.sources_to_come(sender.practice, upload.codes)


def _check_lines(upload: Upload, lines: int | None) -> None:
    for declared in (upload.lines, lines):
        if declared is not None and declared != upload.next_line - 1:
            raise Problem(
                409,
                "upload-incomplete",
                f"{upload.next_line - 1} lines are committed, {declared} were declared: "
                f"go on with line {upload.next_line}",
                next_line=upload.next_line,
            )


def _check_full(ingest: Ingest, upload: Upload, lines: int | None) -> None:
    if lines is None and upload.lines is None and upload.completed is None:
        raise Problem(
            400,
            "lines-needed",
            "a full upload must say how many lines it has, or a part could be taken for all",
        )
    if upload.codes != ingest.codes.version:
        raise other_code_list(upload, ingest)
    if not upload.counts["accepted"]:
        raise Problem(
            409, "nothing-accepted", "nothing of it was accepted: that is no full submission"
        )


def other_code_list(upload: Upload, ingest: Ingest) -> Problem:
    return Problem(
        409,
        "other-code-list",
        "the code list has changed since this full upload began, and with it what is kept: "
        "begin a new upload and send everything again",
        code_list=ingest.codes.version,
        began_with=upload.codes,
    )
