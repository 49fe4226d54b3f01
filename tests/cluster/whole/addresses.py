"""Who has which address: equal in every bed, for each bed has network namespaces of its own."""

from __future__ import annotations

from dataclasses import dataclass

from domain.environments import Environment

# The hub's own address; every cluster pulls images from here.
REGISTRY = "10.200.0.1:5000"
HUB = REGISTRY.partition(":")[0]
API_PORT, KUBELET_PORT = 6443, 10250
GATEWAY_PORT, TRAEFIK_PORT = 80, 9180
PROMETHEUS_PORT, STATE_METRICS_PORT = 9090, 9181
# Of a cluster's own namespace, on its loopback.
ETCD_PORT, ETCD_PEER_PORT = 2379, 2380


@dataclass(frozen=True)
class Addresses:
    """One cluster's ranges; `number` tells clusters apart."""

    number: int

    @property
    def node(self) -> str:
        """The node's own address; control plane, gateway and Prometheus listen there as well."""
        return f"10.20{self.number}.0.1"

    @property
    def node_range(self) -> str:
        return f"10.20{self.number}.0.0/24"

    @property
    def pods(self) -> str:
        return f"10.21{self.number}.0.0/16"

    @property
    def node_pods(self) -> str:
        """The part of the pod range that the one node gives out."""
        return f"10.21{self.number}.0.0/24"

    @property
    def services(self) -> str:
        return f"10.22{self.number}.0.0/16"

    @property
    def api_service(self) -> str:
        """The Service `kubernetes`: always the first of the range."""
        return f"10.22{self.number}.0.1"

    @property
    def dns(self) -> str:
        """The Service that pods ask for names."""
        return f"10.22{self.number}.0.10"

    @property
    def link(self) -> tuple[str, str]:
        """The ends of the wire between the cluster and the hub, the hub's last."""
        return f"10.230.{self.number}.2", f"10.230.{self.number}.1"

    @property
    def api(self) -> str:
        return f"https://{self.node}:{API_PORT}"

    @property
    def gateway(self) -> str:
        return f"http://{self.node}:{GATEWAY_PORT}"

    @property
    def gateway_metrics(self) -> str:
        return f"http://{self.node}:{TRAEFIK_PORT}/metrics"

    @property
    def prometheus(self) -> str:
        return f"http://{self.node}:{PROMETHEUS_PORT}"


ADDRESSES = {Environment.STAGING: Addresses(1), Environment.PRODUCTION: Addresses(2)}
