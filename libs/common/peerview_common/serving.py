"""The HTTP server under every service: uvicorn, with the limits that it leaves to others.

A connection that sends its request line and headers slowly, without end, or not at all, and one
that does not read its answer, is closed. On SIGTERM or SIGINT the server takes no new connection,
finishes the requests that it has, and the process ends with code 0.
"""

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import HANDLED_SIGNALS

DRAIN_S: Final = 25
"""Requests under way get so long after SIGTERM; then they are cut off."""
KEEP_ALIVE_S: Final = 15
"""How long a connection may lie idle between two requests."""
HEADERS_S: Final = 10.0
"""From the first byte (or from connecting) until a request's headers are whole."""
HEADERS_BYTES: Final = 65_536
UNREAD_S: Final = 30.0
"""How long a caller may leave an answer unread."""
BACKLOG: Final = 1_024
MAX_CONNECTIONS: Final = 2_000
"""More than these get 503 at once."""


class Protocol(HttpToolsProtocol):
    """One connection."""

    _late: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _begun = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_headers()

    def data_received(self, data: bytes) -> None:
        if self._late is None and (self.cycle is None or self.cycle.response_complete):
            # also what is left of a body that nobody reads any more
            self._await_headers()
        if self._late is not None:
            self._begun += len(data)
        super().data_received(data)
        if self._late is not None and self._begun > HEADERS_BYTES:
            self.transport.abort()

    def on_headers_complete(self) -> None:
        self._stop("_late")
        super().on_headers_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop("_unread")
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop("_late")
        self._stop("_unread")
        super().connection_lost(exc)

    def _await_headers(self) -> None:
        self._begun = 0
        self._late = self.loop.call_later(HEADERS_S, self.transport.abort)

    def _stop(self, name: str) -> None:
        timer = getattr(self, name)
        if timer is not None:
            timer.cancel()
            setattr(self, name, None)


class Server(uvicorn.Server):
    """``stopping`` is called once, at the signal that begins the end."""

    def __init__(self, config: uvicorn.Config, stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._stopping = stopping

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            self._stopping()
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but the signal is not raised again at the end: an orderly end is no crash,
        and its exit code says so."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; half-open peers of its connections are noticed by the kernel."""
    listener = socket.create_server((host, port), backlog=BACKLOG)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # what is accepted inherits it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(UNREAD_S * 1000))
    return listener


def server(app: Any, stopping: Callable[[], None]) -> Server:
    """A server of ``app``; run it with ``server(...).run(sockets=[listen(...)])``."""
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        log_config=None,
        log_level="warning",
        access_log=False,  # paths hold ids; peerview_common.ops logs by route
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
    )
    return Server(config, stopping)
