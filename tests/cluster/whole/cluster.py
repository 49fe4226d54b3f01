"""One whole cluster: control plane, node and addons, started in the order they need each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from domain.environments import Environment
from tests.cluster import manifests
from tests.cluster.api import Api, connected, until
from tests.cluster.rights import role_and_binding
from tests.cluster.traefik import GATEWAY
from tests.cluster.whole.addons import Addons
from tests.cluster.whole.addresses import Addresses
from tests.cluster.whole.control_plane import ControlPlane, Credentials
from tests.cluster.whole.enclosure import Enclosure
from tests.cluster.whole.node import Node

READY_SECONDS = 90.0
# As whom Tidegate releases: by the Role of `deployment/` in the environment's namespace alone.
RELEASER = "tidegate"
_DEFINITIONS = "apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_BINDINGS = "apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
_GATEWAY = "apis/gateway.networking.k8s.io/v1"


@dataclass(frozen=True)
class Cluster:
    """A cluster with the namespace of one environment; `api()` asks it as `admin`."""

    environment: Environment
    addresses: Addresses
    enclosure: Enclosure
    credentials: Credentials
    control_plane: ControlPlane
    node: Node
    addons: Addons

    @classmethod
    def of(
        cls, environment: Environment, addresses: Addresses, enclosure: Enclosure, group: str
    ) -> Cluster:
        """Its parts, nothing of them started."""
        credentials = Credentials(environment.value, addresses, enclosure.folder)
        parts = (enclosure, addresses, credentials)
        return cls(
            environment,
            *(addresses, enclosure, credentials),
            ControlPlane(*parts),
            Node(f"{environment.value}-1", *parts, group),
            Addons(environment.value, *parts),
        )

    @asynccontextmanager
    async def api(self) -> AsyncIterator[Api]:
        """The API server, from the hub."""
        place = (self.addresses.api, self.credentials.authority, self.credentials.pair("admin"))
        async with connected(*place) as api:
            yield api

    async def start(self) -> None:
        """Start everything and wait until it serves; TimeoutError naming what does not.

        Raises PermanentFailure with a program's last words when it ends instead.
        """
        self.enclosure.hide_host()
        self.control_plane.start_api()
        self.node.start_containers()
        async with self.api() as api:
            await self._until(_answers(api, "readyz"), "the API server is ready")
            self.control_plane.start_controllers()
            self.addons.start_names()
            await _create(api, _BINDINGS, _PROXY_BINDING)
            await _create(api, "api/v1/namespaces", self._namespace())
            await self._until(self._containers_answer, "containerd listens")
            self.node.start_kubelet()
            await self._start_addons(api)
            await self._until_ready(api)

    async def _start_addons(self, api: Api) -> None:
        for definition in manifests.gateway_api():
            await _create(api, _DEFINITIONS, definition)
        await self._until(_answers(api, f"{_GATEWAY}/httproutes"), "the Gateway API is known")
        rights = role_and_binding(self.environment.value, RELEASER)
        for path, manifest in (*self.addons.objects(), *rights):
            await _create(api, path, manifest)
        self.addons.start_gateway()
        self.addons.start_metrics()

    async def _until_ready(self, api: Api) -> None:
        name = self.environment.value
        node = f"api/v1/nodes/{self.node.name}"
        gateway = f"{_GATEWAY}/namespaces/{name}/gateways/{GATEWAY}"
        account = f"api/v1/namespaces/{name}/serviceaccounts/default"
        await asyncio.gather(
            self._until(_condition(api, node, "Ready"), f"node {self.node.name} is ready"),
            self._until(_condition(api, gateway, "Programmed"), "the gateway is programmed"),
            self._until(_answers(api, account), f"the namespace {name} has a service account"),
            self._until(self._is_scraping, "Prometheus reads every source"),
        )

    async def _until(self, holds: Callable[[], Awaitable[bool]], what: str) -> None:
        async def held() -> bool:
            self.enclosure.refuse_ended()
            return await holds()

        await until(held, f"{self.environment.value}: {what}", READY_SECONDS)

    async def _containers_answer(self) -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(self.node.socket)
        except OSError:
            return False
        writer.close()
        return True

    async def _is_scraping(self) -> bool:
        async with (
            aiohttp.ClientSession(self.addresses.prometheus) as session,
            session.get("/api/v1/query", params={"query": "up"}) as answer,
        ):
            if answer.status != 200:
                return False
            found = (await answer.json())["data"]["result"]
            up = {one["metric"]["job"] for one in found if one["value"][1] == "1"}
            return up >= {"kube-state-metrics", "cadvisor", "traefik"}

    def _namespace(self) -> dict[str, Any]:
        name = self.environment.value
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _answers(api: Api, path: str) -> Callable[[], Awaitable[bool]]:
    async def answers() -> bool:
        return (await api.get(path)).status == 200

    return answers


def _condition(api: Api, path: str, kind: str) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        answer = await api.get(path)
        if answer.status != 200:
            return False
        conditions = answer.body.get("status", {}).get("conditions", [])
        return any(one["type"] == kind and one["status"] == "True" for one in conditions)

    return holds


async def _create(api: Api, collection: str, manifest: dict[str, Any]) -> None:
    (await api.post(collection, manifest)).ok()


_PROXY_BINDING = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "kube-proxy"},
    "roleRef": {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "ClusterRole",
        "name": "system:node-proxier",
    },
    "subjects": [
        {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "User",
            "name": "system:kube-proxy",
        }
    ],
}
