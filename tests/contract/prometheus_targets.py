"""Prometheus under contract: the sandbox's, or a real one that scrapes counters of ours."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import yaml
from aiohttp import web

from sandbox.latency import EDGE_LABELS
from sandbox.metrics import Scrape, Scraper, SeriesStore, labels_of
from sandbox.metrics import Target as ScrapeTarget
from sandbox.prometheus import Prometheus
from tests.cluster import ports
from tests.cluster.processes import Processes
from tests.cluster.programs import program
from tests.contract.conversations import Step, conversation
from tests.contract.prometheus_contracts import (
    CONTRACTS,
    COUNTS,
    DOWN,
    EDGES,
    FILLED,
    HISTOGRAM,
    MASKS,
    NAMESPACE,
    PODS,
    QUIET,
    RESTARTS,
    ROUTE,
    SECONDS,
    is_filled,
    query,
)
from tests.contract.targets import Target
from tests.support.web import serving

# As our client's library names itself.
_HEADERS = {"User-Agent": "python-requests/contract"}
_JOB, _SCRAPES, _SCRAPE_MS = "album", 4, 200
_REQUEST = {
    "http_request_method": "GET",
    "http_route": ROUTE,
    "http_response_status_code": "200",
}


@asynccontextmanager
async def simulated() -> AsyncIterator[Target]:
    """The sandbox's Prometheus, its scraper fed with the counters."""
    scraper = Scraper(SeriesStore())
    now = round(time.time() * 1000)
    for number in range(_SCRAPES):
        at = now - (_SCRAPES - number) * _SCRAPE_MS
        scraper.take(at, [_scrape(pod) for pod in (*PODS, QUIET, DOWN)])
    prometheus = Prometheus(scraper, _SCRAPE_MS / 1000)
    await prometheus.start()
    try:
        yield Target(prometheus.url, _HEADERS)
    finally:
        await prometheus.close()


@asynccontextmanager
async def real(directory: Path) -> AsyncIterator[Target]:
    """A real one, once it has scraped the counters a few times."""
    directory.mkdir(parents=True, exist_ok=True)
    (port,) = ports.free(1)
    async with _exposition() as exposed:
        file = directory / "prometheus.yaml"
        file.write_text(yaml.safe_dump(_settings(exposed)))
        target = Target(f"http://{ports.HOST}:{port}", _HEADERS)
        command: list[str | Path] = [
            program("prometheus"),
            f"--config.file={file}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address={ports.HOST}:{port}",
            "--log.level=error",
        ]
        with Processes(directory / "processes") as processes:
            processes.start("prometheus", command)
            async with conversation(target, MASKS) as talk:
                await talk.until_reached(lambda: query(FILLED), is_filled, processes.refuse_ended)
            yield target


async def speak(contract: str, target: Target, steps: list[Step]) -> None:
    """Hold the conversation of one contract; each of its steps is added."""
    async with conversation(target, MASKS) as talk:
        talk.steps = steps
        await CONTRACTS[contract](talk)


def _settings(exposed: str) -> dict[str, object]:
    jobs = [
        {
            "job_name": f"{_JOB} {pod}",
            "metrics_path": f"/{pod}",
            "static_configs": [
                {
                    "targets": [exposed],
                    "labels": {
                        "job": _JOB,
                        "namespace": NAMESPACE,
                        "pod": pod,
                        "service": _JOB,
                    },
                }
            ],
        }
        for pod in (*PODS, QUIET, DOWN)
    ]
    interval = f"{_SCRAPE_MS}ms"
    timing = {"scrape_interval": interval, "scrape_timeout": interval}
    return {"global": timing, "scrape_configs": jobs}


@asynccontextmanager
async def _exposition() -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        pod = request.match_info["pod"]
        if pod == DOWN:
            return web.Response(status=503)
        return web.Response(text="" if pod == QUIET else _exposed(pod))

    application = web.Application()
    application.router.add_get("/{pod}", answer)
    async with serving(application) as address:
        yield address


def _exposed(pod: str) -> str:
    """The counters in the text format of Prometheus, edges written as short as a client may."""
    labels = ",".join(f'{name}="{value}"' for name, value in _REQUEST.items())
    lines = [f"# TYPE {HISTOGRAM} histogram"]
    lines += [
        f'{HISTOGRAM}_bucket{{{labels},le="{edge}"}} {count}'
        for edge, count in zip(EDGES, COUNTS[pod], strict=True)
    ]
    lines += [
        f"{HISTOGRAM}_sum{{{labels}}} {SECONDS[pod]}",
        f"{HISTOGRAM}_count{{{labels}}} {COUNTS[pod][-1]}",
        f"# TYPE {RESTARTS} counter",
        f'{RESTARTS}{{container="album"}} 0',
    ]
    return "\n".join(lines) + "\n"


def _scrape(pod: str) -> Scrape:
    """The same counters as the sandbox's scraper takes them."""
    own = {
        "instance": "10.0.0.1:8219",
        "job": _JOB,
        "namespace": NAMESPACE,
        "pod": pod,
        "service": _JOB,
    }
    target = ScrapeTarget(labels_of(**own), "http://10.0.0.1:8219/metrics")
    if pod in (QUIET, DOWN):
        return Scrape(target, pod == QUIET, [])
    counted = {**own, **_REQUEST}
    # The sandbox's pods have no exposition: their edges are labelled as they are stored.
    label_of = {float(label): label for label in EDGE_LABELS}
    found = [
        (
            labels_of(__name__=f"{HISTOGRAM}_bucket", le=label_of[float(edge)], **counted),
            float(count),
        )
        for edge, count in zip(EDGES, COUNTS[pod], strict=True)
    ]
    found += [
        (labels_of(__name__=f"{HISTOGRAM}_sum", **counted), SECONDS[pod]),
        (labels_of(__name__=f"{HISTOGRAM}_count", **counted), float(COUNTS[pod][-1])),
        (labels_of(__name__=RESTARTS, container="album", **own), 0.0),
    ]
    return Scrape(target, True, found)
