"""What stands between each worker and the broker: a gate that can be shut.

A broker sends its clients on to the address that it advertises. So every gate has a listener of the
broker's for itself, which advertises the gate: all that its worker says passes here, whichever
connection it opens. Held records are like a slow network's: the worker waits for its
acknowledgement, and its commits and heartbeats go through. A gate that is shut is a network that is
down: connections stay, and nothing comes.
"""

import asyncio
import contextlib
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final

from peerview_tools.jvm_broker import HOST, free_port

_PRODUCE: Final = 0
_COMMIT: Final = 8
_TOPICS_AT: Final = 3
"""The version of a produce request from which a transaction's name stands before the rest."""
_LAST_PLAIN: Final = 8
"""The last version of it without compact encoding; aiokafka knows no later one."""


def written_to(request: bytes) -> set[tuple[str, int]]:
    """The topics and partitions that a produce request, without its length, has records for."""
    version, place = struct.unpack_from(">h", request, 2)[0], 8
    assert version <= _LAST_PLAIN, f"produce request of version {version}"

    def number(form: str) -> int:
        nonlocal place
        found: int = struct.unpack_from(form, request, place)[0]
        place += struct.calcsize(form)
        return found

    def text() -> str:
        nonlocal place
        length = max(0, number(">h"))
        place += length
        return request[place - length : place].decode()

    text()
    if version >= _TOPICS_AT:
        text()
    place += 6
    found = set()
    for _ in range(number(">i")):
        topic = text()
        for _ in range(number(">i")):
            found.add((topic, number(">i")))
            size = number(">i")
            place += max(0, size)
    return found


_LAST_ANSWERS_S: Final = 10.0


class Gate:
    """One worker's way to the broker. Its state is changed by ``Gates``' thread alone."""

    def __init__(self, run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._run = run
        self.port = free_port()
        """Where clients come in, and what the listener advertises."""
        self.listener_port = free_port()
        self._records, self._others, self._back = (asyncio.Event() for _ in range(3))
        """What passes: requests with records, other requests, answers."""
        self._slowness = 0.0
        self._until_commit = False
        self._set_all()
        self._connections: set[asyncio.Task[None]] = set()
        self._held: list[bytes] = []

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def hold(self) -> None:
        """From now on no records reach the broker; all else does."""
        self._run(self._stop(self._records))

    def hold_at_commit(self, slowness: float) -> None:
        """From now on records take so many seconds to pass, and after the next commit none does: it
        comes when there is always more that is not acknowledged yet."""
        self._run(self._slow_down(slowness))

    def mute(self) -> None:
        """From now on no answer comes back."""
        self._run(self._stop(self._back))

    def shut(self) -> None:
        """From now on nothing passes in either direction."""
        self._run(self._stop(self._records, self._others, self._back))

    def open(self) -> None:
        """What was held goes on, in its order, also when its worker is no more."""
        self._run(self._open())

    def drop(self) -> None:
        """Forget what was held, and close all connections: the machine is gone."""
        self._run(self._drop())

    @property
    def records_stop(self) -> bool:
        """Records are held; after ``hold_at_commit``: the commit has passed."""
        return not self._records.is_set()

    @property
    def is_open(self) -> bool:
        return self._records.is_set() and self._others.is_set() and self._back.is_set()

    @property
    def holding(self) -> set[tuple[str, int]]:
        """The topics and partitions of the records that are held."""
        return {place for request in list(self._held) for place in written_to(request)}

    async def _stop(self, *ways: asyncio.Event) -> None:
        for way in ways:
            way.clear()

    async def _slow_down(self, slowness: float) -> None:
        self._slowness, self._until_commit = slowness, True

    async def _open(self) -> None:
        self._set_all()

    def _set_all(self) -> None:
        self._slowness, self._until_commit = 0.0, False
        for way in (self._records, self._others, self._back):
            way.set()

    async def _drop(self) -> None:
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._set_all()

    # -- connections

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._relay(reader, writer)
        finally:
            self._connections.discard(task)
            writer.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        broker_reader, broker_writer = await asyncio.open_connection(HOST, self.listener_port)
        requests = asyncio.ensure_future(self._requests(reader, broker_writer))
        answers = asyncio.ensure_future(self._answers(broker_reader, writer))
        try:
            await asyncio.wait({requests, answers}, return_when=asyncio.FIRST_COMPLETED)
            if not answers.done():
                # the broker ends the connection when it has read everything
                broker_writer.write_eof()
                await asyncio.wait({answers}, timeout=_LAST_ANSWERS_S)
        finally:
            for way in (requests, answers):
                way.cancel()
            await asyncio.gather(requests, answers, return_exceptions=True)
            broker_writer.close()

    async def _requests(
        self, reader: asyncio.StreamReader, broker_writer: asyncio.StreamWriter
    ) -> None:
        """One request after the other, until there is no more. What a worker that was killed had
        sent before goes through, as it would from its socket."""
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                length = await reader.readexactly(4)
                request = await reader.readexactly(int.from_bytes(length, "big"))
                await self._pass(request)
                broker_writer.write(length + request)
                await broker_writer.drain()

    async def _pass(self, request: bytes) -> None:
        kind = int.from_bytes(request[:2], "big")
        if kind != _PRODUCE:
            await self._others.wait()
            if kind == _COMMIT and self._until_commit:
                self._records.clear()
            return
        self._held.append(request)
        try:
            if self._slowness:
                await asyncio.sleep(self._slowness)
            await self._records.wait()
        finally:
            self._held.remove(request)

    async def _answers(
        self, broker_reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await broker_reader.read(65_536):
            await self._back.wait()
            # whoever asked may be gone: what they asked for is done all the same
            with contextlib.suppress(OSError):
                writer.write(data)
                await writer.drain()


class Gates:
    """So many gates, and the settings of the broker behind them."""

    def __init__(self, count: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.broker_port = free_port()
        self._controller_port = free_port()
        self.gates = [Gate(self._run) for _ in range(count)]
        self._servers: list[asyncio.Server] = []
        self._thread.start()
        self._run(self._listen())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> None:
        for gate in self.gates:
            self._servers.append(await asyncio.start_server(gate.connected, HOST, gate.port))

    @property
    def broker_properties(self) -> dict[str, str]:
        """A listener for each gate, beside the plain one, which tests themselves use."""
        own = {f"GATE{number}": gate for number, gate in enumerate(self.gates)}
        plain = f"PLAINTEXT://{HOST}:{self.broker_port}"
        controller = f"{HOST}:{self._controller_port}"
        behind = [f"{name}://{HOST}:{gate.listener_port}" for name, gate in own.items()]
        before = [f"{name}://{gate.address}" for name, gate in own.items()]
        names = ["PLAINTEXT", "CONTROLLER", *own]
        return {
            "controller.quorum.voters": f"1@{controller}",
            "listeners": ",".join([plain, f"CONTROLLER://{controller}", *behind]),
            "advertised.listeners": ",".join([plain, *before]),
            "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in names),
            # of each listener
            "num.network.threads": "1",
        }

    def close(self) -> None:
        for gate in self.gates:
            gate.drop()
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
