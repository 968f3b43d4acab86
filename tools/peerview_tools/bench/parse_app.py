"""Both readers over the same lines, in turn; run by ``ingest_parse`` in an environment that has
``fhir.resources`` as well. Prints JSON: seconds of processor time of each run of each side."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from fhir.resources.R4B import get_fhir_model_class

from peerview_common import codes
from peerview_common.ids import OdsCode
from peerview_ingest.bulk.reading import read_lines
from peerview_ingest.fhir import Feed, HmacKeys, Outcome, Read, Reader, Receipt

PRACTICE = OdsCode("A99001")
RECEIVED = 1_790_000_000_000
LONGEST = 20_000_000
GROUP = 2_500
_parse = msgspec.json.Decoder().decode


def ours(lines: list[bytes]) -> list[Read]:
    """JSON to facts, pseudonyms and all, as ``POST /v1/bulk`` does it."""
    keys = HmacKeys(bytes(range(32)), PRACTICE)
    reader = Reader(codes.shipped(), Feed(PRACTICE, "bench"), keys, Receipt(RECEIVED))
    found: list[Read] = []
    for first in range(0, len(lines), GROUP):
        group = list(enumerate(lines[first : first + GROUP], first + 1))
        found.extend(read for _, read in read_lines(reader, group, LONGEST))
    return found


def theirs(lines: list[bytes]) -> list[object]:
    """JSON to validated models, by the type that each line names."""
    found = []
    for line in lines:
        document = _parse(line)
        found.append(get_fhir_model_class(document["resourceType"]).model_validate(document))
    return found


def seconds(work: Callable[[list[bytes]], object], lines: list[bytes]) -> float:
    began = time.process_time()
    work(lines)
    return time.process_time() - began


def main() -> None:
    lines = Path(sys.argv[1]).read_bytes().splitlines()
    times = int(sys.argv[2])
    # both sides take everything, and have imported all they need
    taken = ours(lines)
    if any(read.outcome is Outcome.REJECTED for read in taken) or len(theirs(lines)) != len(lines):
        raise SystemExit("a side refuses a resource")
    runs = [(seconds(ours, lines), seconds(theirs, lines)) for _ in range(times)]
    print(json.dumps({"ours": [one for one, _ in runs], "theirs": [other for _, other in runs]}))


if __name__ == "__main__":
    main()
