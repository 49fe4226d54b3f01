"""Real images in real pods: pulled, probed, reached through the gateway, measured, and failing."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import aiohttp
import pytest

from clients.prometheus import Prometheus
from domain.environments import Environment
from domain.rollout import RolloutPhase, pod_problem, rollout
from tests.cluster.api import until
from tests.cluster.whole.addresses import ADDRESSES, REGISTRY
from tests.cluster.whole.bed import Bed
from tests.cluster.whole.cluster import Cluster
from tests.cluster.whole.traffic import MOST_PER_SECOND, moment
from tests.cluster.whole.workload import HOST, ROUTE, Workload, routed, running

PATH = "/api/v1/albums"
REQUESTS = 500
DURATIONS = "http_server_request_duration_seconds_bucket"
RESTARTS = "kube_pod_container_status_restarts_total"
WINDOW = timedelta(minutes=1)
MISSING = f"{REGISTRY}/isa/album@sha256:{'0' * 64}"


def python(script: str) -> list[str]:
    """The command of a container that runs this instead of the service."""
    return ["python3", "-c", script]


async def ready(workload: Workload, replicas: int = 1) -> None:
    async def holds() -> bool:
        return await workload.is_ready(replicas)

    await until(holds, f"{workload.name} is ready", 60)


async def ask(cluster: Cluster, path: str = PATH) -> int:
    """Status of one request to the gateway, as a user sends it."""
    async with (
        aiohttp.ClientSession(headers={"Host": HOST}) as session,
        session.get(f"{cluster.addresses.gateway}{path}") as answer,
    ):
        await answer.read()
        return answer.status


async def answers(cluster: Cluster) -> None:
    async def holds() -> bool:
        return await ask(cluster) == 200

    await until(holds, "the gateway knows the route", 30)


async def counted(cluster: Cluster) -> dict[str, float]:
    """Requests per revision by the gateway's own counters."""
    async with aiohttp.ClientSession() as session, cluster.api() as api:
        now = await moment(session, api, cluster, ROUTE)
    return {name: now.requests(name) for name in now.weights}


async def both_answer(cluster: Cluster) -> None:
    """The gateway learns of each Service's endpoints a moment after its pods are ready."""

    async def holds() -> bool:
        await ask(cluster)
        async with aiohttp.ClientSession() as session, cluster.api() as api:
            now = await moment(session, api, cluster, ROUTE)
        return len(now.weights) == 2 and all(now.answered(name, 200) for name in now.weights)

    await until(holds, "the gateway has had an answer of each revision", 30)


@pytest.mark.parametrize("environment", list(ADDRESSES))
async def test_an_assembled_image_runs_is_ready_and_answers_through_the_gateway(
    hub: Bed, album_image: str, environment: Environment
) -> None:
    cluster = hub.clusters[environment]
    async with running(cluster, "stable", album_image) as album, routed(cluster, {"stable": 1}):
        await ready(album)
        await answers(cluster)
        (pod,) = await album.pods()
        address = pod["status"]["podIP"]
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{address}:8219/ready") as answer,
        ):
            assert (await answer.json())["status"] == "ready"


async def test_a_route_of_90_and_10_splits_requests_by_the_gateways_own_counters(
    hub: Bed, album_image: str
) -> None:
    cluster = hub.clusters[Environment.PRODUCTION]
    weights = {"stable": 90, "canary": 10}
    async with (
        running(cluster, "stable", album_image) as stable,
        running(cluster, "canary", album_image) as canary,
        routed(cluster, weights),
    ):
        await asyncio.gather(ready(stable), ready(canary))
        await both_answer(cluster)
        before = await counted(cluster)
        for _ in range(REQUESTS):
            assert await ask(cluster) == 200
            await asyncio.sleep(1 / MOST_PER_SECOND)
        after = await counted(cluster)
        split = {name: after[name] - before[name] for name in weights}
        assert sum(split.values()) == REQUESTS
        assert split["canary"] == pytest.approx(REQUESTS / 10, abs=REQUESTS / 100)


async def test_prometheus_has_a_pods_requests_and_restarts_by_namespace_and_pod(
    hub: Bed, album_image: str
) -> None:
    cluster = hub.clusters[Environment.STAGING]
    prometheus = Prometheus(cluster.addresses.prometheus)
    async with running(cluster, "stable", album_image) as album, routed(cluster, {"stable": 1}):
        await ready(album)
        await answers(cluster)
        (pod,) = await album.pods()
        name = pod["metadata"]["name"]

        async def measured(metric: str) -> bool:
            matchers = {"namespace": "staging", "pod": name}
            found = await prometheus.raw_series(metric, matchers, datetime.now(UTC), WINDOW)
            return bool(found) and all(len(one.points) > 1 for one in found)

        for metric in (DURATIONS, RESTARTS):
            await until(partial(measured, metric), f"two scrapes of {metric}", 30)
    await prometheus.close()


GREEDY = "held = [bytes([1]) * 2**20 for _ in range(500)]"
FAILURES: dict[str, tuple[dict[str, Any], str]] = {
    "has no image": ({"image": MISSING}, "its image cannot be pulled: .*not found"),
    "crashes at start": (
        {"command": python("raise SystemExit(3)")},
        r"crashed \d+ times \(Error, exit code 3\)",
    ),
    "takes more memory than it may": (
        {"command": python(GREEDY), "resources": {"limits": {"memory": "64Mi", "cpu": "1"}}},
        r"crashed \d+ times \(OOMKilled, exit code 137\)",
    ),
    "has no configuration": (
        {"envFrom": [{"configMapRef": {"name": "nobody-made-this"}}]},
        'its configuration cannot be read: configmap "nobody-made-this" not found',
    ),
    "has no such program": (
        {"command": ["/no/such/program"]},
        r"its container cannot be started: .*/no/such/program",
    ),
    "fails before it starts": (
        {"first": python("raise SystemExit(4)")},
        r"init container first crashed \d+ times \(Error, exit code 4\)",
    ),
}


async def test_a_pod_that_no_node_has_room_for_is_waited_for_in_the_schedulers_words(
    hub: Bed, album_image: str
) -> None:
    cluster = hub.clusters[Environment.STAGING]
    much = {"requests": {"cpu": "1000"}, "limits": {"cpu": "1000"}}
    async with running(cluster, "huge", image=album_image, resources=much) as album:
        deployment = {"metadata": {"name": "huge"}}

        async def explained() -> bool:
            found = rollout(deployment, await album.pods(), 1)
            return (
                found.phase is RolloutPhase.WAITING
                and found.sentence.startswith("huge: 0 of 1 pods ready; pod huge-")
                and "has no node: 0/1 nodes are available: 1 Insufficient cpu" in found.sentence
            )

        await until(explained, "it is said that no node has room", 30)


@pytest.mark.parametrize("name", FAILURES)
async def test_of_a_pod_is_said_that_it(hub: Bed, album_image: str, name: str) -> None:
    cluster = hub.clusters[Environment.STAGING]
    changes, reason = FAILURES[name]
    container = {"image": album_image, **changes}
    async with running(cluster, "failing", **container) as album:

        async def explained() -> bool:
            told = map(pod_problem, await album.pods())
            return any(re.search(reason, one) for one in told if one)

        await until(explained, f"of a pod that {name} is said: {reason}", 90)


async def test_pods_find_services_by_name_and_nothing_beyond_the_bed(
    hub: Bed, album_image: str
) -> None:
    cluster = hub.clusters[Environment.STAGING]
    script = (
        "import socket, sys\n"
        "print(socket.gethostbyname('kubernetes.default.svc.cluster.local'), flush=True)\n"
        "try: socket.gethostbyname('example.com')\n"
        "except socket.gaierror: print('no such name', flush=True)\n"
        "try: socket.create_connection(('192.0.2.1', 80), 5)\n"
        "except OSError as error: print(error.strerror, flush=True)\n"
        "import time; time.sleep(600)\n"
    )
    async with running(cluster, "asking", album_image, command=python(script)) as album:

        async def said() -> str:
            pods = await album.pods()
            name = pods[0]["metadata"]["name"] if pods else "none"
            path = f"api/v1/namespaces/staging/pods/{name}/log"
            answer = await album.api.get(path)
            return str(answer.body) if answer.status == 200 else ""

        async def finished() -> bool:
            return (await said()).count("\n") >= 3

        await until(finished, "the pod has asked three things", 60)
        told = (await said()).splitlines()
    assert told == [cluster.addresses.api_service, "no such name", "Network is unreachable"]
