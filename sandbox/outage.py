"""Outages on demand: while one lasts, a server answers 503 to everything (tests of waiting)."""

from __future__ import annotations

import time

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware


class Outage:
    """The switch of one server: up, or down for a while or until it is lifted."""

    def __init__(self, system: str) -> None:
        self.system = system
        self._until = 0.0

    @property
    def active(self) -> bool:
        """True while the server is to answer 503."""
        return time.monotonic() < self._until

    def begin(self, seconds: float | None = None) -> None:
        """Go down for `seconds` of wall time, or until `end` when None."""
        self._until = float("inf") if seconds is None else time.monotonic() + seconds

    def end(self) -> None:
        """Come back at once."""
        self._until = 0.0

    def middleware(self) -> Middleware:
        """The aiohttp middleware that answers for the server while it is down."""

        @web.middleware
        async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
            if self.active:
                text = f"sandbox: {self.system} is down on purpose (POST /sandbox/outage)\n"
                return web.Response(status=503, text=text)
            return await handler(request)

        return answer
