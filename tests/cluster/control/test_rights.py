"""The Role of `deployment/` on a real API server: it lets release, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from clients.cluster import Cluster
from clients.cluster_rights import RIGHTS
from domain.errors import PermanentFailure
from tests.cluster.clusters import WORKER, Clusters

GRANTED = [(verb, right.group, right.resource) for right in RIGHTS for verb in right.verbs]
REFUSED = [
    ("get", "", "secrets"),
    ("list", "", "secrets"),
    ("create", "", "pods"),
    ("create", "", "pods/exec"),
    ("delete", "", "pods"),
    ("create", "", "services/proxy"),
    ("patch", "", "configmaps"),
    ("delete", "", "namespaces"),
    ("patch", "apps", "deployments/scale"),
    ("delete", "networking.k8s.io", "networkpolicies"),
    ("patch", "rbac.authorization.k8s.io", "roles"),
    ("create", "rbac.authorization.k8s.io", "rolebindings"),
    ("patch", "gateway.networking.k8s.io", "gateways"),
]


@pytest.fixture
async def worker(control_planes: Clusters) -> AsyncIterator[Cluster]:
    kubeconfig = control_planes.production.kubeconfig(WORKER)
    cluster = await Cluster.connect(kubeconfig, "production", "production")
    yield cluster
    await cluster.close()


async def test_the_role_lets_do_all_that_a_release_does(worker: Cluster) -> None:
    missing = [right for right in GRANTED if not await worker.is_allowed(*right)]
    assert missing == []


async def test_the_role_lets_do_nothing_else(worker: Cluster) -> None:
    allowed = [right for right in REFUSED if await worker.is_allowed(*right)]
    assert allowed == []


async def test_the_role_ends_with_the_namespace(control_planes: Clusters) -> None:
    kubeconfig = control_planes.production.kubeconfig(WORKER)
    elsewhere = await Cluster.connect(kubeconfig, "production", "default")
    try:
        assert [right for right in GRANTED if await elsewhere.is_allowed(*right)] == []
        with pytest.raises(PermanentFailure, match="tidegate-worker"):
            await elsewhere.list("ConfigMap")
    finally:
        await elsewhere.close()
