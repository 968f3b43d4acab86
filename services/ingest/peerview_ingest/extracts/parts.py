"""multipart/form-data as it comes: a table a part, never more than a piece of one in memory."""

import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from peerview_common.problem import Problem
from peerview_ingest.body import decoded

MEDIA_TYPE: Final = b"multipart/form-data"
PIECE: Final = 65_536
"""Bytes parsed at once: the event loop is given back in between."""
MAX_NAME: Final = 100

# what it logs on its own quotes the body
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Begin:
    name: str


@dataclass(frozen=True, slots=True)
class Data:
    data: bytes


@dataclass(frozen=True, slots=True)
class End:
    pass


Event = Begin | Data | End


async def parts(request: Request) -> AsyncIterator[Event]:
    """The parts of the body in order: Begin, any number of Data, End. Problem 400 or 415 for what
    is none."""
    kind, options = parse_options_header(request.headers.get("content-type", "").encode())
    if kind != MEDIA_TYPE or not options.get(b"boundary"):
        raise Problem(415, "content-type", "send the tables as multipart/form-data, a part each")
    found: list[Event] = []
    closed: list[bool] = []
    try:
        parser = _parser(options[b"boundary"], found, lambda: closed.append(True))
        async for chunk in decoded(request):
            for start in range(0, len(chunk), PIECE):
                parser.write(chunk[start : start + PIECE])
                for event in found:
                    yield event
                found.clear()
    except FormParserError:
        # its message quotes the body
        raise Problem(
            400, "not-multipart", "the body is not the multipart/form-data that it says"
        ) from None
    if not closed:
        raise Problem(400, "not-multipart", "the body ends before its last boundary")


def _parser(boundary: bytes, found: list[Event], close: Callable[[], None]) -> MultipartParser:
    header = bytearray()
    value = bytearray()
    disposition: list[bytes] = []

    def begin() -> None:
        disposition.clear()

    def field(data: bytes, start: int, end: int) -> None:
        header.extend(data[start:end])

    def content(data: bytes, start: int, end: int) -> None:
        value.extend(data[start:end])

    def header_end() -> None:
        if bytes(header).lower() == b"content-disposition":
            disposition.append(bytes(value))
        header.clear()
        value.clear()

    def headers_finished() -> None:
        _, options = parse_options_header(disposition[0] if disposition else b"")
        name = options.get(b"name", b"")
        found.append(Begin(name[:MAX_NAME].decode("ascii", "replace")))

    def data(data: bytes, start: int, end: int) -> None:
        found.append(Data(data[start:end]))

    def end() -> None:
        found.append(End())

    return MultipartParser(
        boundary,
        {
            "on_part_begin": begin,
            "on_header_field": field,
            "on_header_value": content,
            "on_header_end": header_end,
            "on_headers_finished": headers_finished,
            "on_part_data": data,
            "on_part_end": end,
            "on_end": close,
        },
    )
