"""Prepared HTTP requests, sent as fast or as evenly as asked, at next to no cost of our own."""

import asyncio
import time
from collections.abc import Sequence
from typing import Self
from urllib.parse import urlsplit


def prepared(path: str, token: str, body: bytes) -> bytes:
    """A POST of FHIR, ready to be written."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/fhir+json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection:
    """One kept connection: a request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, address: str) -> Self:
        parts = urlsplit(address)
        return cls(*await asyncio.open_connection(parts.hostname, parts.port))

    async def send(self, request: bytes) -> int:
        """The answer's status; all of it is read."""
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
        if length:
            await self._reader.readexactly(int(length))
        return int(head.split(b" ", 2)[1])

    def close(self) -> None:
        self._writer.close()


async def as_fast_as_possible(
    address: str, streams: Sequence[Sequence[bytes]], seconds: float
) -> float:
    """Requests a second, each stream on a connection of its own, the next once one is answered."""
    end = time.perf_counter() + seconds
    done = 0

    async def one(stream: Sequence[bytes]) -> None:
        nonlocal done
        connection = await Connection.open(address)
        for request in stream:
            if time.perf_counter() >= end:
                break
            _check(await connection.send(request))
            done += 1
        connection.close()

    began = time.perf_counter()
    await asyncio.gather(*(one(stream) for stream in streams))
    return done / (time.perf_counter() - began)


async def evenly(address: str, requests: Sequence[bytes], rate: float) -> list[float]:
    """Seconds until each was answered, from the moment at which it was due: that one is sent late
    because others are still under way is part of it."""
    free: list[Connection] = []
    waits: list[float] = []
    under_way: set[asyncio.Task[None]] = set()

    async def one(request: bytes, due: float) -> None:
        connection = free.pop() if free else await Connection.open(address)
        _check(await connection.send(request))
        waits.append(time.perf_counter() - due)
        free.append(connection)

    began = time.perf_counter()
    for number, request in enumerate(requests):
        due = began + number / rate
        pause = due - time.perf_counter()
        if pause > 0:
            await asyncio.sleep(pause)
        task = asyncio.ensure_future(one(request, due))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)
    for connection in free:
        connection.close()
    return waits


def _check(status: int) -> None:
    if status != 202:
        raise RuntimeError(f"answered {status}")
