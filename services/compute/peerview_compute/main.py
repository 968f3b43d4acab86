"""Compute's composition root: settings, definitions, engine and operators' HTTP, wired together."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping

import structlog
import uvicorn
import uvloop
from fastapi import FastAPI

from peerview_common import logs, ops, problem, topics
from peerview_common.codes import CodeListError
from peerview_common.settings import ComputeSettings, Mode
from peerview_compute import care_gaps, stacks
from peerview_compute.engine.stores import UnusableStore, check_setting
from peerview_compute.engine.worker import Worker
from peerview_compute.model.core import Core
from peerview_compute.model.definitions import (
    DefinitionError,
    DefinitionSet,
    load_definitions,
)

SERVICE = "compute"
STOP_GRACE_S = 30.0
"""How long an orderly stop may take: finish the record in hand, commit, leave the group."""


class OpsServer(uvicorn.Server):
    """Signals are the worker's business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def ops_app(settings: ComputeSettings, worker: Worker, core: Core) -> FastAPI:
    app = FastAPI(title="Peerview compute", docs_url=None, redoc_url=None, openapi_url=None)

    async def checks() -> Mapping[str, str | None]:
        return {"partitions": worker.not_ready}

    problem.install(app)
    app.include_router(ops.router(SERVICE, checks))
    app.include_router(care_gaps.router(settings, worker, core))
    ops.measure(app, SERVICE)
    return app


def definitions(settings: ComputeSettings) -> DefinitionSet:
    """Those of the settings, or the shipped ones; the same for the code list."""
    return load_definitions(settings.definitions, settings.code_list)


def unusable(settings: ComputeSettings) -> str | None:
    """What in the settings cannot be served."""
    try:
        check_setting(settings.state_store)
    except UnusableStore as error:
        return str(error)
    key = settings.snapshot_key.get_secret_value()
    try:
        length = len(bytes.fromhex(key))
    except ValueError:
        return "PEERVIEW_SNAPSHOT_KEY is not hexadecimal"
    if settings.mode is Mode.PRODUCTION and not 16 <= length <= 64:
        return "PEERVIEW_SNAPSHOT_KEY must be 16 to 64 bytes in hexadecimal"
    return None


async def run(settings: ComputeSettings) -> int:
    """Serve until a signal (0) or until the engine must be started anew (1)."""
    log = logs.configure(settings, SERVICE)
    if reason := unusable(settings):
        log.error("settings refused", reason=reason)
        return 2
    if settings.log_level != "debug":
        for chatty in ("faust", "mode", "uvicorn"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        core = Core(definitions(settings))
    except (OSError, CodeListError, DefinitionError) as error:
        for reason in str(error).splitlines():
            log.error("definitions refused", reason=reason)
        return 2
    await asyncio.to_thread(
        topics.provision,
        settings.kafka,
        prefix=settings.topic_prefix,
        partitions=settings.partitions,
        replication=settings.replication,
    )
    listening = socket.create_server((settings.host, settings.port))
    host, port = listening.getsockname()[:2]
    # what is loaded by now stays; facts come and go by the million, and hold no cycles
    sys.setswitchinterval(0.002)
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    worker = Worker(settings, core, f"http://{socket.gethostname()}:{port}")
    server = OpsServer(
        uvicorn.Config(
            ops_app(settings, worker, core), log_config=None, access_log=False, lifespan="off"
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    log.info("listening", host=host, port=port, definitions=core.definitions.hash_text)

    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    stacks.install(loop)
    stopping = asyncio.create_task(asked.wait())
    starting = asyncio.create_task(worker.start())
    await asyncio.wait({stopping, worker.fatal, starting}, return_when=asyncio.FIRST_COMPLETED)
    if starting.done() and starting.exception() is not None:
        worker.fail(starting.exception() or RuntimeError("the engine did not start"))
    await asyncio.wait({stopping, worker.fatal}, return_when=asyncio.FIRST_COMPLETED)
    if worker.fatal.done():
        error = worker.fatal.result()
        log.error("worker stops", error=type(error).__name__, reason=str(error))
        return 1
    log.info("stopping")
    try:
        await asyncio.wait_for(worker.stop(), STOP_GRACE_S)
    except TimeoutError:
        log.error("stop took too long", seconds=STOP_GRACE_S)
        return 1
    server.should_exit = True
    await serving
    log.info("stopped")
    return 0


def main() -> None:
    settings = ComputeSettings()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(run(settings))
        log = structlog.get_logger(SERVICE)
        log.info("exit", code=code)
        sys.stdout.flush()
        sys.stderr.flush()
        # nothing may be committed or sent after the decision to stop, and Faust's threads outlive
        # the loop: end here, whatever they are doing
        os._exit(code)
