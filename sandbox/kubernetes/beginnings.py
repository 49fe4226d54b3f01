"""What is in a cluster before anybody writes to it: namespaces, nodes and one Gateway."""

from __future__ import annotations

from sandbox.kubernetes.controllers.conditions import condition, set_condition
from sandbox.kubernetes.controllers.kubelet import NODES
from sandbox.kubernetes.defaults import apply_defaults
from sandbox.kubernetes.discovery import VERSION
from sandbox.kubernetes.status import Manifest
from sandbox.kubernetes.store import Store

GATEWAY = "public"


def fill(store: Store, environment: str) -> None:
    """Create the first objects; what is already there stays."""
    for name in ("default", "kube-system", environment):
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        apply_defaults("namespaces", namespace)
        if store.get("namespaces", None, name) is None:
            store.create("namespaces", namespace)
    for number, name in enumerate(NODES, start=1):
        if store.get("nodes", None, name) is None:
            store.create("nodes", _node(name, f"10.200.0.{number}"))
    if store.get("gateways", environment, GATEWAY) is None:
        store.create("gateways", _gateway(environment))


def _node(name: str, address: str) -> Manifest:
    conditions: list[Manifest] = []
    set_condition(conditions, condition("Ready", True, "KubeletReady", "kubelet is ready"))
    room = {"cpu": "8", "memory": "32Gi", "pods": "110"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": {},
        "status": {
            "conditions": conditions,
            "capacity": room,
            "allocatable": room,
            "addresses": [
                {"type": "InternalIP", "address": address},
                {"type": "Hostname", "address": name},
            ],
            "nodeInfo": {"kubeletVersion": VERSION["gitVersion"], "operatingSystem": "linux"},
        },
    }


def _gateway(namespace: str) -> Manifest:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": GATEWAY, "namespace": namespace},
        "spec": {
            "gatewayClassName": "sandbox",
            "listeners": [
                {
                    "name": "http",
                    "port": 80,
                    "protocol": "HTTP",
                    "allowedRoutes": {"namespaces": {"from": "Same"}},
                }
            ],
        },
    }
