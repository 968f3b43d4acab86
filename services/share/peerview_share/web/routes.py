"""Routes whose refusals are pages too, for people: the same statuses as the API's."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from peerview_common import problem
from peerview_common.auth import AuthError
from peerview_common.problem import Problem
from peerview_share.agreements.current import StaleError
from peerview_share.store.audit import UnloggedError
from peerview_share.web.rendering import html
from peerview_share.web.visitor import NoPracticeError

TITLES = {
    400: "That cannot be shown",
    401: "Sign in first",
    403: "That is not allowed",
    404: "There is no such page",
    409: "That cannot be done now",
    413: "That is too long",
    422: "That cannot be shown",
    503: "Not available just now",
}


class PageRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await inner(request)
            except NoPracticeError:
                return html(request, request.app.state.share, "empty.html")
            except Problem as found:
                return _page(request, found)
            except AuthError as error:
                return _page(request, problem.from_auth(error))
            except RequestValidationError:
                return _page(request, Problem(422, "invalid", "the address is not a complete one"))
            except StaleError:
                detail = "agreements could not be confirmed just now, so nothing is shown"
                return _page(request, _later("agreements-unconfirmed", detail))
            except UnloggedError:
                detail = "this look could not be logged just now, so nothing is shown"
                return _page(request, _later("audit-unavailable", detail))

        return handler


def _later(code: str, detail: str) -> Problem:
    return Problem(503, code, detail, headers={"Retry-After": "5"})


def _page(request: Request, found: Problem) -> Response:
    answer = html(
        request,
        request.app.state.share,
        "refused.html",
        status=found.status,
        title=TITLES.get(found.status, "That went wrong"),
        detail=found.detail,
    )
    answer.headers.update(found.headers)
    return answer
