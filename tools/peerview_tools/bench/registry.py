"""Every measure, in the order in which a full run takes them: those that share states follow each
other."""

from typing import Final

from peerview_tools.bench import (
    agreements,
    bulk_memory,
    bundle,
    core,
    epoch,
    extracts,
    faust_table,
    flat,
    freshness,
    gate,
    ingest,
    ingest_parse,
    memory,
    quix,
    recovery,
    snapshot_size,
    takeover,
    tick,
    worker,
)
from peerview_tools.bench.measure import Measure

MEASURES: Final = (
    Measure(
        "core", "the pure core, one thread: 12 indicators, 10 facts a patient, states of 40",
        "facts/s", 40_000, "at least", core.run,
    ),
    Measure(
        "extracts", "ingest, a GP system's daily files: from bytes to index and log",
        "rows/s", 5_000, "at least", extracts.run,
    ),
    Measure(
        "worker", "the whole worker over the real broker, beside the pure core",
        "ratio", 0.7, "at least", worker.run,
    ),
    Measure(
        "quix", "the worker beside Quix Streams with the same core and records",
        "ratio", 1.0, "at least", quix.run,
    ),
    Measure(
        "faust-table", "the worker beside Faust with one table write a patient, same core",
        "ratio", 3.0, "at least", faust_table.run,
    ),
    Measure(
        "flat", "cost of one fact, the dearest of 10,000, 100,000 and 1,000,000 patients beside "
        "the cheapest",
        "ratio", 1.2, "at most", flat.run,
    ),
    Measure(
        "freshness", "from append to practice.changes to the value in indicator.values",
        "ms", 250, "at most", freshness.run,
    ),
    Measure(
        "memory", "resident memory of a patient of 40 facts with UUID ids",
        "kB", 2.5, "at most", memory.run,
    ),
    Measure(
        "bulk-memory", "peak resident memory of ingest while 2 GB of NDJSON go through it",
        "MB", 150, "at most", bulk_memory.run,
    ),
    Measure(
        "takeover", "a killed worker's partitions by a standby, session timeout included",
        "s", 30, "at most", takeover.run,
    ),
    Measure(
        "recovery", "1,000,000 patients' states by two workers",
        "s", 90, "at most", recovery.run,
    ),
    Measure(
        "tick", "one clock tick over 1,000,000 patients; no event waits over 250 ms for it",
        "s", 10, "at most", tick.run,
    ),
    Measure(
        "gate", "one practice's cells decided against 36 earlier releases of each",
        "ms", 100, "at most", gate.run,
    ),
    Measure(
        "snapshot-size", "a released snapshot of 10,000 patients as share keeps it",
        "kB", 100, "at most", snapshot_size.run,
    ),
    Measure(
        "epoch", "an epoch of 6,300 practices with 36 earlier releases each",
        "minutes", 15, "at most", epoch.run,
    ),
    Measure(
        "ingest", "FHIR resources a second of one core, from POST /v1/bulk to acknowledged and "
        "committed, SQLite",
        "resources/s", 6_000, "at least", ingest.run,
    ),
    Measure(
        "ingest-parse", "ingest's reader beside parsing the same resources with fhir.resources",
        "ratio", 8.0, "at least", ingest_parse.run,
    ),
    Measure(
        "bundle", "p99 of a Bundle of 10 resources by POST /fhir, at half of the capacity",
        "ms", 40, "at most", bundle.run,
    ),
    Measure(
        "agreement-lookup", "one look-up in the index of 1,000 agreements, as views ask",
        "µs", 1.0, "at most", agreements.look_up,
    ),
    Measure(
        "agreement-compile", "the index of 1,000 agreements of 50 parties and 12 indicators",
        "s", 5, "at most", agreements.compile_all,
    ),
)  # fmt: skip


def named(name: str) -> Measure | None:
    return next((measure for measure in MEASURES if measure.name == name), None)
