"""The Deployment controller: a ReplicaSet per template, rolled over step by step."""

from __future__ import annotations

import copy
from collections.abc import Iterable

from sandbox.kubernetes.controllers.deployment_status import Progress, deployment_status
from sandbox.kubernetes.controllers.events import EventRecorder
from sandbox.kubernetes.controllers.loop import Controller, Key, key_of, owner_key
from sandbox.kubernetes.controllers.rollout import replicas_wanted
from sandbox.kubernetes.controllers.workloads import (
    HASH_LABEL,
    REVISION,
    owned,
    owner_reference,
    revision_of,
    template_hash,
)
from sandbox.kubernetes.status import Manifest
from sandbox.kubernetes.store import Event, Store

_COMPONENT = "deployment-controller"


class DeploymentController(Controller):
    """Keeps one ReplicaSet per pod template and moves replicas from the old to the new."""

    def __init__(self, store: Store, events: EventRecorder, speed: float) -> None:
        super().__init__(store)
        self._events = events
        self._speed = speed
        self._progress: dict[str, Progress] = {}

    def keys(self, event: Event) -> Iterable[Key]:
        """The Deployment itself, or the owner of a ReplicaSet."""
        if event.resource == "deployments":
            if event.type == "DELETED":
                self._progress.pop(event.object["metadata"]["uid"], None)
            return [key_of(event)]
        return owner_key(event, "Deployment") if event.resource == "replicasets" else []

    def reconcile(self, namespace: str, name: str) -> None:
        """One step of the rollout, then the status."""
        deployment = self.store.get("deployments", namespace, name)
        if deployment is None:
            return
        replica_sets = owned(self.store, "replicasets", deployment)
        if "deletionTimestamp" not in deployment["metadata"]:
            self._roll(deployment, replica_sets)
            deployment = self.store.require("deployments", namespace, name)
            replica_sets = owned(self.store, "replicasets", deployment)
        self._report(deployment, replica_sets)

    def _roll(self, deployment: Manifest, replica_sets: list[Manifest]) -> None:
        hashed = template_hash(deployment["spec"]["template"])
        new = _with_hash(replica_sets, hashed)
        if new is None:
            if deployment["spec"].get("paused"):
                return
            new = self._create(deployment, replica_sets, hashed)
        old = [rs for rs in replica_sets if rs["metadata"]["name"] != new["metadata"]["name"]]
        self._number(deployment, new, old)
        wanted, olds = replicas_wanted(deployment, new, old)
        self._scale(deployment, new, wanted)
        if not deployment["spec"].get("paused"):
            for replica_set in old:
                self._scale(deployment, replica_set, olds[replica_set["metadata"]["name"]])
            self._forget_history(deployment, old)

    def _create(self, deployment: Manifest, replica_sets: list[Manifest], hashed: str) -> Manifest:
        template = copy.deepcopy(deployment["spec"]["template"])
        template.setdefault("metadata", {}).setdefault("labels", {})[HASH_LABEL] = hashed
        template["metadata"]["creationTimestamp"] = None
        selector = copy.deepcopy(deployment["spec"]["selector"])
        selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH_LABEL: hashed}
        metadata = deployment["metadata"]
        replica_set: Manifest = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{metadata['name']}-{hashed}",
                "namespace": metadata["namespace"],
                "labels": dict(template["metadata"]["labels"]),
                "annotations": _copied_annotations(deployment),
                "ownerReferences": [owner_reference(deployment)],
            },
            "spec": {"replicas": 0, "selector": selector, "template": template},
            "status": {"replicas": 0},
        }
        if seconds := deployment["spec"].get("minReadySeconds"):
            replica_set["spec"]["minReadySeconds"] = seconds
        return self.store.create("replicasets", replica_set)

    def _number(self, deployment: Manifest, new: Manifest, old: list[Manifest]) -> None:
        highest = max((revision_of(rs) for rs in old), default=0)
        number = str(max(revision_of(new), highest + 1))

        def edit(changed: Manifest) -> None:
            changed["metadata"].setdefault("annotations", {})[REVISION] = number

        for resource, manifest in (("replicasets", new), ("deployments", deployment)):
            metadata = manifest["metadata"]
            self.store.change(resource, metadata["namespace"], metadata["name"], edit)

    def _scale(self, deployment: Manifest, replica_set: Manifest, replicas: int) -> None:
        before = replica_set["spec"]["replicas"]
        if before == replicas:
            return

        def edit(changed: Manifest) -> None:
            changed["spec"]["replicas"] = replicas

        metadata = replica_set["metadata"]
        self.store.change("replicasets", metadata["namespace"], metadata["name"], edit)
        way = "up" if replicas > before else "down"
        what = f"Scaled {way} replica set {metadata['name']} from {before} to {replicas}"
        self._events.record(deployment, "ScalingReplicaSet", what, _COMPONENT)

    def _forget_history(self, deployment: Manifest, old: list[Manifest]) -> None:
        empty = [
            rs
            for rs in sorted(old, key=revision_of)
            if rs["spec"]["replicas"] == 0 and (rs.get("status") or {}).get("replicas", 0) == 0
        ]
        keep = deployment["spec"]["revisionHistoryLimit"]
        for replica_set in empty[: max(0, len(empty) - keep)]:
            metadata = replica_set["metadata"]
            self.store.remove("replicasets", metadata["namespace"], metadata["name"])

    def _report(self, deployment: Manifest, replica_sets: list[Manifest]) -> None:
        metadata = deployment["metadata"]
        new = _with_hash(replica_sets, template_hash(deployment["spec"]["template"]))
        progress = self._progress.setdefault(metadata["uid"], Progress(self._speed))
        status = deployment_status(deployment, new, replica_sets, progress)

        def edit(changed: Manifest) -> None:
            changed["status"] = status

        self.store.change("deployments", metadata["namespace"], metadata["name"], edit)
        remaining = progress.seconds_left(deployment)
        if remaining is not None:
            self.again((metadata["namespace"], metadata["name"]), remaining)


def _with_hash(replica_sets: list[Manifest], hashed: str) -> Manifest | None:
    return next(
        (rs for rs in replica_sets if rs["metadata"]["labels"].get(HASH_LABEL) == hashed), None
    )


def _copied_annotations(deployment: Manifest) -> dict[str, str]:
    annotations = deployment["metadata"].get("annotations") or {}
    applied = "kubectl.kubernetes.io/last-applied-configuration"
    return {k: v for k, v in annotations.items() if k not in (applied, REVISION)}
