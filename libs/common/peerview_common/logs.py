"""Structured logs: one JSON object a line, with the service's name. Nothing identifying, ever."""

import logging
import re
import sys
import time
from collections.abc import Callable
from typing import Final

import structlog

from peerview_common.settings import CommonSettings

CLIENTS: Final = ("kafka", "aiokafka")
AGAIN_S: Final = 60.0
MOST: Final = 1_000
_NUMBERS = re.compile(r"\d+")


def configure(settings: CommonSettings, service: str) -> structlog.stdlib.BoundLogger:
    """Set up structlog and the standard library's logging alike; returns the service's logger."""
    level = getattr(logging, settings.log_level.upper())

    def named(_: object, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        event.setdefault("service", service)  # threads of libraries have no context
        return event

    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        named,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer()
        if settings.log_format == "console"
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    handler.addFilter(Seldom(time.monotonic))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in (*CLIENTS, "httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(max(level, logging.WARNING))
    structlog.contextvars.bind_contextvars(service=service)
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(service)
    return logger


class Seldom(logging.Filter):
    """Lets a message of a Kafka client through once a minute, whatever numbers are in it: while a
    broker is away they come five a second, and hide what the service says itself."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
        self._told: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in CLIENTS:
            return True
        now = self._clock()
        key = (record.name, _NUMBERS.sub("", record.getMessage()))
        if now - self._told.get(key, -AGAIN_S) < AGAIN_S:
            return False
        if len(self._told) >= MOST:
            self._told.clear()
        self._told[key] = now
        return True
