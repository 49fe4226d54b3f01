"""Sources of metrics at the network that all tell the same story, each in its own protocol."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

from aiohttp import web

from domain.metrics.measure import Measure
from domain.metrics.source import Asked
from domain.samples import Span
from tests.support.web import any_request, serving

SINCE = datetime(2026, 3, 1, 12, tzinfo=UTC)
LENGTH = timedelta(seconds=10)
NAMESPACE = "production"
# The same counters, by whatever source.
SHOP = Measure(
    name="own", requests="shop_requests_total", bad=({"code": ("5*",)},), probes={"path": ("/up",)}
)
RESTARTS = {"kube_pod_container_status_restarts_total", "kubernetes.containers.restarts"}


@dataclass(frozen=True)
class Counted:
    """One pod: what it counted in each interval of 10 s; None: nobody looked."""

    requests: tuple[float | None, ...]
    bad: tuple[float | None, ...] = ()
    restarts: int = 0

    def ends(self) -> list[tuple[float, float, float]]:
        """(end, requests, bad) of the intervals in which it was seen."""
        bad = (*self.bad, *(0.0 for _ in self.requests))
        begins = SINCE.timestamp()
        return [
            (begins + 10 * (number + 1), one, bad[number] or 0.0)
            for number, one in enumerate(self.requests)
            if one is not None
        ]


Story = Mapping[str, Counted]


def asked(story: Story, intervals: int, measure: Measure = SHOP) -> Asked:
    """One arm's question after so many intervals."""
    now = SINCE + intervals * LENGTH
    return Asked(
        arm="shop-1a2b",
        namespace=NAMESPACE,
        pods=dict.fromkeys(story, SINCE - timedelta(hours=1)),
        measure=measure,
        span=replace(Span.following(SINCE, SINCE, now, LENGTH), seen_from=SINCE - LENGTH),
    )


@dataclass
class SourceDouble:
    """Tells `story`, or what a test says; remembers what it was asked and with which headers."""

    kind: str
    story: Story = field(default_factory=dict)
    url: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    headers_seen: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    status: int = 200
    text: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    silent: bool = False
    echoes: bool = False
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def reply(self, request: web.Request) -> web.Response:
        """One answer."""
        self.asked.append(dict(request.query))
        self.headers_seen.append(dict(request.headers))
        self.paths.append(request.path)
        self.lengths.append(len(request.raw_path))
        if self.silent:
            await self.released.wait()
        if self.echoes:
            return web.Response(status=self.status, text=json.dumps(dict(request.headers)))
        if self.text is not None or self.status != 200:
            text = self.text or json.dumps({"error": "the reason", "errors": ["the reason"]})
            return web.Response(status=self.status, text=text, headers=self.headers)
        said = _PROTOCOLS[self.kind](self.story, request)
        return web.Response(text=json.dumps(said), content_type="application/json")


def _prometheus(story: Story, request: web.Request) -> Any:
    found = re.match(r"(\w+)\{", request.query.get("query", ""))
    metric = found[1] if found else ""
    result: list[Any] = []
    for pod, counted in story.items():
        labels = {"pod": pod, "namespace": NAMESPACE, "job": "shop", "instance": f"{pod}:80"}
        ends = counted.ends()
        if metric == "up":
            scrapes = [(SINCE.timestamp(), 1.0), *((end, 1.0) for end, _, _ in ends)]
            result.append(_matrix(labels, scrapes))
        elif metric in RESTARTS:
            result.append(_matrix({"pod": pod}, [(end, counted.restarts) for end, _, _ in ends]))
        elif metric == SHOP.requests and any(requests for _, requests, _ in ends):
            for code, counts in _by_code(ends).items():
                times = [SINCE.timestamp(), *(end for end, _, _ in ends)]
                sums = list(accumulate([100.0, *counts]))
                result.append(
                    _matrix({**labels, "code": code}, list(zip(times, sums, strict=True)))
                )
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}


def _matrix(labels: Mapping[str, str], points: list[tuple[float, float]]) -> Any:
    return {"metric": labels, "values": [[time, str(value)] for time, value in points]}


def _by_code(ends: list[tuple[float, float, float]]) -> dict[str, list[float]]:
    good = [requests - bad for _, requests, bad in ends]
    return {"200": good, "500": [bad for _, _, bad in ends]}


def _datadog(story: Story, request: web.Request) -> Any:
    if request.path.endswith("/validate"):
        return {"valid": True}
    series: list[Any] = []
    for pod, counted in story.items():
        ends = counted.ends()
        if any(requests for _, requests, _ in ends):
            for code, counts in _by_code(ends).items():
                # What counted nothing in an interval has no point in it.
                points = [
                    [(end - 10) * 1000, count or None]
                    for (end, _, _), count in zip(ends, counts, strict=True)
                ]
                series.append(
                    _dogs(str(SHOP.requests), (f"pod_name:{pod}", f"code:{code}"), points)
                )
        gauge = [[(end - 10) * 1000, counted.restarts] for end, _, _ in ends]
        tags = (f"pod_name:{pod}", "kube_container_name:shop")
        series.append(_dogs("kubernetes.containers.restarts", tags, gauge))
    return {"status": "ok", "series": series}


def _dogs(metric: str, tags: tuple[str, ...], points: list[Any]) -> Any:
    return {"metric": metric, "tag_set": list(tags), "interval": 10, "pointlist": points}


def _http_json(story: Story, request: web.Request) -> Any:
    return {
        "version": 1,
        "pods": {
            pod: {
                "begins": SINCE.timestamp(),
                "intervals": [
                    {"until": end, "requests": requests, "bad": bad}
                    for end, requests, bad in counted.ends()
                ],
            }
            for pod, counted in story.items()
            if request.query.get("arm") != ""
        },
    }


_PROTOCOLS = {"prometheus": _prometheus, "datadog": _datadog, "http-json": _http_json}


@asynccontextmanager
async def source_double(
    kind: str, tls: ssl.SSLContext | None = None
) -> AsyncIterator[SourceDouble]:
    """The double, listening on a free loopback port."""
    double = SourceDouble(kind)
    async with serving(any_request(double.reply), tls=tls) as address:
        double.url = f"{'https' if tls else 'http'}://{address}"
        try:
            yield double
        finally:
            double.released.set()
