"""A simulated cluster for tests: started and stopped, spoken to over HTTP and by kubectl."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from sandbox.kubernetes.answering import OnRequest
from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.controllers.pod_life import ImageExists

Manifest = dict[str, Any]
NAMESPACE = "production"
PATIENCE_SECONDS = 20.0
KUBECTL = Path(sys.executable).parent / "kubectl"
_PLURALS = {
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Pod": "/api/v1/namespaces/{}/pods",
    "Service": "/api/v1/namespaces/{}/services",
    "Namespace": "/api/v1/namespaces",
    "HTTPRoute": "/apis/gateway.networking.k8s.io/v1/namespaces/{}/httproutes",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "Lease": "/apis/coordination.k8s.io/v1/namespaces/{}/leases",
}


@dataclass(frozen=True)
class Answer:
    """Status code and decoded body of one request."""

    code: int
    body: Any


class Api:
    """The cluster's API over HTTP, with its token and certificate."""

    def __init__(self, cluster: Cluster, session: aiohttp.ClientSession) -> None:
        self.cluster = cluster
        self.session = session

    async def send(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> Answer:
        """One request; the body is sent as JSON, or as YAML for a yaml content type."""
        headers = {"Content-Type": content_type} if body is not None else {}
        written = yaml.safe_dump if content_type.endswith("yaml") else json.dumps
        data = None if body is None else written(body)
        async with self.session.request(method, path, data=data, headers=headers) as response:
            return Answer(response.status, await response.json())

    async def get(self, path: str) -> Answer:
        """GET."""
        return await self.send("GET", path)

    async def create(self, manifest: Manifest, query: str = "") -> Answer:
        """POST to the collection of the manifest's kind in the test's namespace."""
        return await self.send("POST", collection(manifest["kind"]) + query, manifest)

    async def patch(self, path: str, body: Any, kind: str = "json-patch") -> Answer:
        """PATCH with `application/<kind>+json`."""
        return await self.send("PATCH", path, body, f"application/{kind}+json")


@asynccontextmanager
async def running_cluster(
    speed: float = 50.0,
    *,
    image_exists: ImageExists | None = None,
    on_request: OnRequest | None = None,
) -> AsyncIterator[Api]:
    """A cluster named production, served on free ports while the context is open."""
    cluster = Cluster(NAMESPACE, speed=speed, image_exists=image_exists, on_request=on_request)
    await cluster.start()
    connector = aiohttp.TCPConnector(ssl=cluster.client_ssl())
    headers = {"Authorization": f"Bearer {cluster.token}"}
    try:
        async with aiohttp.ClientSession(
            cluster.url, connector=connector, headers=headers
        ) as session:
            yield Api(cluster, session)
    finally:
        await cluster.close()


async def until(cluster: Cluster, holds: Callable[[], Any]) -> None:
    """Return as soon as a condition on the cluster holds; looked at after every change in it."""
    changed = asyncio.Event()
    stop = cluster.store.subscribe(lambda _: changed.set())
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not holds():
                await changed.wait()
                changed.clear()
    finally:
        stop()


async def kubectl(cluster: Cluster, home: Path, *arguments: str, stdin: str = "") -> Answer:
    """Run the real kubectl; (exit code, standard output and error together)."""
    config = home / "kubeconfig"
    config.write_text(yaml.safe_dump(cluster.kubeconfig()))
    process = await asyncio.create_subprocess_exec(
        str(KUBECTL),
        *arguments,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": str(config)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate(stdin.encode())
    return Answer(process.returncode or 0, output.decode())


def collection(kind: str) -> str:
    """The path of a kind's objects in the test's namespace."""
    return _PLURALS[kind].format(NAMESPACE)


def path_of(kind: str, name: str) -> str:
    """The path of one object in the test's namespace."""
    return f"{collection(kind)}/{name}"


def deployment(name: str = "album", **changes: Any) -> Manifest:
    """A Deployment; `replicas`, `image`, `faults`, `container` and further spec fields by name."""
    annotations = {"sandbox.tidegate.dev/faults": changes.pop("faults", "")}
    container = {
        "name": "main",
        "image": changes.pop("image", "registry.example/album:v1"),
        **changes.pop("container", {}),
    }
    pod_spec = {"containers": [container], **changes.pop("pod_spec", {})}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}, "annotations": annotations},
                "spec": pod_spec,
            },
            **changes,
        },
    }


def service(name: str = "album", selector: dict[str, str] | None = None) -> Manifest:
    """A Service on port 80 that selects `app: <name>`."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {
            "selector": selector or {"app": name},
            "ports": [{"name": "http", "port": 80, "targetPort": 8219}],
        },
    }


def config_map(name: str, **data: str) -> Manifest:
    """A ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def http_route(*backends: tuple[str, int], name: str = "album", **rule: Any) -> Manifest:
    """An HTTPRoute of `album.example` with weighted backends."""
    references = [{"name": backend, "port": 80, "weight": weight} for backend, weight in backends]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name},
        "spec": {
            "parentRefs": [{"name": "public"}],
            "hostnames": ["album.example"],
            "rules": [{"backendRefs": references, **rule}],
        },
    }
