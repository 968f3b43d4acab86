"""JSON, parsed without trust."""

from typing import Any

import msgspec

_decoder = msgspec.json.Decoder()


class NotJsonError(ValueError):
    """A body or a line that is not JSON. The message names the place, never the content."""


def parse(data: bytes) -> Any:
    """JSON as Python objects; NotJsonError for anything else, however nasty."""
    try:
        return _decoder.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except msgspec.DecodeError as error:
        raise NotJsonError(_place(str(error))) from None
    except (ValueError, RecursionError) as error:
        raise NotJsonError(f"not JSON ({type(error).__name__})") from None


def _place(message: str) -> str:
    # msgspec ends its messages with "(byte N)"; what comes before may quote the text
    _, found, place = message.rpartition("(byte ")
    return f"not JSON at byte {place.rstrip(')')}" if found else "not JSON: it ends too early"
