"""Care gaps over HTTP: for a practice's own clinical staff, from the worker that holds it.

Every look is logged before it is answered; a worker whose log level drops such lines refuses.
"""

import asyncio
import time
from typing import Annotated, Any, Final

import structlog
from fastapi import APIRouter, Header, Path, Query

from peerview_common import topics
from peerview_common.auth import AuthError, Principal, TokenVerifier
from peerview_common.days import day_text
from peerview_common.ids import ODS_PATTERN
from peerview_common.problem import Problem
from peerview_common.settings import ComputeSettings
from peerview_compute.engine.partition import CURRENT, Partition
from peerview_compute.engine.worker import Worker
from peerview_compute.model.core import Core
from peerview_compute.model.gaps import Explanation, Gaps, NoRulesError, gap_status
from peerview_compute.model.status import STATUS_NAMES

READ: Final = "share:read"
CLINICAL: Final = "clinical"
MOST: Final = 1000
"""Patients on a page."""
PAUSE_S: Final = 0.001

log = structlog.get_logger("peerview.audit")


def router(settings: ComputeSettings, worker: Worker, core: Core) -> APIRouter:
    routes = APIRouter(tags=["own practice"])
    verifier = TokenVerifier.from_settings(settings)
    gaps = Gaps(core.definitions)
    slice_s = settings.tick_slice_ms / 2000

    def holder(ods: str) -> Partition:
        number = topics.practice_partition(ods, settings.partitions)
        processor = worker.processors.get(number)
        if processor is None:
            raise Problem(
                421, "other-worker", "another worker holds this practice", partition=number
            )
        return processor.partition

    def gap(stored: bytes, place: int, wanted: int, day: int, indicator: str) -> Explanation | None:
        try:
            if core.refresh(stored, day).after[place][0] != wanted:
                return None
            return gaps.explain(core.facts(stored), day, indicator)
        except Exception as error:
            # one bad state is no reason to tell nothing of the others
            log.error("a patient's state cannot be explained", error=type(error).__name__)
            return None

    @routes.get("/v1/practices/{ods}/care-gaps/{indicator}")
    async def care_gaps(
        ods: Annotated[str, Path(pattern=ODS_PATTERN)],
        indicator: str,
        authorization: Annotated[str | None, Header()] = None,
        after: Annotated[str | None, Query(pattern="^[0-9a-f]{32}$")] = None,
        limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
    ) -> dict[str, Any]:
        """The patients on whom the indicator asks for something to be done, as pseudonyms, and the
        first rule that would change it. ``next`` goes on as ``after``."""
        principal = await verifier.admit(authorization)
        allow(principal, ods)
        if settings.log_level not in ("debug", "info"):
            raise Problem(503, "not-audited", "this worker's log level leaves out who looked")
        definitions = core.definitions
        if indicator not in definitions:
            raise Problem(404, "not-found", f"there is no indicator {indicator}")
        try:
            wanted = gap_status(definitions[indicator])
        except NoRulesError as error:
            raise Problem(422, "no-care-gaps", str(error)) from error
        partition = holder(ods)
        day = partition.as_of
        if day is None:
            raise Problem(503, "no-day", "no day has begun yet")
        practice = partition.practices.get(ods)
        if practice is None:
            raise Problem(404, "not-found", f"nothing has arrived of practice {ods}")
        state = partition.value_states(practice).get(indicator, CURRENT)
        place = definitions.indicators.index(definitions[indicator].id)
        patients = practice.states.patients
        since = b"" if after is None else bytes.fromhex(after)
        found: list[dict[str, str]] = []
        following = None
        until = time.perf_counter() + slice_s
        for patient in sorted(key for key in patients if key > since):
            stored = patients.get(patient)
            told = None if stored is None else gap(stored, place, wanted, day, indicator)
            if told is not None:
                if len(found) == limit:
                    following = found[-1]["patient"]
                    break
                found.append(
                    {
                        "patient": patient.hex(),
                        "status": STATUS_NAMES[told.status],
                        "rule": told.change or "",
                    }
                )
            if time.perf_counter() >= until:
                # records and ticks come first
                await asyncio.sleep(PAUSE_S)
                if holder(ods) is not partition:
                    raise Problem(503, "moved", "the practice has moved meanwhile: ask again")
                until = time.perf_counter() + slice_s
        log.info(
            "audit",
            action="care-gaps",
            subject=principal.subject,
            practice=ods,
            indicator=indicator,
            as_of=day_text(day),
            patients=len(found),
            after=after,
        )
        return {
            "practice": ods,
            "indicator": indicator,
            "version": definitions.version_on(indicator, day),
            "as_of": day_text(day),
            "state": state,
            "patients": found,
            "next": following,
        }

    return routes


def allow(principal: Principal, ods: str) -> None:
    """Raises AuthError."""
    principal.require_scope(READ)
    principal.require_practice(ods)
    if CLINICAL not in principal.roles:
        raise AuthError(403, "the token lacks the role clinical")
