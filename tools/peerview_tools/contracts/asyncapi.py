"""The AsyncAPI 3 description of all topics."""

from typing import Any, Final

from peerview_common import topics
from peerview_common.ids import NETWORK_PATTERN, ODS_PATTERN
from peerview_tools.contracts.events import PEER_VIEWS, Event, events

VERSION: Final = "1.0.0"
"""Of the contracts: the first figure grows where a reader must change."""
DRAFT: Final = "application/schema+json;version=draft-2020-12"
_TRACE: Final = "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"


def document() -> dict[str, Any]:
    found = events()
    by_topic: dict[str, list[Event]] = {}
    for event in found:
        by_topic.setdefault(event.topic, []).append(event)
    known = {topic.name: topic for topic in topics.ALL}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Peerview's topics",
            "version": VERSION,
            "description": "Every kind of record, by topic. Headers are CloudEvents 1.0 in Kafka's "
            "binary mode. A deployment may put a prefix before every topic's name. Schemas are of "
            "the decoded form: see docs/formats.md for the bytes.",
            "license": {"name": "See the repository"},
        },
        "defaultContentType": "application/msgpack",
        "channels": {
            _identifier(name): _channel(name, each, known.get(name))
            for name, each in by_topic.items()
        },
        "operations": dict(
            operation for name, each in by_topic.items() for operation in _operations(name, each)
        ),
        "components": {
            "messages": {event.title: _message(event) for event in found},
            "messageTraits": {"cloudEvent": {"headers": _cloud_event()}},
        },
    }


def _identifier(topic: str) -> str:
    return "peer-views" if topic == PEER_VIEWS else topic.replace(".", "-")


def _channel(name: str, found: list[Event], topic: topics.Topic | None) -> dict[str, Any]:
    channel: dict[str, Any] = {
        "address": name,
        "messages": {
            event.title: {"$ref": f"#/components/messages/{event.title}"} for event in found
        },
    }
    if topic is None:
        channel["title"] = "What one viewer may see of one network"
        channel["description"] = "Readable by that viewer alone; one partition."
        channel["parameters"] = {
            "network": {"description": f"The network's id: {NETWORK_PATTERN}"},
            "viewer": {"description": f"The viewing practice's ODS code: {ODS_PATTERN}"},
        }
        config = topics.PEER_VIEW_CONFIG
    else:
        channel["title"] = topic.value
        channel["description"] = f"Kept: {topic.kept}. Key: {topic.key}."
        config = topic.config
    kafka: dict[str, Any] = {"topic": name, "bindingVersion": "0.5.0"}
    settings = _configuration(config)
    if settings:
        kafka["topicConfiguration"] = settings
    if topic is None or not topic.partitioned:
        kafka["partitions"] = 1
    channel["bindings"] = {"kafka": kafka}
    return channel


def _configuration(config: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in config.items():
        if name == "cleanup.policy":
            found[name] = value.split(",")
        elif name == "retention.ms":
            found[name] = int(value)
    return found


def _message(event: Event) -> dict[str, Any]:
    headers: dict[str, Any] = {
        "type": "object",
        "properties": {
            "ce_type": {"const": event.type},
            "content-type": {"const": event.content_type},
            **event.headers,
        },
        "required": ["ce_type", "content-type", *event.headers],
    }
    if event.topic == topics.DEAD_LETTERS.name:
        # it keeps the headers of the record that failed, whatever that was
        headers["properties"]["ce_type"] = {"type": "string"}
        headers["required"] = list(event.headers)
    message: dict[str, Any] = {
        "name": event.title,
        "title": event.title,
        "summary": event.schema.get("description", event.title),
        "contentType": event.content_type,
        "headers": headers,
        "payload": {
            "schemaFormat": DRAFT,
            "schema": {"$ref": f"events/{event.title}.json"},
        },
        "traits": [{"$ref": "#/components/messageTraits/cloudEvent"}],
    }
    if event.key is not None:
        message["bindings"] = {"kafka": {"key": event.key, "bindingVersion": "0.5.0"}}
    return message


def _cloud_event() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "ce_specversion": {"const": "1.0"},
            "ce_id": {"type": "string", "minLength": 1},
            "ce_source": {"enum": ["peerview/ingest", "peerview/compute", "peerview/share"]},
            "ce_type": {"type": "string"},
            "ce_time": {"type": "string", "format": "date-time"},
            "ce_subject": {"type": "string", "description": "what the record is about"},
            "content-type": {"type": "string"},
            "traceparent": {"type": "string", "pattern": _TRACE},
        },
        "required": ["ce_specversion", "ce_id", "ce_source", "ce_time", "traceparent"],
    }


def _operations(topic: str, found: list[Event]) -> list[tuple[str, dict[str, Any]]]:
    channel = _identifier(topic)
    made: list[tuple[str, dict[str, Any]]] = []
    for action, whose in (("send", _senders), ("receive", _readers)):
        for service in sorted({name for event in found for name in whose(event)}):
            titles = [event.title for event in found if service in whose(event)]
            operation = {
                "action": action,
                "channel": {"$ref": f"#/channels/{channel}"},
                "summary": f"{service} {'writes' if action == 'send' else 'reads'} {topic}",
                "messages": [
                    {"$ref": f"#/channels/{channel}/messages/{title}"} for title in titles
                ],
            }
            made.append((f"{service}-{action}-{channel}", operation))
    return made


def _senders(event: Event) -> tuple[str, ...]:
    return (event.sender,)


def _readers(event: Event) -> tuple[str, ...]:
    return event.readers
