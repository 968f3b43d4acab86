"""The same work on Quix Streams, as its documentation has one do it; run in an environment of its
own by ``quix``. Its state store is RocksDB with a changelog topic, committed every 5 seconds."""

import os
from typing import Any

from quixstreams import Application, message_context
from quixstreams.models import Serializer

from peerview_tools.bench.plain import Plain


class OfPair(Serializer):
    def __call__(self, value: tuple[bytes, bytes], ctx: Any) -> bytes:
        return value[1]


def main() -> None:
    prefix = os.environ["BENCH_PREFIX"]
    app = Application(
        os.environ["BENCH_KAFKA"],
        consumer_group=f"{prefix}quix",
        auto_offset_reset="earliest",
        state_dir=os.environ["BENCH_FOLDER"],
        loglevel="WARNING",
    )
    source = app.topic(
        f"{prefix}practice.changes", key_deserializer="str", value_deserializer="bytes"
    )
    values = app.topic(
        f"{prefix}indicator.values", key_serializer="bytes", value_serializer=OfPair()
    )
    plain = Plain()
    last = int(os.environ["BENCH_LAST"])

    def take(value: bytes, key: Any, timestamp: int, headers: Any, state: Any) -> Any:
        kind = next(text for name, text in headers if name == "ce_type").decode()
        offset = message_context().offset
        if offset == last:
            # what is not committed yet is to be written now, not at the next checkpoint
            app.stop()
        return list(plain.take(kind, value, offset, state.get_bytes, state.set_bytes))

    frame = app.dataframe(source).apply(take, stateful=True, expand=True, metadata=True)
    frame.to_topic(values, key=lambda pair: pair[0])
    app.run()


main()
