"""A Prometheus at the network that answers what a test tells it to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.support.web import any_request, serving


def matrix(*series: tuple[dict[str, str], list[tuple[float, str]]]) -> dict[str, Any]:
    """The body of a range-selector answer."""
    result = [{"metric": labels, "values": values} for labels, values in series]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}


class PrometheusDouble:
    """Records queries; `answer` or (`status`, `text`) is what it says; `silent` says nothing.

    `refused`: one path that gets another status.
    """

    def __init__(self) -> None:
        self.url = ""
        self.queries: list[dict[str, str]] = []
        self.answer: Any = matrix()
        self.status = 200
        self.text: str | None = None
        self.headers: dict[str, str] = {}
        self.refused: tuple[str, int] | None = None
        self.silent = False
        self.released = asyncio.Event()

    async def reply(self, request: web.Request) -> web.Response:
        """One answer to any request."""
        self.queries.append(dict(request.query))
        if self.silent:
            await self.released.wait()
        status, refused = self.status, self.refused
        if refused is not None and request.path == refused[0]:
            status = refused[1]
        headers = {"Content-Type": "application/json", **self.headers}
        text = json.dumps(self.answer) if self.text is None else self.text
        return web.Response(status=status, text=text, headers=headers)


@asynccontextmanager
async def prometheus_double() -> AsyncIterator[PrometheusDouble]:
    """The double, listening on a free loopback port."""
    double = PrometheusDouble()
    async with serving(any_request(double.reply)) as address:
        double.url = f"http://{address}"
        try:
            yield double
        finally:
            double.released.set()
