"""The report of a request as it comes about: NDJSON, a line for each refusal or warning, then the
receipt."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from typing import Any, Final

from fastapi import Response
from msgspec import json
from starlette.types import Receive, Scope, Send

from peerview_ingest.fhir import Issue

MEDIA_TYPE: Final = "application/x-ndjson"
STALLED_S: Final = 60.0
"""A sender that reads nothing of the report for so long has its request ended."""


def wanted(accept: str | None) -> bool:
    """Whether an ``Accept`` header asks for it."""
    return any(
        part.split(";")[0].strip().lower() in (MEDIA_TYPE, "application/ndjson")
        for part in (accept or "").split(",")
    )


def line(content: Mapping[str, Any]) -> bytes:
    return json.encode(content) + b"\n"


def issue_lines(issues: Iterable[tuple[int | None, Issue]]) -> bytes:
    return b"".join(
        line(
            {
                "line": number,
                "severity": issue.severity,
                "place": issue.expression,
                "code": issue.code,
                "reason": issue.diagnostics,
            }
        )
        for number, issue in issues
    )


class Streamed(Response):
    """Sends pieces as they come, while the request's body is still being read.

    Starlette's own streaming response reads the request's messages too, to see it end: it would
    take the body away.
    """

    media_type = MEDIA_TYPE

    def __init__(self, pieces: AsyncGenerator[bytes, None], status: int) -> None:
        super().__init__(status_code=status)
        del self.headers["content-length"]
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._pieces) as pieces:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            async for piece in pieces:
                if piece:
                    body = {"type": "http.response.body", "body": piece, "more_body": True}
                    await asyncio.wait_for(send(body), STALLED_S)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
