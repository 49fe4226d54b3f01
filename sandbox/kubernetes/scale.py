"""The scale subresource of Deployments and ReplicaSets (autoscaling/v1 Scale)."""

from __future__ import annotations

import copy

from sandbox.kubernetes.resources import Resource
from sandbox.kubernetes.status import Manifest

_IDENTITY = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale_of(kind: Resource, manifest: Manifest) -> Manifest:
    """The Scale view of a workload."""
    pairs = (manifest["spec"]["selector"].get("matchLabels") or {}).items()
    metadata = manifest["metadata"]
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in _IDENTITY if key in metadata},
        "spec": {"replicas": manifest["spec"]["replicas"]},
        "status": {
            "replicas": (manifest.get("status") or {}).get("replicas", 0),
            "selector": ",".join(f"{key}={value}" for key, value in sorted(pairs)),
        },
    }


def with_replicas(kind: Resource, manifest: Manifest, scale: Manifest) -> Manifest:
    """The workload with the replicas of a Scale; its resourceVersion is the precondition."""
    scaled = copy.deepcopy(manifest)
    scaled["spec"]["replicas"] = (scale.get("spec") or {}).get("replicas", 0)
    version = (scale.get("metadata") or {}).get("resourceVersion")
    if version:
        scaled["metadata"]["resourceVersion"] = version
    return scaled
