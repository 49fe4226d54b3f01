"""The eviction subresource of pods: a deletion that disruption budgets may refuse."""

from __future__ import annotations

from sandbox.kubernetes.deletion import DeleteOptions, delete
from sandbox.kubernetes.request_info import RequestInfo
from sandbox.kubernetes.selectors import labels_of, matches
from sandbox.kubernetes.status import Manifest, StatusError
from sandbox.kubernetes.store import Store

_REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."


def evict(store: Store, info: RequestInfo, body: Manifest) -> Manifest:
    """Delete a pod if every PodDisruptionBudget on it allows one; else 429, as the real server."""
    pod = store.require("pods", info.namespace, info.name)
    for budget in store.list("poddisruptionbudgets", info.namespace):
        covered = matches(labels_of(pod), budget["spec"].get("selector") or {})
        allowed = (budget.get("status") or {}).get("disruptionsAllowed", 0)
        if covered and allowed < 1:
            name = budget["metadata"]["name"]
            cause = {
                "reason": "DisruptionBudget",
                "message": f"The disruption budget {name} needs its pods",
            }
            raise StatusError(429, "TooManyRequests", _REFUSED, {"causes": [cause]})
    options = body.get("deleteOptions") or {}
    dry_run = info.dry_run or options.get("dryRun") == ["All"]
    wanted = DeleteOptions(grace=options.get("gracePeriodSeconds"), dry_run=dry_run)
    delete(store, "pods", info.namespace, info.name, wanted)
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
