"""The PodDisruptionBudget controller: how many pods may be evicted now."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.kubernetes.controllers.conditions import condition, set_condition
from sandbox.kubernetes.controllers.loop import Controller, Key, key_of
from sandbox.kubernetes.controllers.rollout import share
from sandbox.kubernetes.controllers.workloads import is_active
from sandbox.kubernetes.routing import is_ready
from sandbox.kubernetes.selectors import labels_of, matches
from sandbox.kubernetes.status import Manifest
from sandbox.kubernetes.store import Event


class DisruptionController(Controller):
    """Counts the pods under each budget."""

    def keys(self, event: Event) -> Iterable[Key]:
        """The budget itself, or every budget of a pod's namespace."""
        if event.resource == "poddisruptionbudgets":
            return [key_of(event)]
        if event.resource != "pods":
            return []
        namespace = event.object["metadata"]["namespace"]
        budgets = self.store.list("poddisruptionbudgets", namespace)
        return [(namespace, budget["metadata"]["name"]) for budget in budgets]

    def reconcile(self, namespace: str, name: str) -> None:
        """Write the status of one budget."""
        budget = self.store.get("poddisruptionbudgets", namespace, name)
        if budget is None:
            return
        selector = budget["spec"].get("selector") or {}
        pods = [
            pod
            for pod in self.store.list("pods", namespace)
            if matches(labels_of(pod), selector) and is_active(pod)
        ]
        healthy = sum(is_ready(pod) for pod in pods)
        needed = _needed(budget["spec"], len(pods))
        allowed = max(0, healthy - needed)

        def edit(changed: Manifest) -> None:
            status = changed.setdefault("status", {})
            status |= {
                "currentHealthy": healthy,
                "desiredHealthy": needed,
                "expectedPods": len(pods),
                "disruptionsAllowed": allowed,
                "observedGeneration": budget["metadata"]["generation"],
            }
            reason = "SufficientPods" if allowed else "InsufficientPods"
            reported = condition("DisruptionAllowed", allowed > 0, reason, "")
            reported["observedGeneration"] = budget["metadata"]["generation"]
            set_condition(status.setdefault("conditions", []), reported)

        self.store.change("poddisruptionbudgets", namespace, name, edit)


def _needed(spec: Manifest, expected: int) -> int:
    if "minAvailable" in spec:
        return share(spec["minAvailable"], expected, round_up=True)
    return max(0, expected - share(spec.get("maxUnavailable", 1), expected, round_up=True))
