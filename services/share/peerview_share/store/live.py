"""Live figures and how far the topics were read, in one transaction."""

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, select

from peerview_common.values import IndicatorValue, decode_value, encode_value
from peerview_share.store import schema
from peerview_share.store.database import upsert


def load(connection: Connection) -> list[IndicatorValue]:
    return [
        decode_value(body)
        for body in connection.execute(select(schema.live_values.c.body)).scalars()
    ]


def save(connection: Connection, values: Iterable[tuple[IndicatorValue, int, int]]) -> None:
    """``(value, partition, offset)`` each; a row never goes back to an earlier offset.

    In one order, so that replicas that write the same rows cannot block each other.
    """
    rows = [
        {
            "practice": value.practice,
            "indicator": value.indicator,
            "body": encode_value(value),
            "partition": partition,
            "offset": offset,
        }
        for value, partition, offset in sorted(
            values, key=lambda found: (found[0].practice, found[0].indicator)
        )
    ]
    columns = ("body", "partition", "offset")
    upsert(connection, schema.live_values, rows, update=columns, newer="offset")


def _key(found: tuple[IndicatorValue, int, int]) -> tuple[str, str]:
    return found[0].practice, found[0].indicator


def offsets(connection: Connection, topic: str) -> dict[int, int]:
    """``{partition: next offset to read}``"""
    table = schema.offsets
    found = connection.execute(select(table).where(table.c.topic == topic))
    return {row.partition: row.next for row in found}


def save_offsets(connection: Connection, topic: str, found: Mapping[int, int]) -> None:
    rows = [
        {"topic": topic, "partition": partition, "next": offset}
        for partition, offset in sorted(found.items())
    ]
    upsert(connection, schema.offsets, rows, update=("next",), newer="next")
