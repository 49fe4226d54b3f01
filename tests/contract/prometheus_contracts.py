"""What a Prometheus answers to our client: raw samples by range selectors, and refusals."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from tests.contract.conversations import Answer, Conversation, Question
from tests.contract.targets import Masks

Contract = Callable[[Conversation], Awaitable[None]]
NAMESPACE, ROUTE = "contract", "/api/v1/albums"
PODS = ("album-1", "album-2")
# Scraped, and never asked anything; its scrape refused.
QUIET, DOWN = "album-3", "album-4"
HISTOGRAM = "http_server_request_duration_seconds"
EDGES = ("0.005", "0.25", "1", "2.5", "10", "+Inf")
RESTARTS = "kube_pod_container_status_restarts_total"
# What each pod counts: requests up to each edge, and their seconds in all.
COUNTS = {"album-1": (1, 40, 42, 42, 43, 44), "album-2": (0, 7, 7, 7, 7, 7)}
SECONDS = {"album-1": 12.25, "album-2": 0.5}
_WINDOW = "60000ms"
_ENOUGH = 3
_SERIES_LIMIT = 10_000
_OF_ROUTE = f'{{http_route="{ROUTE}",namespace="{NAMESPACE}"}}'
_OF_PODS = f'{{namespace="{NAMESPACE}",pod=~"album-1|album-2"}}'
MASKS = Masks(values={"instance": "address", "error": "sentence"})


async def raw_samples(talk: Conversation) -> None:
    """Series by equality and by expression, each with its samples as they were scraped."""
    selectors = {
        "counts of a route": f"{HISTOGRAM}_count{_OF_ROUTE}",
        "buckets of pods": f"{HISTOGRAM}_bucket{_OF_PODS}",
        "seconds by expressions": f'{HISTOGRAM}_sum{{pod=~"album-.*"}}',
        "restarts": f'{RESTARTS}{{namespace="{NAMESPACE}",pod="album-1"}}',
        "no such series": f'{HISTOGRAM}_count{{namespace="elsewhere"}}',
        "one edge": f'{HISTOGRAM}_bucket{{le="1",pod="album-1"}}',
        "an expression that must fit whole": f'{HISTOGRAM}_sum{{pod=~"album"}}',
    }
    for what, expression in selectors.items():
        await talk.step(what, query(f"{expression}[{_WINDOW}]"), samples)
    before = query(f"{HISTOGRAM}_sum{_OF_PODS}[{_WINDOW}]", time=f"{time.time() - 86_400:.3f}")
    await talk.step("a day ago", before, samples)
    few = query(f"{HISTOGRAM}_sum{_OF_PODS}[{_WINDOW}]", limit="1")
    await talk.step("more series than the limit", few, _counted)


async def up(talk: Conversation) -> None:
    """Who was scraped: also a pod that has no series of requests yet, and one that refuses."""
    for pod in (PODS[0], QUIET, DOWN):
        matchers = f'{{namespace="{NAMESPACE}",pod=~"{pod}"}}'
        await talk.step(f"up of {pod}", query(f"up{matchers}[{_WINDOW}]"), samples)
        of_requests = query(f"{HISTOGRAM}_bucket{matchers}[{_WINDOW}]")
        await talk.step(f"requests of {pod}", of_requests, _counted)


async def refusals(talk: Conversation) -> None:
    """Questions that cannot be answered."""
    wrong = {
        "an open brace": query(f"{HISTOGRAM}_sum{{"),
        "no expression": query(""),
        "a bad expression": query(f'{HISTOGRAM}_sum{{pod=~"("}}[{_WINDOW}]'),
        "no such time": query(f"{HISTOGRAM}_sum[{_WINDOW}]", time="noon"),
        "no such timeout": query(f"{HISTOGRAM}_sum[{_WINDOW}]", timeout="soon"),
        "no such limit": query(f"{HISTOGRAM}_sum[{_WINDOW}]", limit="all"),
        "no such path": Question("GET", "/api/v1/no-such-thing"),
    }
    for what, question in wrong.items():
        await talk.step(what, question)


async def readiness(talk: Conversation) -> None:
    """Whether it serves."""
    await talk.step("ready", Question("GET", "/-/ready"))


def query(expression: str, **changes: str) -> Question:
    """The instant query that our client sends, at this moment."""
    parameters = {
        "query": expression,
        "time": f"{time.time():.3f}",
        "timeout": "10000ms",
        "limit": str(_SERIES_LIMIT + 1),
        "partial_response": "false",
        "deny_partial_response": "1",
        **changes,
    }
    return Question("GET", "/api/v1/query", urlencode(parameters))


def is_filled(answer: Answer) -> bool:
    """Whether every pod was scraped a few times, or tried to."""
    if answer.status != 200:
        return False
    series = answer.body["data"]["result"]
    return len(series) == len((*PODS, QUIET, DOWN)) and all(
        len(one["values"]) >= _ENOUGH for one in series
    )


FILLED = f'up{{namespace="{NAMESPACE}"}}[{_WINDOW}]'


def samples(body: Any) -> Any:
    """The answer with its series in order, and of their samples what does not depend on the clock.

    `values` becomes: whether there are several, at rising times in seconds, and which texts.
    """
    found = [
        {**series, "values": _of_values(series["values"])} for series in body["data"]["result"]
    ]
    found.sort(key=lambda series: sorted(series["metric"].items()))
    return {**body, "data": {**body["data"], "result": found}}


def _of_values(values: list[Any]) -> Any:
    times = [at for at, _ in values]
    now = time.time()
    return {
        "several": len(values) >= _ENOUGH,
        "rising": times == sorted(set(times)),
        "in seconds": all(isinstance(at, int | float) and abs(now - at) < 3600 for at in times),
        "texts": sorted({text for _, text in values}),
    }


def _counted(body: Any) -> Any:
    return {**body, "data": {**body["data"], "result": len(body["data"]["result"])}}


CONTRACTS: dict[str, Contract] = {
    "prometheus/raw-samples": raw_samples,
    "prometheus/refusals": refusals,
    "prometheus/up": up,
    "prometheus/readiness": readiness,
}
