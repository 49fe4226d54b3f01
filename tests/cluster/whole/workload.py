"""The example's album on a whole cluster: its image, and revisions of it that run and end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from clients.assemble import AssembleRequest, assemble
from clients.registry import Registry
from tests.cluster.api import Api, until
from tests.cluster.traefik import GATEWAY
from tests.cluster.whole.addresses import REGISTRY
from tests.cluster.whole.cluster import Cluster
from tests.cluster.whole.images import architecture
from tests.support.isa_user import EXAMPLE

PORT = 8219
# Beside the releases' own album, of which it is no part.
HOST = "workload.isa.example"
ROUTE = "workload"
WHEELHOUSE = Path(__file__).resolve().parents[3] / ".cache" / "wheelhouse"
_PLACES = {
    "ConfigMap": "api/v1/namespaces/{}/configmaps",
    "ServiceAccount": "api/v1/namespaces/{}/serviceaccounts",
    "Deployment": "apis/apps/v1/namespaces/{}/deployments",
    "Service": "api/v1/namespaces/{}/services",
    "HTTPRoute": "apis/gateway.networking.k8s.io/v1/namespaces/{}/httproutes",
    "Pod": "api/v1/namespaces/{}/pods",
}
_POD_SECONDS = 60.0


async def assemble_album(registry: Registry, base: str) -> str:
    """Build the example's album on a base image and push it; returns the image by digest."""
    names = (EXAMPLE / "microservices/album/requirements.txt").read_text().split()
    wanted = {name.replace("==", "-").replace("-", "_").lower() for name in names}
    wheels = [one for one in sorted(WHEELHOUSE.glob("*.whl")) if _wheel_name(one) in wanted]
    folders = ("microservices/__init__.py", "microservices/service_kit", "microservices/album")
    built = await assemble(
        registry,
        AssembleRequest(
            base=base,
            wheels=tuple(wheels),
            files=tuple((EXAMPLE / folder, f"/app/{folder}") for folder in folders),
            entrypoint=("python3", "-m", "microservices.album"),
            port=PORT,
            created=datetime(2026, 1, 1, tzinfo=UTC),
            repository=f"{REGISTRY}/isa/album",
            architecture=architecture(),
        ),
    )
    return built.reference


def _wheel_name(wheel: Path) -> str:
    return "_".join(wheel.name.split("-")[:2]).lower()


@dataclass(frozen=True)
class Workload:
    """A Deployment with a Service of the same name, and the objects it needs."""

    api: Api
    namespace: str
    name: str

    async def pods(self) -> list[dict[str, Any]]:
        """Its pods as the API has them."""
        found = await self.api.get(self._place("Pod"), labelSelector=f"revision={self.name}")
        pods: list[dict[str, Any]] = found.ok()["items"]
        return pods

    async def is_ready(self, replicas: int) -> bool:
        """Whether so many pods are ready, and the Service knows them."""
        answer = await self.api.get(f"{self._place('Deployment')}/{self.name}")
        return bool(answer.ok()["status"].get("readyReplicas", 0) == replicas)

    def _place(self, kind: str) -> str:
        return _PLACES[kind].format(self.namespace)


@asynccontextmanager
async def running(
    cluster: Cluster, name: str, image: str, *, replicas: int = 1, **container: Any
) -> AsyncIterator[Workload]:
    """A revision of album by the example's own manifests, deleted with its pods at the end.

    `container` replaces fields of its container (`command`, `resources`, `readinessProbe`, ...);
    `first` is the command of an init container of the same image.
    """
    namespace = cluster.environment.value
    async with cluster.api() as api:
        workload = Workload(api, namespace, name)
        manifests = _revision(name, image, replicas, container)
        await create(api, namespace, manifests)
        try:
            yield workload
        finally:
            await delete(api, namespace, manifests)

            async def gone() -> bool:
                return not await workload.pods()

            await until(gone, f"the pods of {name} are gone", _POD_SECONDS)


@asynccontextmanager
async def routed(cluster: Cluster, weights: Mapping[str, int]) -> AsyncIterator[None]:
    """The example's route with these Services and weights, deleted at the end."""
    namespace = cluster.environment.value
    route = _example("httproutes")
    route["metadata"]["name"] = ROUTE
    route["spec"]["hostnames"] = [HOST]
    route["spec"]["parentRefs"] = [{"name": GATEWAY}]
    route["spec"]["rules"][0]["backendRefs"] = [
        {"name": name, "port": PORT, "weight": weight} for name, weight in weights.items()
    ]
    async with cluster.api() as api:
        await create(api, namespace, [route])
        try:
            yield
        finally:
            await delete(api, namespace, [route])


async def create(api: Api, namespace: str, manifests: list[dict[str, Any]]) -> None:
    """Create objects in a namespace."""
    for manifest in manifests:
        (await api.post(_PLACES[manifest["kind"]].format(namespace), manifest)).ok()


async def delete(api: Api, namespace: str, manifests: list[dict[str, Any]]) -> None:
    """Delete them again, last first."""
    for manifest in reversed(manifests):
        place = _PLACES[manifest["kind"]].format(namespace)
        await api.delete(f"{place}/{manifest['metadata']['name']}")


def _revision(
    name: str, image: str, replicas: int, container: dict[str, Any]
) -> list[dict[str, Any]]:
    config, account = _example("configmaps"), _example("serviceaccounts")
    deployment, service = _example("deployments"), _example("services")
    for manifest in (config, account, deployment, service):
        manifest["metadata"]["name"] = name
    config["data"]["DRAIN_SECONDS"] = "0"
    selector = {"app": ROUTE, "revision": name}
    service["spec"]["selector"] = selector
    spec = deployment["spec"]
    spec["replicas"] = replicas
    spec["selector"] = {"matchLabels": selector}
    spec["template"]["metadata"]["labels"] = selector
    pod = spec["template"]["spec"]
    pod["serviceAccountName"] = name
    # The first process of a container does not hear SIGTERM unless it asks to.
    pod["terminationGracePeriodSeconds"] = 2
    first = container.pop("first", None)
    pod["containers"][0] |= {
        "image": image,
        "envFrom": [{"configMapRef": {"name": name}}],
        **container,
    }
    if first is not None:
        pod["initContainers"] = [{"name": "first", "image": image, "command": first}]
    return [config, account, deployment, service]


def _example(folder: str) -> dict[str, Any]:
    file = EXAMPLE / "deployment/k8s/base" / folder / "album.yaml"
    manifest: dict[str, Any] = yaml.safe_load(file.read_text())
    return manifest
