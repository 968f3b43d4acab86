"""JSON, parsed without trust."""

from collections.abc import Callable
from typing import Any

import msgspec

from peerview_ingest.fhir.shaping import shaped_line

_decoder = msgspec.json.Decoder()


class NotJsonError(ValueError):
    """A body or a line that is not JSON. The message names the place, never the content."""


def parse(data: bytes) -> Any:
    """JSON as Python objects; NotJsonError for anything else, however nasty."""
    if not data.strip():
        raise NotJsonError("the body is empty")
    return _parsed(_decoder.decode, data)


def parse_line(data: bytes) -> object:
    """A line of a feed: shaped already where it is a resource that ingest reads, else as ``parse``
    gives it."""
    return _parsed(shaped_line, data)


def _parsed(decode: Callable[[bytes], Any], data: bytes) -> Any:
    try:
        return decode(data.removeprefix(b"\xef\xbb\xbf"))
    except msgspec.DecodeError as error:
        raise NotJsonError(_place(str(error))) from None
    except (ValueError, RecursionError) as error:
        raise NotJsonError(f"not JSON ({type(error).__name__})") from None


def _place(message: str) -> str:
    # msgspec ends its messages with "(byte N)"; what comes before may quote the text
    _, found, place = message.rpartition("(byte ")
    if found:
        return f"not JSON at byte {place.rstrip(')')}"
    if "out of range" in message:
        return "holds a number that is too large"
    return "not JSON: it ends too early"
