"""The ReplicaSet controller: as many pods of one template as asked for, and their counts."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable

from sandbox.kubernetes.controllers.events import EventRecorder
from sandbox.kubernetes.controllers.loop import Controller, Key, key_of, owner_key
from sandbox.kubernetes.controllers.workloads import (
    is_active,
    owned,
    owner_reference,
    seconds_until_available,
)
from sandbox.kubernetes.defaults import apply_defaults
from sandbox.kubernetes.deletion import DeleteOptions, delete
from sandbox.kubernetes.routing import is_ready
from sandbox.kubernetes.status import Manifest
from sandbox.kubernetes.store import Event, Store
from sandbox.kubernetes.writing import SUFFIX_LETTERS

_COMPONENT = "replicaset-controller"


class ReplicaSetController(Controller):
    """Creates and deletes pods; prefers to delete those that serve least."""

    def __init__(self, store: Store, events: EventRecorder, chance: random.Random) -> None:
        super().__init__(store)
        self._events = events
        self._random = chance

    def keys(self, event: Event) -> Iterable[Key]:
        """The ReplicaSet itself, or the owner of a pod."""
        if event.resource == "replicasets":
            return [key_of(event)]
        return owner_key(event, "ReplicaSet") if event.resource == "pods" else []

    def reconcile(self, namespace: str, name: str) -> None:
        """Create or delete pods up to spec.replicas, then count."""
        replica_set = self.store.get("replicasets", namespace, name)
        if replica_set is None:
            return
        everybody = owned(self.store, "pods", replica_set)
        pods = [pod for pod in everybody if is_active(pod)]
        leaving = sum("deletionTimestamp" in pod["metadata"] for pod in everybody)
        if "deletionTimestamp" not in replica_set["metadata"]:
            missing = replica_set["spec"]["replicas"] - len(pods)
            for _ in range(missing):
                pods.append(self._create_pod(replica_set))
            for pod in sorted(pods, key=_worth)[: max(0, -missing)]:
                self._delete_pod(replica_set, pod)
                pods.remove(pod)
                leaving += 1
        self._count(replica_set, pods, leaving)

    def _create_pod(self, replica_set: Manifest) -> Manifest:
        template = copy.deepcopy(replica_set["spec"]["template"])
        metadata = template.get("metadata") or {}
        suffix = "".join(self._random.choices(SUFFIX_LETTERS, k=5))
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{replica_set['metadata']['name']}-{suffix}",
                "generateName": f"{replica_set['metadata']['name']}-",
                "namespace": replica_set["metadata"]["namespace"],
                "labels": metadata.get("labels") or {},
                "annotations": metadata.get("annotations") or {},
                "ownerReferences": [owner_reference(replica_set)],
            },
            "spec": template["spec"],
        }
        apply_defaults("pods", pod)
        created = self.store.create("pods", pod)
        name = created["metadata"]["name"]
        self._events.record(replica_set, "SuccessfulCreate", f"Created pod: {name}", _COMPONENT)
        return created

    def _delete_pod(self, replica_set: Manifest, pod: Manifest) -> None:
        name = pod["metadata"]["name"]
        delete(self.store, "pods", pod["metadata"]["namespace"], name, DeleteOptions())
        self._events.record(replica_set, "SuccessfulDelete", f"Deleted pod: {name}", _COMPONENT)

    def _count(self, replica_set: Manifest, pods: list[Manifest], leaving: int) -> None:
        namespace, name = replica_set["metadata"]["namespace"], replica_set["metadata"]["name"]
        min_ready = replica_set["spec"].get("minReadySeconds", 0)
        waits = [seconds_until_available(pod, min_ready) for pod in pods]
        status = {
            "replicas": len(pods),
            "fullyLabeledReplicas": len(pods),
            "readyReplicas": sum(is_ready(pod) for pod in pods),
            "availableReplicas": sum(wait == 0 for wait in waits),
            "terminatingReplicas": leaving,
            "observedGeneration": replica_set["metadata"]["generation"],
        }

        def edit(changed: Manifest) -> None:
            changed["status"] = status

        self.store.change("replicasets", namespace, name, edit)
        if pending := [wait for wait in waits if wait]:
            self.again((namespace, name), min(pending))


def _worth(pod: Manifest) -> tuple[bool, bool, int]:
    """Pods to delete first sort first: not scheduled, not ready, youngest."""
    scheduled = bool(pod["spec"].get("nodeName"))
    return scheduled, is_ready(pod), -int(pod["metadata"]["resourceVersion"])
