"""The contract files under ``docs/contracts``, and what of them was released."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from peerview_tools.contracts import asyncapi, openapi
from peerview_tools.contracts.compatibility import incompatibilities
from peerview_tools.contracts.events import events, schemas

FOLDER: Final = "contracts"
RELEASED: Final = "released.json"
"""Schemas, keys and topics as the last released version had them: what readers rely on."""


class BreakingChangeError(ValueError):
    """Readers of the released contracts could not read the present ones."""


def files() -> dict[str, str]:
    """``{path under docs: text}``."""
    found = {f"events/{title}.json": _text(schema) for title, schema in schemas().items()}
    found["asyncapi.json"] = _text(asyncapi.document())
    found["openapi-ingest.json"] = _text(openapi.document())
    return {f"{FOLDER}/{name}": text for name, text in found.items()}


def current() -> dict[str, Any]:
    """What a release freezes."""
    records = [
        {
            "title": event.title,
            "type": event.type,
            "topic": event.topic,
            "key": event.key,
            "content_type": event.content_type,
            "headers": sorted(event.headers),
        }
        for event in events()
    ]
    return {"version": asyncapi.VERSION, "records": records, "schemas": schemas()}


def breaks(released: Mapping[str, Any], present: Mapping[str, Any]) -> list[str]:
    """Everything in ``present`` that breaks who relies on ``released``."""
    found: list[str] = []
    by_title = {record["title"]: record for record in present["records"]}
    for record in released["records"]:
        title = record["title"]
        other = by_title.get(title)
        if other is None:
            found.append(f"{title}: the kind of record is gone")
            continue
        found += [
            f"{title}: its {name} {record[name]} became {other[name]}"
            for name in ("type", "topic", "key", "content_type")
            if record[name] != other[name]
        ]
        found += [
            f"{title}: its header {name} is gone"
            for name in record["headers"]
            if name not in other["headers"]
        ]
    for title, schema in released["schemas"].items():
        other = present["schemas"].get(title)
        if other is None:
            found.append(f"{title}: its schema is gone")
        else:
            found += [f"{title}: {each}" for each in incompatibilities(schema, other)]
    return found


def release(docs: Path) -> None:
    """Make the present contracts the released ones. Raises BreakingChangeError where they break
    readers and the version's first figure has not grown."""
    path = docs / FOLDER / RELEASED
    present = current()
    if path.exists():
        released = json.loads(path.read_text())
        found = breaks(released, present)
        if found and _major(present["version"]) <= _major(released["version"]):
            raise BreakingChangeError("\n".join(found))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_text(present))


def _major(version: str) -> int:
    return int(version.partition(".")[0])


def _text(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
