"""`peerview agreement`: share's agreements from a terminal."""

import base64
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import typer

from peerview_share.agreements import keys
from peerview_share.agreements.checking import FaultyDocumentError, parse
from peerview_share.agreements.difference import difference
from peerview_tools import signing_key
from peerview_tools.agreement_files import read, say
from peerview_tools.client import Client, ServiceError
from peerview_tools.demo import actions


def create(file: Path, *, url: str, token: str) -> int:
    document = read(file)
    if document is None:
        return 2
    with _client(url, token) as client:
        found = client.post("/v1/agreements", document)
    _say_status(found)
    return 0


def edit(file: Path, *, edition: str | None, yes: bool, url: str, token: str) -> int:
    """Changes the text that was shown, or the edition that is named, and no other."""
    document = read(file)
    if document is None:
        return 2
    identity = document.get("id", "-") if isinstance(document, dict) else "-"
    path = f"/v1/agreements/{quote(str(identity), safe='')}"
    with _client(url, token) as client:
        if edition is None:
            found = client.get(path)
            edition = found["edition"]
            if not yes and not _replaced(found, document):
                return 1
        found = client.call("PUT", path, document, headers={"If-Match": f'"{edition}"'})
    _say_status(found)
    return 0


def _replaced(found: Mapping[str, Any], document: Any) -> bool:
    """Whether the draft as it stands is to be replaced, once it is known what that changes."""
    try:
        changes = difference(parse(found["agreement"]), parse(document))
    except FaultyDocumentError:
        # the service says what is wrong with it
        return True
    print(f"Of the draft as it stands, edition {found['edition']}:")
    say(changes)
    return typer.confirm("Replace it?")


def sign(identity: str, *, url: str, token: str, yes: bool, key: Path | None = None) -> int:
    """Signs exactly the terms that were shown: their hash goes with the signature."""
    with _client(url, token) as client:
        if yes and key is None:
            _say_status(actions.sign(client, identity))
            return 0
        found = _found(client, identity)
        if not yes and not _agreed(found, "Sign these terms for your practice?"):
            return 1
        _say_status(_give(client, found, "sign", token, key))
    return 0


def join(
    identity: str,
    terms: str,
    *,
    name: str,
    role: str,
    url: str,
    token: str,
    yes: bool,
    key: Path | None,
) -> int:
    with _client(url, token) as client:
        found = client.get(f"/v1/agreements/{quote(identity, safe='')}?terms={quote(terms)}")
        if not yes and not _agreed(found, "Sign these terms for your practice, and ask to join?"):
            return 1
        more = {"name": name, "role": role}
        _say_status(_give(client, found, "join", token, key, more))
    return 0


def admit(identity: str, practice: str, *, url: str, token: str, key: Path | None) -> int:
    with _client(url, token) as client:
        body = {"practice": practice}
        if key is not None:
            found = _found(client, identity)
            own = _practice(token)
            version = _asked_version(client, found, practice)
            message = keys.admission_message(own, identity, version, practice)
            body["proof"] = signing_key.text(signing_key.load(key).sign(message))
        found = client.post(f"/v1/agreements/{quote(identity, safe='')}/admit", body)
    _say_status(found)
    asking = [who for who in found["asking"] if who["odsCode"] == practice]
    if asking:
        print(f"{practice} waits for more: {', '.join(asking[0]['agreed'])} agreed so far")
    else:
        print(f"{practice} is a party now")
    return 0


def act(identity: str, what: str, *, url: str, token: str) -> int:
    """Suspend or resume."""
    with _client(url, token) as client:
        _say_status(client.post(f"/v1/agreements/{quote(identity, safe='')}/{what}"))
    return 0


def take_back(identity: str, *, url: str, token: str) -> int:
    with _client(url, token) as client:
        found = client.post(f"/v1/agreements/{quote(identity, safe='')}/take-back")
    print(f"{found['practice']} does not ask to join {identity} any more")
    return 0


def withdraw(identity: str, *, url: str, token: str, yes: bool) -> int:
    with _client(url, token) as client:
        if not yes:
            found = _found(client, identity)
            print(f"“{found['agreement']['title']}”, {found['status']}")
            if not typer.confirm("Withdraw your practice from it? This is final"):
                return 1
        found = actions.withdraw(client, identity)
    _say_status(found)
    told = [p["othersToldBy"] for p in found["parties"] if p["othersToldBy"]]
    if told:
        print(f"It holds now. The others must be told by {max(told)}")
    return 0


def limit(identity: str, own: Sequence[str], mode: str | None, *, url: str, token: str) -> int:
    """What is not named stays as it is; 2 for words that say nothing."""
    practice = _practice(token)
    path = f"/v1/agreements/{quote(identity, safe='')}"
    with _client(url, token) as client:
        found = client.get(path)
        limits = found["limits"].get(practice)
        if limits is None:
            raise ServiceError(0, f"{practice} is no party of {identity}: it has nothing to limit")
        if mode is not None:
            limits["mode"] = mode
        for word in own:
            name, given, level = word.partition("=")
            if not given:
                print(f"peerview agreement limit: {word} is not INDICATOR=LEVEL", file=sys.stderr)
                return 2
            if level:
                limits["perIndicator"][name] = level
            else:
                limits["perIndicator"].pop(name, None)
        if own or mode is not None:
            found = client.call("PUT", f"{path}/limits", limits)
    print(f"{practice} allows in {identity}: {found['limits'][practice]['mode']}")
    for name, level in found["limits"][practice]["perIndicator"].items():
        print(f"  {name}: {level}")
    return 0


def succeed(
    former: Sequence[str], successor: str, day: date, *, url: str, token: str, yes: bool
) -> int:
    names = ", ".join(former)
    if not yes and not typer.confirm(
        f"{names} leave all their agreements, which is final, and {successor} signs or joins its "
        "own. Go on?"
    ):
        return 1
    body = {"from": list(former), "to": successor, "date": day.isoformat()}
    with _client(url, token) as client:
        found = client.post("/v1/practices/succeeded", body)
    left = ", ".join(found["agreements"]) or "none"
    print(f"{successor} succeeds {names}. Agreements that they left: {left}")
    return 0


def listed(*, url: str, token: str) -> int:
    with _client(url, token) as client:
        found = client.get("/v1/agreements")["agreements"]
    for item in found:
        # a service of the version before tells of the newest alone
        versions = item.get("versions", [item])
        states = ", ".join(f"version {v['version']} {v['status']}" for v in versions)
        print(f"{item['id']} in {item['network']}: {states}; “{item['title']}”")
    if not found:
        print("no agreement names a practice of this token")
    return 0


def history(identity: str, *, url: str, token: str) -> int:
    with _client(url, token) as client:
        found = client.get(f"/v1/agreements/{quote(identity, safe='')}/history")["changes"]
    for item in found:
        print(f"{item['at']}  version {item['version']}  {item['practice'] or '-':<10} "
              f"{item['event']}, by {item['by']}")  # fmt: skip
    return 0


def explain(
    network: str, question: Mapping[str, str], *, moment: str | None, url: str, token: str
) -> int:
    """0 where it is granted, 3 where it is denied."""
    asked = dict(question) | ({} if moment is None else {"at": moment})
    with _client(url, token) as client:
        found = client.get(f"/v1/networks/{quote(network, safe='')}/explain?{urlencode(asked)}")
    granted = found["level"] != "none"
    print(f"{'granted, ' + found['level'] if granted else 'denied'} at {found['at']}")
    print(f"because {found['why']} ({found['clause']})")
    if found["agreement"] is not None:
        where = f", {found['place']}" if found["place"] else ""
        print(
            f"agreement {found['agreement']['id']} version {found['agreement']['version']}{where}"
        )
    return 0 if granted else 3


def diff(identity: str, older: int, newer: int, *, url: str, token: str) -> int:
    with _client(url, token) as client:
        path = f"/v1/agreements/{quote(identity, safe='')}/difference?from={older}&to={newer}"
        say(client.get(path)["changes"])
    return 0


def export(identity: str, version: int | None, *, url: str, token: str) -> int:
    chosen = "" if version is None else f"?version={version}"
    with _client(url, token) as client:
        _print(client.get(f"/v1/agreements/{quote(identity, safe='')}/odrl{chosen}"))
    return 0


def show(identity: str, version: int | None, *, document_only: bool, url: str, token: str) -> int:
    chosen = "" if version is None else f"?version={version}"
    with _client(url, token) as client:
        found = client.get(f"/v1/agreements/{quote(identity, safe='')}{chosen}")
    _print(found["agreement"] if document_only else found)
    return 0


def register_key(file: Path, practice: str, *, former: Path | None, url: str, token: str) -> int:
    """Where there is no file, a new private key is written, for its owner's eyes alone."""
    key = signing_key.load(file) if file.exists() else signing_key.make(file)
    public = signing_key.public(key)
    message = keys.key_message(practice, public)
    body = {"publicKey": public, "proof": signing_key.text(key.sign(message))}
    if former is not None:
        body["formerProof"] = signing_key.text(signing_key.load(former).sign(message))
    with _client(url, token) as client:
        client.call("PUT", _key_path(practice), body)
    print(f"{practice} signs with {public} now, and nothing less is accepted from it. Keep {file}.")
    return 0


def revoke_key(practice: str, reason: str, *, url: str, token: str) -> int:
    with _client(url, token) as client:
        found = client.post(f"{_key_path(practice)}/revocation", {"reason": reason})
    waits = found["revocation"]
    print(
        f"asked: the key {waits['publicKey']} of {practice} is revoked at {waits['effectiveAt']},"
    )
    print("unless the practice objects before. It and all that share an agreement with it are told")
    print(
        "on their pages, in each agreement and by agreement.events. Ring the practice up as well."
    )
    return 0


def keep_key(practice: str, reason: str, *, key: Path | None, url: str, token: str) -> int:
    body = {"reason": reason}
    with _client(url, token) as client:
        if key is not None:
            held = signing_key.load(key)
            message = keys.keep_message(practice, signing_key.public(held))
            body["proof"] = signing_key.text(held.sign(message))
        found = client.post(f"{_key_path(practice)}/revocation/stop", body)
    print(f"stopped: {practice} goes on signing with {found['publicKey']}")
    return 0


def _key_path(practice: str) -> str:
    return f"/v1/practices/{quote(practice, safe='')}/signing-key"


def _give(
    client: Client,
    found: Mapping[str, Any],
    what: str,
    token: str,
    key: Path | None,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A signature to terms as they were found: to sign, or to join."""
    identity, version = found["agreement"]["id"], found["agreement"]["version"]
    body = {"version": version, "termsHash": found["termsHash"], **(more or {})}
    if key is not None:
        own = _practice(token)
        message = keys.terms_message(what, own, identity, version, found["termsHash"])
        body["proof"] = signing_key.text(signing_key.load(key).sign(message))
    answer: dict[str, Any] = client.post(f"/v1/agreements/{quote(identity, safe='')}/{what}", body)
    return answer


def _practice(token: str) -> str:
    """Whom the token stands for, as the token says itself; the service checks that."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        practices = claims.get("practices") or []
        practices = practices.split() if isinstance(practices, str) else practices
    except (IndexError, ValueError, AttributeError):
        raise ServiceError(0, "the token is not a JWT") from None
    if len(practices) != 1:
        raise ServiceError(0, "signing with a key needs a token of one practice")
    return str(practices[0])


def _asked_version(client: Client, newest: Mapping[str, Any], practice: str) -> int:
    """Which version a practice asks to join: a draft of the next one may be newer."""
    identity, version = newest["agreement"]["id"], int(newest["agreement"]["version"])
    found = newest
    while practice not in {who["odsCode"] for who in found["asking"]} and version > 1:
        version -= 1
        found = client.get(f"/v1/agreements/{quote(identity, safe='')}?version={version}")
    return version


def _agreed(found: Mapping[str, Any], question: str) -> bool:
    _print(found["agreement"])
    print(f"SHA-256 of the terms: {found['termsHash']}")
    return typer.confirm(question)


def _client(url: str, token: str) -> Client:
    try:
        return Client(url, lambda: token)
    except ValueError as error:
        raise ServiceError(0, str(error)) from error


def _found(client: Client, identity: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/v1/agreements/{quote(identity, safe='')}")
    return found


def _say_status(found: dict[str, Any]) -> None:
    document = found["agreement"]
    parties = found["parties"]
    waiting = [p["odsCode"] for p in parties if not (p["signedAt"] or p["withdrawnAt"])]
    gone = [p["odsCode"] for p in parties if p["withdrawnAt"]]
    asking = [who["odsCode"] for who in found.get("asking", [])]
    more = f"; not yet signed by {', '.join(waiting)}" if waiting else ""
    more += f"; withdrawn: {', '.join(gone)}" if gone else ""
    more += f"; asking to join: {', '.join(asking)}" if asking else ""
    print(f"{document['id']} version {document['version']} is {found['status']}{more}")


def _print(value: Any) -> None:
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    print()
