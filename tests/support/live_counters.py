"""A Prometheus at the network that knows one counter, scraped until this moment."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.web import any_request, serving

STEP = 0.05
_QUERY = re.compile(r"(?P<metric>\w+)\{(?P<inside>.*)\}\[(?P<window>\d+)ms\]")
_PODS = re.compile(r'\bpod=~"(?P<pods>[^"]*)"')


@dataclass
class LiveCounters:
    """`metric` stands still, or rises while somebody `asks`; of other metrics nothing is known.

    It is each asked pod's own, or a proxy's where the query names no pods. `only`: what a query
    must hold to be answered with anything; `broken`: the value that is told in place of its own.
    """

    metric: str
    url: str = ""
    asks: bool = False
    only: str = ""
    broken: str = ""
    queries: list[str] = field(default_factory=list)

    async def reply(self, request: web.Request) -> web.Response:
        """The samples of the window that the query names."""
        query = request.query["query"]
        self.queries.append(query)
        found = _QUERY.fullmatch(query)
        assert found is not None, query
        result: list[Any] = []
        if found["metric"] == self.metric and self.only in query:
            end, length = float(request.query["time"]), float(found["window"]) / 1000
            result = [self._series(name, end, length) for name in _counters(found["inside"])]
        data = {"resultType": "matrix", "result": result}
        text = json.dumps({"status": "success", "data": data})
        return web.Response(text=text, content_type="application/json")

    def _series(self, name: str, end: float, length: float) -> Any:
        first, last = int((end - length) / STEP) + 1, int(end / STEP)
        values = [
            [number * STEP, self.broken or str(number if self.asks else 7)]
            for number in range(first, last + 1)
        ]
        labels = {
            "pod": name,
            "job": "shop",
            "instance": f"{name}:80",
            "status": "2xx",
            "code": "200",
        }
        return {"metric": labels, "values": values}


def _counters(inside: str) -> list[str]:
    pods = _PODS.search(inside)
    if pods is None:
        return ["proxy-1"]
    return [re.sub(r"\\+", "", name) for name in pods["pods"].split("|")]


@asynccontextmanager
async def live_counters(metric: str) -> AsyncIterator[LiveCounters]:
    """The double, listening on a free loopback port."""
    double = LiveCounters(metric)
    async with serving(any_request(double.reply)) as address:
        double.url = f"http://{address}"
        yield double
