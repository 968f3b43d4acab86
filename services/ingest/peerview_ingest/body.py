"""Request bodies: bounded, and decompressed as they come."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Final

import zstandard
from starlette.requests import ClientDisconnect, Request

from peerview_common.problem import Problem
from peerview_ingest.budget import Held
from peerview_ingest.limits import Allowance

PIECE: Final = 1 << 20
"""Decompressed bytes handed on at once."""
ZSTD_SLICE: Final = 256
"""Compressed bytes taken at once: four of them can be a block of 128 kB, so these are 8 MB at most;
the library itself knows no bound."""
ZSTD_WINDOW: Final = 1 << 23


def too_large(limit: int) -> Problem:
    return Problem(
        413,
        "too-large",
        f"the body is over {limit} bytes: send smaller Bundles, or lines to /v1/bulk",
        limit=limit,
    )


async def decoded(request: Request) -> AsyncIterator[bytes]:
    """The body's bytes, decompressed: as they come, and no faster than the caller may send."""
    allowance: Allowance | None = getattr(request.state, "allowance", None)
    async for piece in _decoded(request):
        if allowance is not None:
            await allowance.read(len(piece))
        yield piece


async def _decoded(request: Request) -> AsyncIterator[bytes]:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "zstd"):
        raise Problem(415, "content-encoding", "Content-Encoding must be gzip, zstd or absent")
    stages: dict[str, type[_Gzip] | type[_Zstd]] = {"gzip": _Gzip, "zstd": _Zstd}
    stage = stages[encoding]() if encoding in stages else None
    try:
        async for chunk in request.stream():
            if stage is None:
                yield chunk
                continue
            for piece in stage.feed(chunk):
                yield piece
                if len(piece) >= PIECE:
                    await asyncio.sleep(0)  # others want the event loop too
    except (zlib.error, zstandard.ZstdError):
        raise Problem(400, "not-compressed", f"the body is not {encoding}") from None
    except ClientDisconnect:
        raise Problem(400, "disconnected", "the body ended before its end") from None
    if stage is not None and not stage.complete:
        raise Problem(400, "not-compressed", f"the {encoding} body ends too early")


async def whole(request: Request, limit: int) -> bytes:
    """The whole body, or 413 as soon as it is seen to be over ``limit``."""
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > limit:
        raise too_large(limit)
    held: Held | None = getattr(request.state, "held", None)
    data = bytearray()
    async for chunk in decoded(request):
        if held is not None:
            held.grow(len(chunk))
        data += chunk
        if len(data) > limit:
            raise too_large(limit)
    return bytes(data)


class _Gzip:
    """Several members one after the other are one stream."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)
        self._begun = False

    @property
    def complete(self) -> bool:
        return self._member.eof or not self._begun

    def feed(self, data: bytes) -> Iterator[bytes]:
        more = bool(data)
        while more:
            if self._member.eof:
                self._member = zlib.decompressobj(wbits=31)
            self._begun = True
            piece = self._member.decompress(data, PIECE)
            yield piece
            data = self._member.unconsumed_tail or self._member.unused_data
            # a full piece may have more behind it, though all input is taken
            more = bool(data) or (len(piece) == PIECE and not self._member.eof)


class _Zstd:
    """Several frames one after the other are one stream."""

    def __init__(self) -> None:
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)
        self._frame = self._decompressor.decompressobj()
        self._begun = False

    @property
    def complete(self) -> bool:
        return self._frame.eof or not self._begun

    def feed(self, data: bytes) -> Iterator[bytes]:
        found: list[bytes] = []
        size = 0
        for start in range(0, len(data), ZSTD_SLICE):
            piece = self._take(data[start : start + ZSTD_SLICE])
            found.append(piece)
            size += len(piece)
            if size >= PIECE:
                yield b"".join(found)
                found, size = [], 0
        yield b"".join(found)

    def _take(self, data: bytes) -> bytes:
        found = b""
        while data:
            if self._frame.eof:
                self._frame = self._decompressor.decompressobj()
            self._begun = True
            found += self._frame.decompress(data)
            data = self._frame.unused_data
        return found
