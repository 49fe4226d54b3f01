"""Thanos over two Prometheus that scrape the same pods: joined, not joined, one of them down."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from domain.errors import TransientFailure
from domain.metrics.places import PrometheusPlace
from tests.cluster import ports
from tests.cluster.processes import Processes
from tests.cluster.programs import built
from tests.sources import servers
from tests.sources.exposition import Exposition, Pod, scrape_settings
from tests.sources.scenario import ARMS, BLOCK, SCRAPE, Scenario, now

pytestmark = pytest.mark.real
REQUESTS, BAD = 9, 2


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Scenario]:
    """Two replicas after some requests; `joined` and `apart` are two queriers over both."""
    for name in ("prometheus", "thanos"):
        if built(name) is None:
            pytest.skip(f"not built: {name}; say `python -m tests.cluster.programs {name}`")
    pods = {name: Pod() for names in ARMS.values() for name in names}
    for pod in pods.values():
        pod.count(fast=40)
    with Exposition(pods) as exposition, Processes(tmp_path) as processes:
        endpoints = [_replica(processes, exposition, name) for name in ("0", "1")]
        numbers = dict(zip(("joined", "apart"), ports.free(2), strict=True))
        servers.querier(processes, numbers["joined"], endpoints, servers.JOINED)
        servers.querier(processes, numbers["apart"], endpoints)
        places = {
            name: PrometheusPlace(url=f"http://{ports.HOST}:{port}")
            for name, port in numbers.items()
        }
        scenario = Scenario(processes, exposition, places)
        _move(scenario)
        yield scenario


def _replica(processes: Processes, exposition: Exposition, name: str) -> str:
    (port,) = ports.free(1)
    settings = scrape_settings(exposition, SCRAPE, replica=name)
    servers.prometheus(processes, port, settings)
    return servers.sidecar(processes, f"http://{ports.HOST}:{port}", name)


def _move(scenario: Scenario) -> None:
    created = datetime.now(UTC) - timedelta(hours=1)
    scenario.created = dict.fromkeys(scenario.exposition.pods, created)
    scenario.until_counted()
    scenario.since = now()
    scenario.until_scraped(scenario.since)
    with scenario.exposition.moving:
        canary = scenario.exposition.pods[ARMS["canary"][0]]
        canary.count(fast=REQUESTS - BAD)
        canary.count(fast=BAD, code="503")
    scenario.until_counted()
    scenario.until = now() + 2 * BLOCK
    scenario.until_scraped(scenario.until)


async def test_replicas_count_once_or_are_named_and_a_store_that_is_down_is_waited_for(
    pair: Scenario,
) -> None:
    joined = await pair.samples("joined")
    assert joined.broken == ()
    errors = [block.counts["errors"] for block in joined.blocks]
    assert sum(one.canary_requests for one in errors) == REQUESTS
    assert sum(one.canary_bad for one in errors) == BAD

    apart = await pair.samples("apart")
    assert apart.blocks == ()
    assert "the same series twice: two jobs or replicas scrape it" in str(apart.broken[0])

    os.kill(pair.processes.alive["thanos-sidecar-1"], signal.SIGKILL)
    with pytest.raises(TransientFailure, match=r"rpc error: code = Unavailable.*it is retried"):
        await pair.samples("joined")
