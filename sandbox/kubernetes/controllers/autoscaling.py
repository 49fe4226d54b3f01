"""The HPA controller: keeps a target's replicas within its bounds; utilisation is at the target."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.kubernetes.controllers.conditions import condition, set_condition
from sandbox.kubernetes.controllers.loop import Controller, Key, key_of
from sandbox.kubernetes.status import Manifest
from sandbox.kubernetes.store import Event


class AutoscalerController(Controller):
    """Enforces minReplicas and maxReplicas; a target scaled to zero switches it off."""

    def keys(self, event: Event) -> Iterable[Key]:
        """The HPA itself, or those that target a changed Deployment."""
        if event.resource == "horizontalpodautoscalers":
            return [key_of(event)]
        if event.resource != "deployments":
            return []
        namespace, name = key_of(event)
        return [
            (namespace, hpa["metadata"]["name"])
            for hpa in self.store.list("horizontalpodautoscalers", namespace)
            if _targets(hpa, name)
        ]

    def reconcile(self, namespace: str, name: str) -> None:
        """Scale the target into its bounds and report."""
        autoscaler = self.store.get("horizontalpodautoscalers", namespace, name)
        if autoscaler is None:
            return
        target = autoscaler["spec"]["scaleTargetRef"]["name"]
        deployment = self.store.get("deployments", namespace, target)
        wanted = 0
        if deployment is not None and (current := deployment["spec"]["replicas"]) > 0:
            spec = autoscaler["spec"]
            wanted = min(max(current, spec["minReplicas"]), spec["maxReplicas"])

            def scale(changed: Manifest) -> None:
                changed["spec"]["replicas"] = wanted

            self.store.change("deployments", namespace, target, scale)
        self._report(autoscaler, deployment, wanted)

    def _report(self, autoscaler: Manifest, target: Manifest | None, wanted: int) -> None:
        def edit(changed: Manifest) -> None:
            status = changed.setdefault("status", {})
            conditions = status.setdefault("conditions", [])
            for reported in _conditions(autoscaler, target, wanted):
                set_condition(conditions, reported)
            actual = ((target or {}).get("status") or {}).get("replicas", 0)
            status |= {"currentReplicas": actual, "desiredReplicas": wanted}
            status["currentMetrics"] = _metrics(autoscaler) if wanted else []

        metadata = autoscaler["metadata"]
        self.store.change("horizontalpodautoscalers", metadata["namespace"], metadata["name"], edit)


def _targets(autoscaler: Manifest, deployment: str) -> bool:
    target = autoscaler["spec"]["scaleTargetRef"]
    return bool(target["kind"] == "Deployment" and target["name"] == deployment)


def _conditions(autoscaler: Manifest, target: Manifest | None, wanted: int) -> list[Manifest]:
    if target is None:
        why = "the HPA controller was unable to get the target's current scale"
        return [condition("AbleToScale", False, "FailedGetScale", why)]
    able = condition("AbleToScale", True, "ReadyForNewScale", "recommended size matches current")
    if wanted == 0:
        why = "scaling is disabled since the replica count of the target is zero"
        return [able, condition("ScalingActive", False, "ScalingDisabled", why)]
    why = "the sandbox holds utilisation at the target"
    return [able, condition("ScalingActive", True, "ValidMetricFound", why)]


def _metrics(autoscaler: Manifest) -> list[Manifest]:
    resources = [m["resource"] for m in autoscaler["spec"].get("metrics") or () if "resource" in m]
    return [
        {
            "type": "Resource",
            "resource": {
                "name": resource["name"],
                "current": {
                    "averageUtilization": resource["target"]["averageUtilization"],
                    "averageValue": "0",
                },
            },
        }
        for resource in resources
        if "averageUtilization" in resource["target"]
    ]
