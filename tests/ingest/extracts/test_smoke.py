from datetime import date
from pathlib import Path
import time
from peerview_tools.simulator import PRACTICES, history
from peerview_tools.simulator.extracts import write
from tests.ingest.extracts.drops import *


async def test_it(service, tmp_path):
    res = list(history(PRACTICES[0], date(2026, 4, 1)))
    for supplier, mapping in (("fieldgate", FIELDGATE), ("linden", LINDEN)):
        paths = write(supplier, tmp_path / supplier, "A99001", date(2026, 4, 1), res)
        parts = {}
        for n, t in mapping.tables.given():
            (p,) = (tmp_path / supplier).glob(t.file)
            parts[n] = p.read_bytes()
        for _ in range(2):
            s = time.perf_counter()
            a = await put(service, "2026-05-20", parts, source=supplier)
            print(a.status_code, time.perf_counter() - s)
            j = a.json()
            print({k: v for k, v in j.items() if k != "tables"})
            for n, t in j["tables"].items():
                print(n, {k: v for k, v in t.items() if k != "rejections"}, t["rejections"][:2])
        print(count(service), len(service.log.records), service.log.types[-1])
    print((await decide(service, "GET", "")).json()["extracts"][0].keys())
