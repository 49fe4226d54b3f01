"""Faults that begin at a share of the users, spare what serves already, or kill again and again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.faults import LiveFault, LiveFaults
from sandbox.kubernetes.behaviour import Behaviour, parse_faults
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.controllers.deployment_status import Progress
from tests.support.sandbox import create, eventually, revision, route, running_platform


@pytest.mark.parametrize(("weight", "share"), [(0, 0.0), (49.9, 0.0), (50, 0.02), (100, 0.02)])
def test_a_fault_begins_at_its_share_of_the_users(weight: float, share: float) -> None:
    behaviour = parse_faults("production:errors=2%@50%", "production", weight)
    assert behaviour == Behaviour(error_share=share)


def test_the_version_that_serves_already_is_spared() -> None:
    faults = LiveFaults()
    faults.add(LiveFault("production", "latency=3x", service="album", spared="album-v1"))
    for version, factor in (("v1", 1.0), ("v2", 3.0)):
        pod = {"metadata": {"name": f"album-{version}", "labels": {"app": "album"}}}
        applied = faults.applied(Behaviour(), pod, "production", lambda: 100.0)
        assert applied.latency_factor == factor


async def test_the_share_is_that_of_the_route_now(tmp_path: Path) -> None:
    """Nobody is hit at 10 %; from the shift to 50 % on the new version is, the old one never."""
    async with running_platform(tmp_path, traffic={"production": 0}) as platform:
        cluster = platform.clusters["production"]
        for version in ("v1", "v2"):
            await create(cluster, *revision(f"album-{version}", platform.registry.base_image))
        await create(cluster, route("album", v1=90, v2=10))
        fault = LiveFault("production", "errors=100%@50%", service="album", spared="album-v1")
        platform.live_faults.add(fault)
        await eventually(lambda: len(cluster.store.list("pods")) >= 2, "pods of both")
        assert shares(cluster) == {"v1": 0.0, "v2": 0.0}

        def shift(stored: dict[str, Any]) -> None:
            stored["spec"]["rules"] = route("album", v1=50, v2=50)["spec"]["rules"]

        cluster.store.change("httproutes", "production", "album", shift)
        assert shares(cluster) == {"v1": 0.0, "v2": 1.0}


def shares(cluster: Cluster) -> dict[str, float]:
    return {
        pod["metadata"]["labels"]["version"].rpartition("-")[2]: cluster.behaviour(pod).error_share
        for pod in cluster.store.list("pods")
    }


async def test_a_version_that_leaks_is_killed_again_and_again(tmp_path: Path) -> None:
    async with running_platform(tmp_path, traffic={"production": 0}) as platform:
        cluster = platform.clusters["production"]
        image = platform.registry.base_image
        await create(cluster, *revision("album-v2", image, faults="production:leak=1s"))

        def restarts() -> list[int]:
            return [
                status["restartCount"]
                for pod in cluster.store.list("pods")
                for status in pod.get("status", {}).get("containerStatuses", ())
            ]

        await eventually(lambda: any(count >= 2 for count in restarts()), "two restarts")


@pytest.mark.parametrize(
    ("deadline", "speed", "allowed"), [(600, 1, 600), (600, 50, 12), (600, 240, 10), (1, 50, 1)]
)
def test_a_rollouts_deadline_is_of_the_clusters_time(
    deadline: int, speed: float, allowed: float
) -> None:
    left = Progress(speed).seconds_left({"spec": {"progressDeadlineSeconds": deadline}})
    assert left == pytest.approx(allowed, abs=0.2)
