"""Addresses as clients write them: with or without a slash at the end."""

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

ROOTS: Final = ("/fhir/", "/v1/")


class Slashless:
    """Takes slashes off the end of an address under ``/fhir`` or ``/v1``: many clients join a base
    and a path with one too many, and a redirect would have them send the body twice."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(ROOTS):
            # in place: what measures requests looks for the route in the scope that it has
            scope["path"] = scope["path"].rstrip("/")
        await self._app(scope, receive, send)
