"""A Prometheus at the network that answers what a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web


def matrix(*series: tuple[dict[str, str], list[tuple[float, str]]]) -> dict[str, Any]:
    """The body of a range-selector answer."""
    result = [{"metric": labels, "values": values} for labels, values in series]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}


class PrometheusDouble:
    """Records queries; `answer` or (`status`, `text`) is what it says; `silent` says nothing."""

    def __init__(self) -> None:
        self.url = ""
        self.queries: list[dict[str, str]] = []
        self.answer: Any = matrix()
        self.status = 200
        self.text: str | None = None
        self.headers: dict[str, str] = {}
        self.silent = False
        self.released = asyncio.Event()

    async def reply(self, request: web.Request) -> web.Response:
        """One answer to any request."""
        self.queries.append(dict(request.query))
        if self.silent:
            await self.released.wait()
        if self.text is not None:
            return web.Response(status=self.status, text=self.text, headers=self.headers)
        return web.json_response(self.answer, status=self.status, headers=self.headers)


@asynccontextmanager
async def prometheus_double() -> AsyncIterator[PrometheusDouble]:
    """The double, listening on a free loopback port."""
    double = PrometheusDouble()
    application = web.Application()
    application.router.add_route("*", "/{anything:.*}", double.reply)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    double.url = f"http://{host}:{port}"
    try:
        yield double
    finally:
        double.released.set()
        await runner.cleanup()
