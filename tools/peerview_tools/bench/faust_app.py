"""The same work on Faust as its documentation has one do it: a table, written once a patient, and
each value sent by itself. Run by ``faust_table``."""

import os
from typing import Any

import faust

from peerview_tools.bench.plain import Plain

prefix = os.environ["BENCH_PREFIX"]
app = faust.App(
    f"{prefix}faust",
    broker=f"kafka://{os.environ['BENCH_KAFKA']}",
    datadir=os.environ["BENCH_FOLDER"],
    store="memory://",
    key_serializer="raw",
    value_serializer="raw",
    topic_partitions=1,
    web_enabled=False,
)
source = app.topic(f"{prefix}practice.changes", key_type=bytes, value_type=bytes)
values = app.topic(f"{prefix}indicator.values", key_type=bytes, value_type=bytes)
states = app.Table("states", key_type=bytes, value_type=bytes, partitions=1)
plain = Plain()


@app.agent(source)
async def work(stream: Any) -> None:
    async for event in stream.events():
        given = event.message.headers
        kind = dict(given)["ce_type"].decode()

        def put(key: str, value: bytes) -> None:
            states[key.encode()] = value

        def get(key: str) -> bytes | None:
            found: bytes | None = states.get(key.encode())
            return found

        for key, value in plain.take(kind, event.value, event.message.offset, get, put):
            await values.send(key=key, value=value)


if __name__ == "__main__":
    app.main()
