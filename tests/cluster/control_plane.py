"""One real control plane and its gateway's controller; KWOK plays nodes and pods.

Deployments roll out, admission and authorization are real, nothing runs in the pods. Started it is
a `clusters.Cluster`; staging and production together are started by `control_planes.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.cluster import manifests, ports
from tests.cluster.api import Api, until
from tests.cluster.audit import POLICY
from tests.cluster.certificates import Authority, KeyPair
from tests.cluster.clusters import ADMIN, RELEASERS, STRANGER, Cluster
from tests.cluster.gateway import Gateway
from tests.cluster.kubeconfigs import Identity, write
from tests.cluster.processes import Processes
from tests.cluster.programs import program
from tests.cluster.rights import role_and_binding

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
GATEWAY_API = "/apis/gateway.networking.k8s.io/v1"
_MASTERS = "system:masters"
# User and groups by which a component is known; the built-in roles are bound to these names.
_COMPONENTS = {
    "kube-controller-manager": ("system:kube-controller-manager", ()),
    "kube-scheduler": ("system:kube-scheduler", ()),
    "kwok": ("kwok", (_MASTERS,)),
    "traefik": ("traefik", (_MASTERS,)),
}
_READY_SECONDS = 90.0


@dataclass(frozen=True)
class ControlPlaneSettings:
    """`stages` are folders of KWOK's (`pod/fast`: ready at once, `pod/general`: in seconds).

    A pod labelled `pod-container-running-failed.stage.kwok.x-k8s.io: "true"` fails (`pod/chaos`).
    `port` None: any free one.
    """

    name: str
    nodes: int = 3
    stages: tuple[str, ...] = ("node/fast", "pod/fast", "pod/chaos")
    port: int | None = None


class ControlPlane:
    """Starts one control plane in a folder of its own; whoever owns `processes` ends it."""

    def __init__(self, settings: ControlPlaneSettings, folder: Path, processes: Processes) -> None:
        if settings.port is not None:
            ports.refuse_taken(settings.port, f"the API server of {settings.name}")
        chosen, self._etcd_port, self._peer_port = ports.free(3)
        self._port = settings.port or chosen
        self._settings = settings
        self._processes = processes
        self._folder = folder
        self.cluster = Cluster(settings.name, f"https://{ports.HOST}:{self._port}", folder)
        self._gateway = Gateway(folder, self._kubeconfig("traefik"))

    async def start(self) -> Cluster:
        """Start everything and wait until pods can be created in the namespace.

        Raises PermanentFailure with the last words of a program that ended, TransientFailure
        naming what did not come.
        """
        self._folder.mkdir(parents=True)
        self._issue()
        self._start("etcd", self._etcd())
        self._start("kube-apiserver", self._api_server())
        async with self.cluster.api(ADMIN) as api:
            await self._until(api, "/readyz", "the API server is ready")
            self._start("kube-controller-manager", self._controller_manager())
            self._start("kube-scheduler", self._scheduler())
            self._start("kwok", self._kwok())
            await self._furnish(api)
            self._gateway.start(self._start_gateway)
            await self._await_furnished(api)
        return self.cluster

    def _start(self, name: str, command: list[str]) -> None:
        path = program(name)
        self._processes.start(f"{self._settings.name}-{name}", [path, *command])

    def _start_gateway(self, command: list[str | Path], environment: Mapping[str, str]) -> None:
        name = f"{self._settings.name}-gateway"
        self._processes.start(name, command, environment=environment)

    def _issue(self) -> None:
        folder = self.cluster.certificates
        authority = Authority(folder, f"{self._settings.name}-authority")
        authority.server("server", (ports.HOST, "localhost", "kubernetes.default.svc"))
        authority.signing_key("service-accounts")
        authority.client(ADMIN, (_MASTERS,))
        for user in (*RELEASERS, STRANGER):
            authority.client(user)
        for component, (user, groups) in _COMPONENTS.items():
            pair = authority.client(user, groups)
            write(self._kubeconfig(component), [self._identity(user, pair)])

    def _identity(self, user: str, pair: KeyPair) -> Identity:
        cluster = self.cluster
        return Identity(cluster.name, user, cluster.server, cluster.authority, pair)

    def _kubeconfig(self, component: str) -> Path:
        return self._folder / "components" / f"{component}.yaml"

    def _etcd(self) -> list[str]:
        clients = f"http://{ports.HOST}:{self._etcd_port}"
        peers = f"http://{ports.HOST}:{self._peer_port}"
        return [
            f"--data-dir={self._folder / 'etcd'}",
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
            # Its data end with it.
            "--unsafe-no-fsync",
            "--log-level=error",
        ]

    def _api_server(self) -> list[str]:
        certificates = self.cluster.certificates
        policy = self._folder / "audit-policy.yaml"
        policy.write_text(yaml.safe_dump(POLICY))
        return [
            f"--etcd-servers=http://{ports.HOST}:{self._etcd_port}",
            f"--bind-address={ports.HOST}",
            f"--secure-port={self._port}",
            # Kubernetes refuses loopback addresses as its own endpoint; no pod runs that asks it.
            "--endpoint-reconciler-type=none",
            f"--tls-cert-file={certificates / 'server.crt'}",
            f"--tls-private-key-file={certificates / 'server.key'}",
            f"--client-ca-file={self.cluster.authority}",
            f"--service-account-key-file={certificates / 'service-accounts.key'}",
            f"--service-account-signing-key-file={certificates / 'service-accounts.key'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged=true",
            f"--audit-policy-file={policy}",
            f"--audit-log-path={self.cluster.audit_log}",
            "--audit-log-mode=blocking",
            # In MB: whoever reads along would lose the place when it is rotated.
            "--audit-log-maxsize=100000",
        ]

    def _controller_manager(self) -> list[str]:
        return [
            *self._client("kube-controller-manager"),
            f"--service-account-private-key-file="
            f"{self.cluster.certificates / 'service-accounts.key'}",
            f"--root-ca-file={self.cluster.authority}",
            "--use-service-account-credentials=true",
            # Else it looks for plugins in a folder of the machine.
            f"--flex-volume-plugin-dir={self._folder / 'volume-plugins'}",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        ]

    def _scheduler(self) -> list[str]:
        return self._client("kube-scheduler")

    def _client(self, component: str) -> list[str]:
        kubeconfig = self._kubeconfig(component)
        return [f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0"]

    def _kwok(self) -> list[str]:
        stages = self._folder / "stages.yaml"
        stages.write_text(yaml.safe_dump_all(manifests.kwok_stages(self._settings.stages)))
        return [
            f"--kubeconfig={self._kubeconfig('kwok')}",
            f"--config={stages}",
            "--manage-all-nodes",
            # Without leases the controllers would hold the nodes for lost after a while.
            "--node-lease-duration-seconds=40",
        ]

    async def _furnish(self, api: Api) -> None:
        namespace = {"apiVersion": "v1", "kind": "Namespace"}
        named = namespace | {"metadata": {"name": self._settings.name}}
        created = [api.post("/api/v1/namespaces", named)]
        created += [api.post("/api/v1/nodes", node) for node in self._nodes()]
        definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        created += [
            api.apply(f"{definitions}/{one['metadata']['name']}", one)
            for one in manifests.gateway_api()
        ]
        for answer in await asyncio.gather(*created):
            answer.ok()
        for path, manifest in role_and_binding(self._settings.name, *RELEASERS):
            (await api.post(path, manifest)).ok()
        # Its kind is one of those that were just defined.
        await self._until(api, f"{GATEWAY_API}/gatewayclasses", "GatewayClasses are served")
        await self._gateway.furnish(api)

    def _nodes(self) -> Iterator[dict[str, object]]:
        sizes = {"cpu": "32", "memory": "256Gi", "pods": "500"}
        for number in range(1, self._settings.nodes + 1):
            name = f"node-{number}"
            labels = {"type": "kwok", "kubernetes.io/hostname": name}
            yield {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": labels},
                "status": {"allocatable": sizes, "capacity": sizes},
            }

    async def _await_furnished(self, api: Api) -> None:
        routes = f"{GATEWAY_API}/httproutes"
        accounts = f"/api/v1/namespaces/{self._settings.name}/serviceaccounts/default"
        await self._until(api, routes, "HTTPRoutes are served")
        await self._until(api, accounts, "pods can be created in the namespace")

        async def nodes_ready() -> bool:
            self._processes.refuse_ended()
            nodes = (await api.get("/api/v1/nodes")).ok()["items"]
            return len(nodes) == self._settings.nodes and all(map(_is_usable, nodes))

        await until(nodes_ready, f"the nodes of {self._settings.name} are ready", _READY_SECONDS)

        async def gateway_ready() -> bool:
            self._processes.refuse_ended()
            return await self._gateway.is_ready(api)

        await until(gateway_ready, f"the gateway of {self._settings.name} is ready", _READY_SECONDS)

    async def _until(self, api: Api, path: str, what: str) -> None:
        async def answers() -> bool:
            self._processes.refuse_ended()
            return (await api.get(path)).status == 200

        await until(answers, f"{what} ({self._settings.name})", _READY_SECONDS)


def _is_usable(node: dict[str, dict[str, list[dict[str, str]]]]) -> bool:
    ready = any(
        one["type"] == "Ready" and one["status"] == "True"
        for one in node["status"].get("conditions", ())
    )
    return ready and not node["spec"].get("taints")
