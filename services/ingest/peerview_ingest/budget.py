"""How many bytes of bodies the service holds at once, all callers together.

A body that is read whole counts from its first byte, unpacked, until its request is answered.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from peerview_common import metrics
from peerview_ingest.publisher import BusyError


class Budget:
    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0

    def change(self, size: int) -> None:
        self.held += size
        metrics.held.set(self.held)


class Held:
    """One request's share."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._size = 0

    def grow(self, size: int) -> None:
        """Raises BusyError where that is too much; a request that is alone may always go on."""
        others = self._budget.held - self._size
        if others and self._budget.held + size > self._budget.limit:
            raise BusyError("too many bytes of bodies are held")
        self._size += size
        self._budget.change(size)

    def release(self) -> None:
        self._budget.change(-self._size)
        self._size = 0


class Budgeting:
    """ASGI middleware: ``request.state.held`` is the request's share, given back at its end."""

    def __init__(self, app: ASGIApp, budget: Budget) -> None:
        self._app = app
        self._budget = budget

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        held = scope.setdefault("state", {})["held"] = Held(self._budget)
        try:
            await self._app(scope, receive, send)
        finally:
            held.release()
