"""Clients of a cluster for tests: of the sandbox's API server, or of a double at a URL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import yaml
from aiohttp import web

from clients.cluster import Cluster
from sandbox.kubernetes.authorization import OWNER
from sandbox.kubernetes.cluster import Cluster as Simulated

_PATIENCE = timedelta(seconds=20)


def kubeconfig(directory: Path, simulated: Simulated, user: str = OWNER) -> Path:
    """The sandbox's own kubeconfig as a file, for one of its users."""
    path = directory / "kubeconfig"
    path.write_text(yaml.safe_dump(simulated.kubeconfig(user)))
    return path


def write_kubeconfig(directory: Path, url: str, token: str) -> Path:
    """A kubeconfig with one context, `x`, for a server without TLS."""
    path = directory / "kubeconfig-of-a-double"
    config = {
        "clusters": [{"name": "x", "cluster": {"server": url}}],
        "users": [{"name": "x", "user": {"token": token}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(config))
    return path


@asynccontextmanager
async def cluster_at(url: str, directory: Path, token: str = "") -> AsyncIterator[Cluster]:
    """A client of whatever answers at a URL."""
    connected = await Cluster.connect(
        write_kubeconfig(directory, url, token or "t"), None, "staging"
    )
    try:
        yield connected
    finally:
        await connected.close()


@asynccontextmanager
async def cluster_of(
    simulated: Simulated, directory: Path, user: str = OWNER
) -> AsyncIterator[Cluster]:
    """A client of the sandbox's cluster, in its namespace, as one of its users."""
    path = kubeconfig(directory, simulated, user)
    connected = await Cluster.connect(path, simulated.name, simulated.name)
    try:
        yield connected
    finally:
        await connected.close()


def status(code: int, reason: str, message: str, **details: object) -> web.Response:
    """A failure in the shape of meta/v1 `Status`."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "details": details,
        "code": code,
    }
    return web.json_response(body, status=code)


async def all_ready(cluster: Cluster, name: str, pods: int) -> None:
    """Wait until a Deployment has so many ready pods."""
    await cluster.watch_until(
        "Deployment",
        name,
        lambda m: m.get("status", {}).get("readyReplicas") == pods or None,
        timeout=_PATIENCE,
    )
