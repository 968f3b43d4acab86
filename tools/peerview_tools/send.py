"""`peerview send`: files of FHIR records to ingest as one upload, which may be gone on with."""

import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import IO, Any, Final

from peerview_tools.client import Client, ServiceError
from peerview_tools.demo.steps import make_console
from peerview_tools.fhir_files import UnreadableFileError
from peerview_tools.sending import files as record_files
from peerview_tools.sending.files import Lines
from peerview_tools.sending.parts import parts
from peerview_tools.sending.refusals import Refusals
from peerview_tools.sending.showing import Showing
from peerview_tools.sending.state import State
from peerview_tools.sending.summary import tell
from peerview_tools.sending.transfer import GaveUpError, GoneError, Transfer

TIMEOUT_S: Final = 120.0
RESTARTS: Final = 3


class Exit(IntEnum):
    """What the command ends with."""

    DONE = 0
    REFUSED = 1
    """All was sent; some of it was refused."""
    WRONG = 2
    """It cannot be sent as it is: a file is not there, or is damaged."""
    NOT_FINISHED = 3
    """The same command goes on with it."""
    STOPPED = 130
    """By Ctrl-C; the same command goes on with it."""


@dataclass(frozen=True)
class Options:
    paths: Sequence[Path]
    url: str
    token: str
    practice: str | None = None
    full: bool = False
    without: Sequence[str] = ()
    report: Path | None = None
    anew: bool = False
    as_json: bool = False


def run(options: Options) -> int:
    """Returns an ``Exit``."""
    try:
        return _run(options)
    except KeyboardInterrupt:
        # outside of sending: the command line's own way would end with 1, as if all was sent
        print("peerview send: stopped", file=sys.stderr)
        return Exit.STOPPED


def _run(options: Options) -> int:
    console = make_console(stderr=True)
    began = time.monotonic()
    try:
        found = record_files.find(options.paths)
    except UnreadableFileError as error:
        print(f"peerview send: {error}", file=sys.stderr)
        return Exit.WRONG
    state, unusable = State.of(options.url, options.practice, found, full=options.full)
    if options.anew:
        state.anew()
    elif unusable:
        console.print(f"An upload of these files was left unfinished, but {unusable}: begun anew.")
    headers = {"ODS-Code": options.practice} if options.practice else {}
    with (
        Client(options.url, lambda: options.token, timeout=TIMEOUT_S, headers=headers) as client,
        Showing(console, sum(path.stat().st_size for path in found)) as showing,
        _opened(options.report, going_on=bool(state.upload)) as report,
    ):
        refused = Refusals(state.reasons, state.warnings, report, showing.say)
        transfer = Transfer(client, refused.take, showing.waiting, upload=state.upload)
        try:
            done = _all(options, found, state, transfer, refused, showing)
            reasons, warnings = Counter(state.reasons), Counter(state.warnings)
            if done["opted_in"]:
                _once_more(options, found, state, client, showing)
        except KeyboardInterrupt:
            return _left(showing, state, "Stopped", Exit.STOPPED)
        except UnreadableFileError as error:
            return _left(showing, state, f"A file is damaged: {error}", Exit.WRONG)
        except GaveUpError as error:
            return _left(showing, state, f"Given up: {error}", Exit.NOT_FINISHED)
        except (ServiceError, GoneError) as error:
            return _left(showing, state, f"Refused: {error}", Exit.NOT_FINISHED)
    tell(
        done,
        files=len(found),
        seconds=time.monotonic() - began,
        reasons=reasons,
        warnings=warnings,
        report=options.report,
        as_json=options.as_json,
    )
    return Exit.REFUSED if done["rejected"] else Exit.DONE


def _all(
    options: Options,
    found: Sequence[Path],
    state: State,
    transfer: Transfer,
    refused: Refusals,
    showing: Showing,
) -> dict[str, Any]:
    """What became of the upload, once it is completed."""
    for left in range(RESTARTS, -1, -1):
        try:
            if state.upload:
                before = int(transfer.status()["next_line"])
                showing.say(f"Going on with line {before:,} of upload {state.upload}.")
            else:
                transfer.begin(full=options.full)
                state.upload = transfer.upload
                state.save()
            lines = _send(found, state, transfer, refused, showing)
            done = transfer.complete(lines, options.without)
        except (GoneError, ServiceError) as error:
            if not left or not _must_begin_anew(error):
                raise
            showing.say("That upload cannot be gone on with any more: all is sent once again.")
            showing.again()
            state.anew()
        else:
            state.forget()
            return done
    raise AssertionError("the last try raises or returns")


def _once_more(
    options: Options, found: Sequence[Path], state: State, client: Client, showing: Showing
) -> None:
    """Send everything again: a patient's objection came before its withdrawal, and nothing that
    came before or between was kept. What is kept of everybody else is known, and costs little."""
    showing.say("Patients no longer object: all is sent once more, so that their records count.")
    showing.again()
    state.anew()
    heard = Refusals(Counter(), Counter(), lambda _: None, lambda _: None)
    _all(options, found, state, Transfer(client, heard.take, showing.waiting), heard, showing)


def _must_begin_anew(error: GoneError | ServiceError) -> bool:
    if isinstance(error, GoneError):
        return True
    return error.status == 404 or error.code == "other-code-list"


def _send(
    found: Sequence[Path],
    state: State,
    transfer: Transfer,
    refused: Refusals,
    showing: Showing,
) -> int:
    """Send every line that is not committed yet; returns how many there are in all."""
    known = {path: state.counts[str(path)] for path in found if str(path) in state.counts}
    status = transfer.status()
    next_line = int(status["next_line"])
    while True:
        lines = Lines(found, showing.read)
        lines.counts.update(known)
        if status["state"] == "completed":
            return next_line - 1
        showing.line(next_line)
        moved = False
        for part in parts(lines.from_line(next_line)):
            refused.part = part
            next_line = transfer.send(part)
            state.next_line = next_line
            state.counts = {str(path): count for path, count in lines.counts.items()}
            state.save()
            showing.line(next_line)
            if next_line != part.after:
                moved = True  # somebody else sent some of it: go on from where it is
                break
        if not moved:
            return sum(lines.counts.values())
        known = dict(lines.counts)
        showing.again()


def _opened(report: Path | None, *, going_on: bool) -> "_Report":
    return _Report(report, "a" if going_on else "w")


class _Report:
    """The file of refusals, where one was asked for; lines are on the disk as they come."""

    def __init__(self, path: Path | None, mode: str) -> None:
        self._file: IO[str] | None = path.open(mode) if path else None

    def __enter__(self) -> "_Report":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def __call__(self, found: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(found) + "\n")
            self._file.flush()


def _left(showing: Showing, state: State, why: str, code: Exit) -> int:
    showing.end()
    say = showing.say
    say(f"{why}.")
    if not state.upload:
        say("Nothing was sent.")
    elif code is Exit.WRONG:
        say(f"Lines before {state.next_line:,} are taken. Mend the file, then run this again.")
    else:
        say(
            f"Lines before {state.next_line:,} are taken and stay so. "
            "Run the same command again to go on from there."
        )
    return code
