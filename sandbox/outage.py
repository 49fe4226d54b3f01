"""Outages on demand: while one lasts, a server answers 503 to everything, or says nothing."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware


class Outage:
    """The switch of one server: up, or down for a while or until it is lifted."""

    def __init__(self, system: str) -> None:
        self.system = system
        self._until = 0.0
        self._hangs = False
        self._over = asyncio.Event()

    @property
    def active(self) -> bool:
        """True while the server is to answer 503, or nothing at all."""
        return time.monotonic() < self._until

    def begin(self, seconds: float | None = None, *, hang: bool = False) -> None:
        """Go down for `seconds` of wall time, or until `end` when None.

        One that hangs accepts every request and answers none before the outage is over.
        """
        self._hangs = hang
        self._over.clear()
        self._until = float("inf") if seconds is None else time.monotonic() + seconds

    def end(self) -> None:
        """Come back at once."""
        self._until = 0.0
        self._over.set()

    def middleware(self) -> Middleware:
        """The aiohttp middleware that answers for the server while it is down."""

        @web.middleware
        async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
            if self.active:
                if self._hangs:
                    await self._silence()
                text = f"sandbox: {self.system} is down on purpose (POST /sandbox/outage)\n"
                return web.Response(status=503, text=text)
            return await handler(request)

        return answer

    async def _silence(self) -> None:
        left = self._until - time.monotonic()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), None if left == float("inf") else left)
