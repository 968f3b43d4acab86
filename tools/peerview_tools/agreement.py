"""`peerview agreement`: share's agreements from a terminal."""

import json
import sys
from pathlib import Path
from typing import Any

import typer

from peerview_tools.client import Client, ServiceError
from peerview_tools.demo import actions


def create(file: Path, *, url: str, token: str) -> int:
    try:
        document = json.loads(file.read_text())
    except OSError as error:
        print(f"peerview agreement: cannot read {file}: {error.strerror}", file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"peerview agreement: {file} is not JSON: {error}", file=sys.stderr)
        return 2
    with _client(url, token) as client:
        found = client.post("/v1/agreements", document)
    _say_status(found)
    return 0


def sign(identity: str, *, url: str, token: str, yes: bool) -> int:
    """Signs exactly the terms that were shown: their hash goes with the signature."""
    with _client(url, token) as client:
        if not yes:
            found = _found(client, identity)
            _print(found["agreement"])
            print(f"SHA-256 of the terms: {found['termsHash']}")
            if not typer.confirm("Sign these terms for your practice?"):
                return 1
        _say_status(actions.sign(client, identity))
    return 0


def withdraw(identity: str, *, url: str, token: str, yes: bool) -> int:
    with _client(url, token) as client:
        if not yes:
            found = _found(client, identity)
            print(f"“{found['agreement']['title']}”, {found['status']}")
            if not typer.confirm("Withdraw your practice from it? This is final"):
                return 1
        _say_status(actions.withdraw(client, identity))
    return 0


def show(identity: str, *, url: str, token: str) -> int:
    with _client(url, token) as client:
        _print(_found(client, identity))
    return 0


def _client(url: str, token: str) -> Client:
    try:
        return Client(url, lambda: token)
    except ValueError as error:
        raise ServiceError(0, str(error)) from error


def _found(client: Client, identity: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/v1/agreements/{identity}")
    return found


def _say_status(found: dict[str, Any]) -> None:
    document = found["agreement"]
    parties = found["parties"]
    waiting = [p["odsCode"] for p in parties if not (p["signedAt"] or p["withdrawnAt"])]
    gone = [p["odsCode"] for p in parties if p["withdrawnAt"]]
    more = f"; not yet signed by {', '.join(waiting)}" if waiting else ""
    more += f"; withdrawn: {', '.join(gone)}" if gone else ""
    print(f"{document['id']} version {document['version']} is {found['status']}{more}")


def _print(value: Any) -> None:
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    print()
