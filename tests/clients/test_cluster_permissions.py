from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from clients.cluster import Cluster
from domain.errors import NoAccess, PermanentFailure
from sandbox.kubernetes.authorization import STRANGER
from sandbox.kubernetes.cluster import Cluster as Simulated
from tests.support.cluster_client import cluster_of

TIME = timedelta(seconds=20)
CONFIG: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "a"},
}
PATCH = [{"op": "add", "path": "/data", "value": {"colour": "red"}}]
REQUESTS: dict[tuple[str, str], Callable[[Cluster], Awaitable[object]]] = {
    ("get", "deployments"): lambda cluster: cluster.read("Deployment", "a"),
    ("list", "pods"): lambda cluster: cluster.list("Pod", {"app": "album"}),
    ("create", "configmaps"): lambda cluster: cluster.create(CONFIG),
    ("patch", "httproutes"): lambda cluster: cluster.patch("HTTPRoute", "a", PATCH),
    ("delete", "services"): lambda cluster: cluster.delete("Service", "a", uid="1"),
    ("get", "services/proxy"): lambda cluster: cluster.ask_through_service(
        "album", 8219, "/health", timeout=TIME
    ),
}


@pytest.fixture
async def simulated() -> AsyncIterator[Simulated]:
    running = Simulated("staging")
    await running.start()
    yield running
    await running.close()


@pytest.mark.parametrize(("verb", "resource"), REQUESTS)
async def test_a_refused_request_is_permanent_naming_verb_resource_user_and_right(
    simulated: Simulated, tmp_path: Path, verb: str, resource: str
) -> None:
    async with cluster_of(simulated, tmp_path, STRANGER) as cluster:
        with pytest.raises(PermanentFailure) as refused:
            await REQUESTS[verb, resource](cluster)
    assert type(refused.value) is NoAccess
    said = str(refused.value)
    assert f'User "stranger" cannot {verb} resource "{resource}"' in said
    assert f"; grant {verb} on {resource}" in said
    assert "namespace staging" in said


async def test_a_stranger_reads_before_a_watch_and_is_refused_there(
    simulated: Simulated, tmp_path: Path
) -> None:
    async with cluster_of(simulated, tmp_path, STRANGER) as cluster:
        with pytest.raises(PermanentFailure, match='User "stranger" cannot get resource "con'):
            await cluster.watch_until("ConfigMap", "a", lambda _: None, timeout=TIME)


async def test_a_review_says_no_to_a_stranger_and_yes_to_the_owner(
    simulated: Simulated, tmp_path: Path
) -> None:
    async with cluster_of(simulated, tmp_path, STRANGER) as cluster:
        assert not await cluster.is_allowed("get", "", "services/proxy")
        assert await cluster.version()
    async with cluster_of(simulated, tmp_path) as cluster:
        assert await cluster.is_allowed("get", "", "services/proxy")
