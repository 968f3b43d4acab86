"""Drops as the routes see them: begin one, list them, decide about one that is held."""

import json
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Any

import structlog

from peerview_common import metrics
from peerview_common.days import LONDON, date_of, day_of, iso_millis, millis
from peerview_common.problem import Problem
from peerview_ingest.extracts import index
from peerview_ingest.extracts.catalogue import Catalogue
from peerview_ingest.extracts.drop import Drop
from peerview_ingest.extracts.ending import Ending, new_submission
from peerview_ingest.extracts.index import DropIndex
from peerview_ingest.extracts.mapping import Mapping
from peerview_ingest.extracts.reading import Day
from peerview_ingest.extracts.versions import Standing
from peerview_ingest.submission import Ingest, Sender

HOUR_MS = 3_600_000

log = structlog.get_logger("peerview.ingest.extracts")


def the_day(day: date) -> Day:
    begins = datetime.combine(day, time(), tzinfo=LONDON)
    ends = datetime.combine(day + timedelta(days=1), time(), tzinfo=LONDON)
    return Day(day.isoformat(), day_of(day), millis(begins), millis(ends))


class Extracts:
    """Takes drops, and carries out what people decide about those that are held."""

    def __init__(self, ingest: Ingest, catalogue: Catalogue) -> None:
        self.ingest = ingest
        self.catalogue = catalogue
        self.index = DropIndex(ingest.store)

    async def begin(self, sender: Sender, day: date, mode: str, named: str | None) -> Drop:
        """Raises Problem where the source has no mapping, or the day lies ahead."""
        mapping = self._mapping(sender.source)
        if named is not None and named != mapping.name:
            raise Problem(409, "other-mapping", f"this source system's mapping is {mapping.name}")
        moment = the_day(day)
        now = self.ingest.now()
        if moment.stamp > now + self.ingest.settings.max_future_hours * HOUR_MS:
            raise Problem(422, "not-valid", "the extract's day lies ahead")
        codes = self.ingest.codes.version
        begun = await self.ingest.in_thread(
            lambda: self.index.begin(
                sender.practice, sender.source, moment.number, mode, about(mapping), codes, now
            )
        )
        standing = Standing(begun.run, moment, begun.newest, begun.after_full)
        tables = [name for name, _ in mapping.tables.given()]
        ending = Ending(
            self.ingest, self.index, sender, standing, codes, tables, new_submission(),
            begun.through,
        )  # fmt: skip
        return Drop(mapping, mode, ending)

    def _mapping(self, source: str) -> Mapping:
        mapping = self.catalogue.of_source(source)
        if mapping is None:
            raise Problem(
                409,
                "no-mapping",
                "no mapping names this source system, which is the token's claim `system`: the "
                "operator adds it to the `sources` of a mapping",
            )
        return mapping

    async def listed(self, practice: str) -> list[dict[str, Any]]:
        rows = await self.ingest.in_thread(partial(self.index.listed, practice))
        return [_listed(row) for row in rows]

    async def confirm(
        self, sender: Sender, day: date, source: str | None, who: str
    ) -> dict[str, Any]:
        """Carry out the deletions that were held. May be done again when it was cut short."""
        row = await self._waiting(sender, day, source)
        tables = [name for name, _ in self._mapping(row.source).tables.given()]
        await self._decide(row.run, index.CONFIRMED, who)
        standing = Standing(row.run, the_day(day), newest=True, after_full=True)
        of_source = Sender(sender.practice, row.source, sender.traceparent)
        ending = Ending(
            self.ingest, self.index, of_source, standing, row.codes, tables, new_submission()
        )
        done = await ending.carry_out()
        report = json.loads(row.report) | done
        await self.ingest.in_thread(
            lambda: self.index.end(row.run, index.COMPLETE, report, self.ingest.now())
        )
        metrics.extracts.labels(row.mode, index.CONFIRMED).inc()
        log.info("extract confirmed", practice=sender.practice, day=day.isoformat())
        return _decided(row, index.COMPLETE) | done

    async def reject(
        self, sender: Sender, day: date, source: str | None, who: str
    ) -> dict[str, Any]:
        """Delete nothing; the records stay until a later full drop has them, or lacks them."""
        row = await self._waiting(sender, day, source)
        await self._decide(row.run, index.REJECTED, who)
        metrics.extracts.labels(row.mode, index.REJECTED).inc()
        log.info("extract rejected", practice=sender.practice, day=day.isoformat())
        return _decided(row, index.REJECTED)

    async def _waiting(self, sender: Sender, day: date, source: str | None) -> Any:
        rows = await self.ingest.in_thread(
            partial(self.index.held, sender.practice, day_of(day), source)
        )
        if not rows:
            raise Problem(404, "not-held", "no extract of this day awaits a decision")
        if len({row.source for row in rows}) > 1:
            names = ", ".join(sorted(row.source for row in rows))
            raise Problem(400, "source-needed", f"several are held: say source= one of {names}")
        return rows[0]

    async def _decide(self, run: int, state: str, who: str) -> None:
        decided = await self.ingest.in_thread(
            lambda: self.index.decide(run, state, who, self.ingest.now())
        )
        if not decided:
            raise Problem(409, "not-held", "it is not held any more: see GET /v1/extracts")


def about(mapping: Mapping) -> str:
    return f"{mapping.name} {mapping.version}"


def _decided(row: Any, state: str) -> dict[str, Any]:
    day = date_of(row.day).isoformat()
    return {"date": day, "source": row.source, "run": row.run, "state": state, "held": False}


def _listed(row: Any) -> dict[str, Any]:
    report = json.loads(row.report)
    found = {
        "date": date_of(row.day).isoformat(),
        "mode": row.mode,
        "source": row.source,
        "run": row.run,
        "state": row.state,
        "held": row.state == index.HELD,
        "mapping": row.mapping,
        "codes": row.codes,
        "began": iso_millis(row.began),
        "ended": iso_millis(row.ended) if row.ended else None,
        "tables": report.get("tables", {}),
    }
    for name in ("why", "reason", "deleted", "waits_for"):
        if name in report:
            found[name] = report[name]
    if row.decided_by:
        found |= {"decided_by": row.decided_by, "decided": iso_millis(row.decided)}
    return found
