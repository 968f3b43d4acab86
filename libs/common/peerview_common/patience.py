"""How long the service waits for the rest of a request's body, and what it does once it stops."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from peerview_common.problem import Problem

GRACE_S: Final = 30.0
LEAST_BYTES_S: Final = 1_000.0
"""A body may keep the service waiting for ``GRACE_S`` in all, and a second more for each thousand
bytes that it has brought: one rule against bodies that stop, and against bodies that drip."""
STOPPING_S: Final = 10.0
"""After the signal to stop, bodies under way may go on arriving for so long."""


@dataclass
class Stopping:
    """Since when the service has been stopping (``time.monotonic``); None while it serves."""

    since: float | None = None

    def begin(self) -> None:
        if self.since is None:
            self.since = time.monotonic()

    @property
    def over(self) -> bool:
        """Bodies that are still arriving have had their time."""
        return self.since is not None and time.monotonic() - self.since > STOPPING_S


class Patience:
    """ASGI middleware. Reading a body that is too slow raises Problem 408, and 503 once the service
    has been stopping for a while; whoever reads the body may add to what these say."""

    def __init__(self, app: ASGIApp, stopping: Stopping) -> None:
        self._app = app
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        waited = size = 0.0
        more = True

        async def patient() -> Message:
            nonlocal waited, size, more
            if not more:
                return await receive()
            if self._stopping.over:
                raise _stopping()
            began = time.monotonic()
            try:
                async with asyncio.timeout(GRACE_S + size / LEAST_BYTES_S - waited):
                    message = await receive()
            except TimeoutError:
                raise _too_slow() from None
            waited += time.monotonic() - began
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
            return message

        await self._app(scope, patient, send)


def _too_slow() -> Problem:
    return Problem(
        408,
        "too-slow",
        "the body arrives too slowly; sending it again is safe",
        headers={"Connection": "close"},
    )


def _stopping() -> Problem:
    return Problem(
        503,
        "stopping",
        "the service is stopping; another may take it, and sending it again is safe",
        headers={"Connection": "close", "Retry-After": "2"},
    )
