"""The sandbox for tests: the whole platform in this process, and objects to put into it."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from sandbox.kubernetes.cluster import Cluster
from sandbox.platform import Platform

FAST = 120.0
PATIENCE_SECONDS = 20.0
POLL_SECONDS = 0.01
PORT = 8219
COLLECTIONS = {
    "Deployment": "apis/apps/v1/namespaces/{}/deployments",
    "HTTPRoute": "apis/gateway.networking.k8s.io/v1/namespaces/{}/httproutes",
    "Service": "api/v1/namespaces/{}/services",
}


@asynccontextmanager
async def running_platform(
    directory: Path, *, speed: float = FAST, traffic: dict[str, float] | None = None
) -> AsyncIterator[Platform]:
    """A platform with its files in `directory`, stopped at the end.

    It has `registry_url`, `registry.address`, `registry.base_image`, `slack_url`, `slack_token`,
    `control_url`, and by environment `clusters[...]` and `prometheus_urls[...]`; `kubeconfig_path`,
    `slack_token_path`, `connection_path` and `connection_sections()` for clients.
    """
    async with Platform(directory, speed=speed, traffic=traffic, seed=1) as platform:
        yield platform


async def eventually(holds: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds; AssertionError naming `what` when it never does."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while True:
        if holds():
            return
        late = asyncio.get_running_loop().time() > deadline
        assert not late, f"not within {PATIENCE_SECONDS:g} s: {what}"
        await asyncio.sleep(POLL_SECONDS)


def api_session(cluster: Cluster) -> aiohttp.ClientSession:
    """An HTTP session on a cluster's API with its token and its authority; the caller closes it."""
    connector = None
    authority = cluster.kubeconfig()["clusters"][0]["cluster"].get("certificate-authority-data")
    if authority:
        context = ssl.create_default_context(cadata=base64.b64decode(authority).decode())
        connector = aiohttp.TCPConnector(ssl=context)
    return aiohttp.ClientSession(
        f"{cluster.url}/",
        connector=connector,
        headers={"Authorization": f"Bearer {cluster.token}"},
        raise_for_status=True,
    )


async def create(cluster: Cluster, *manifests: dict[str, Any]) -> None:
    """Create objects through the API, in the namespace named like the environment."""
    async with api_session(cluster) as session:
        for manifest in manifests:
            path = COLLECTIONS[manifest["kind"]].format(cluster.name)
            async with session.post(path, json=manifest):
                pass


def revision(name: str, image: str, *, faults: str = "", replicas: int = 2) -> list[dict[str, Any]]:
    """A Deployment and its own Service: what one version of a service is in a cluster."""
    service = name.rpartition("-")[0]
    labels = {"app": service, "version": name}
    container = {"name": service, "image": image, "ports": [{"containerPort": PORT}]}
    annotations = {"sandbox.tidegate.dev/faults": faults} if faults else {}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": {"containers": [container]},
            },
        },
    }
    own_service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": labels, "ports": [{"port": PORT}]},
    }
    return [deployment, own_service]


def route(service: str, **weights: int) -> dict[str, Any]:
    """An HTTPRoute that deals a service's users out; `v1=90` is Service `<service>-v1`."""
    backends = [
        {"name": f"{service}-{version}", "port": PORT, "weight": weight}
        for version, weight in weights.items()
    ]
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": f"/api/v1/{service}s"}}],
        "backendRefs": backends,
    }
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": service},
        "spec": {"parentRefs": [{"name": "public"}], "rules": [rule]},
    }
