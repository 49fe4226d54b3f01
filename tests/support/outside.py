"""A cluster as somebody outside of Tidegate sees and changes it; here the sandbox's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Protocol

from domain.revision import Manifest
from sandbox.kubernetes.cluster import Cluster

PLURALS = {
    "ConfigMap": "configmaps",
    "Deployment": "deployments",
    "HTTPRoute": "httproutes",
    "HorizontalPodAutoscaler": "horizontalpodautoscalers",
    "NetworkPolicy": "networkpolicies",
    "Pod": "pods",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
}
Edit = Callable[[Manifest], None]


@dataclass(frozen=True)
class Asked:
    """One request of ours that was answered; `resource` has its subresource (`services/proxy`)."""

    verb: str
    resource: str
    name: str
    code: int


class Outside(Protocol):
    """One namespace, looked at and edited past our clients.

    Everything happens at once: no turn of the event loop passes meanwhile.
    """

    def get(self, kind: str, name: str) -> Manifest | None:
        """An object as the cluster holds it."""

    def list(self, kind: str) -> list[Manifest]:
        """All objects of a kind."""

    def edit(self, kind: str, name: str, edit: Edit, part: str = "") -> None:
        """Somebody changes an object by hand, or only the `part` that has a path of its own."""

    def remove(self, kind: str, name: str) -> None:
        """Somebody deletes an object."""

    def asked(self) -> Sequence[Asked]:
        """What our activities asked the API for so far and got an answer to, oldest first."""


class SandboxOutside:
    """A cluster of the sandbox, whose store and record of requests are in this process."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace

    def get(self, kind: str, name: str) -> Manifest | None:
        return self._cluster.store.get(PLURALS[kind], self._namespace, name)

    def list(self, kind: str) -> list[Manifest]:
        return [deepcopy(one) for one in self._cluster.store.list(PLURALS[kind], self._namespace)]

    def edit(self, kind: str, name: str, edit: Edit, part: str = "") -> None:
        """As the API does it, the generation rises with every edit."""

        def change(manifest: Manifest) -> None:
            edit(manifest)
            manifest["metadata"]["generation"] = manifest["metadata"].get("generation", 1) + 1

        self._cluster.store.change(PLURALS[kind], self._namespace, name, change)

    def remove(self, kind: str, name: str) -> None:
        self._cluster.store.remove(PLURALS[kind], self._namespace, name)

    def asked(self) -> Sequence[Asked]:
        return [
            Asked(
                one.verb,
                "/".join(filter(None, (one.resource, one.subresource))),
                one.name,
                one.code,
            )
            for one in self._cluster.requests.records
        ]
