"""What Deployments and ReplicaSets share: ownership, template hashes and pod availability."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from sandbox.kubernetes.routing import is_ready
from sandbox.kubernetes.status import Manifest
from sandbox.kubernetes.store import Store
from sandbox.kubernetes.writing import SUFFIX_LETTERS

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"


def owner_reference(owner: Manifest) -> Manifest:
    """The reference that makes `owner` the controller of another object."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def owned(store: Store, resource: str, owner: Manifest) -> list[Manifest]:
    """Objects of a resource that `owner` controls, oldest first."""
    uid = owner["metadata"]["uid"]
    found = [
        manifest
        for manifest in store.list(resource, owner["metadata"]["namespace"])
        if any(o["uid"] == uid for o in manifest["metadata"].get("ownerReferences") or ())
    ]
    return sorted(found, key=lambda m: m["metadata"]["creationTimestamp"])


def template_hash(template: Manifest) -> str:
    """Ten safe letters from a pod template's content."""
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).digest()
    return "".join(SUFFIX_LETTERS[byte % len(SUFFIX_LETTERS)] for byte in digest[:10])


def is_active(pod: Manifest) -> bool:
    """Whether a pod counts towards its ReplicaSet: not ended and not being deleted."""
    ended = (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded")
    return not ended and "deletionTimestamp" not in pod["metadata"]


def seconds_until_available(pod: Manifest, min_ready_seconds: int) -> float | None:
    """0 when a pod is available, the wait when it is ready but too young, None when not ready."""
    if not is_ready(pod):
        return None
    ready = next(c for c in pod["status"]["conditions"] if c["type"] == "Ready")
    since = datetime.fromisoformat(ready["lastTransitionTime"])
    return max(0.0, min_ready_seconds - (datetime.now(UTC) - since).total_seconds())


def revision_of(manifest: Manifest) -> int:
    """The rollout revision of a Deployment or ReplicaSet; 0 when it has none yet."""
    annotations: dict[str, Any] = manifest["metadata"].get("annotations") or {}
    return int(annotations.get(REVISION, 0))
