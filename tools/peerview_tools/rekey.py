"""`peerview rekey`: new pseudonyms for a practice, over ingest's interface for operators."""

import sys
import time
from collections.abc import Callable
from typing import Any, Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from peerview_tools.client import Client, ServiceError
from peerview_tools.demo.steps import make_console

TIMEOUT_S: Final = 300.0
"""A turn of the practice may have to be waited for, and its index gone through."""
BUSY: Final = frozenset({429, 503})
ATTEMPTS: Final = 30
PAUSE_S: Final = 2.0


def begin(practice: str, *, url: str, token: str) -> int:
    with _client(url, token) as client:
        found = client.post(f"/v1/rekeyings/{practice}")
    _say(found)
    print("Now have the practice send everything, in full; then: peerview rekey finish")
    return 0


def status(practice: str, *, url: str, token: str) -> int:
    with _client(url, token) as client:
        _say(client.get(f"/v1/rekeyings/{practice}"))
    return 0


def cancel(practice: str, *, url: str, token: str) -> int:
    with _client(url, token) as client:
        _say(client.call("DELETE", f"/v1/rekeyings/{practice}"))
    return 0


def finish(
    practice: str,
    *,
    url: str,
    token: str,
    empty_unmatched: bool,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """0 when it has ended; 1 when former patients are unmatched and it was not said to empty them.
    What broke off, by a restart of ingest or of the log, is taken up again."""
    body = {"unmatched": "empty" if empty_unmatched else "refuse"}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    failed = 0
    with (
        _client(url, token) as client,
        Progress(*columns, console=make_console(stderr=True), transient=True) as progress,
    ):
        task = progress.add_task("joining patients", total=None)
        while True:
            try:
                found: dict[str, Any] = client.post(f"/v1/rekeyings/{practice}/finish", body)
            except ServiceError as error:
                if error.status == 409 and "unmatched" in (error.body or {}):
                    progress.stop()
                    _unmatched(error.body)
                    return 1
                failed += 1
                if error.status not in BUSY | {0} or failed >= ATTEMPTS:
                    raise
                pause(PAUSE_S)
                continue
            failed = 0
            done = found["joined"] + found["emptied"]
            progress.update(task, completed=done, total=found["patients"])
            if found["phase"] == "done":
                break
    _say(found)
    return 0


def _unmatched(body: dict[str, Any]) -> None:
    print(
        f"peerview rekey: {body['unmatched']} of {body['patients']} former patients are not "
        "matched by anything that was sent since. If everything has been sent, they have left: "
        "--empty-unmatched empties their records.",
        file=sys.stderr,
    )


def _say(found: dict[str, Any]) -> None:
    ended = f", ended {found['ended']}" if found["ended"] else ""
    print(
        f"{found['practice']}: keys of version {found['version']}, {found['phase']}, "
        f"begun {found['began']}{ended}"
    )
    if found["patients"]:
        print(
            f"former patients: {found['patients']}; matched {found['matched']} "
            f"(joined {found['joined']}), unmatched {found['unmatched']} "
            f"(emptied {found['emptied']})"
        )


def _client(url: str, token: str) -> Client:
    try:
        return Client(url, lambda: token, timeout=TIMEOUT_S)
    except ValueError as error:
        raise ServiceError(0, str(error)) from error
