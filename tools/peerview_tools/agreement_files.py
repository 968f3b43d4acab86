"""Agreements as files, without a service: write one, check one, compare two."""

import json
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from peerview_common.catalogue import catalogue
from peerview_share.agreements.checking import FaultyDocumentError, parse
from peerview_share.agreements.difference import difference
from peerview_share.agreements.document import Agreement


def draft(
    file: Path,
    *,
    parties: Sequence[str],
    network: str,
    identity: str | None,
    title: str,
    indicators: Sequence[str] | None,
    mode: str,
    valid_from: date | None,
) -> int:
    """Writes a document that has no fault, or none: 2 with the faults, 1 if the file is there."""
    named = [party.partition("=") for party in parties]
    start = valid_from or date.today()  # noqa: DTZ011 - a day as the author's calendar has it
    text = {
        "id": identity or network,
        "title": title,
        "parties": [{"odsCode": code, "name": name or code} for code, _, name in named],
        "network": {"id": network},
        "purposes": ["quality-improvement", "peer-review"],
        "dataItems": [{"indicatorId": name} for name in indicators or catalogue()],
        "peerIdentification": {"mode": mode},
        "validFrom": start.isoformat(),
    }
    document = _parsed(text, "nothing is written")
    if document is None:
        return 2
    try:
        with file.open("x") as out:
            json.dump(document.plain(), out, indent=2, ensure_ascii=False)
            out.write("\n")
    except FileExistsError:
        return _fail(f"{file} is there already", 1)
    except OSError as error:
        return _fail(f"cannot write {file}: {error.strerror}", 1)
    print(f"{file}: edit it, then `peerview agreement check {file}`")
    return 0


def check(file: Path) -> int:
    document = read(file)
    if document is None:
        return 2
    found = _parsed(document, str(file))
    if found is None:
        return 1
    print(f"{file} has no fault: “{found.title}”, version {found.version}, "
          f"{len(found.parties)} parties, {len(found.data_items)} indicators")  # fmt: skip
    print(f"SHA-256 of the terms: {found.terms_hash()}")
    return 0


def diff(old: Path, new: Path, *, practice: str | None) -> int:
    documents = []
    for file in (old, new):
        text = read(file)
        found = None if text is None else _parsed(text, str(file))
        if found is None:
            return 2
        documents.append(found)
    say(difference(*documents, practice=practice))
    return 0


def say(changes: Sequence[str]) -> None:
    for change in changes:
        print(f"- {change}")
    if not changes:
        print("Nothing would change.")


def read(file: Path) -> Any:
    """The JSON of a file; None, and a line on standard error, where it is none."""
    try:
        return json.loads(file.read_text())
    except OSError as error:
        _fail(f"cannot read {file}: {error.strerror}", 2)
    except ValueError as error:
        _fail(f"{file} is not JSON: {error}", 2)
    return None


def _parsed(document: Any, what: str) -> Agreement | None:
    try:
        return parse(document)
    except FaultyDocumentError as error:
        faults = "one fault" if len(error.faults) == 1 else f"{len(error.faults)} faults"
        print(f"peerview agreement: {what}: {faults}", file=sys.stderr)
        for fault in error.faults:
            print(f"  {fault.clause or 'document'}: {fault.why}", file=sys.stderr)
        return None


def _fail(reason: str, code: int) -> int:
    print(f"peerview agreement: {reason}", file=sys.stderr)
    return code
