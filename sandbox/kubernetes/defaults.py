"""Values that the API server fills in when a client leaves them out, for the kinds we serve."""

from __future__ import annotations

import base64
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sandbox.kubernetes.status import Manifest


def apply_defaults(resource: str, manifest: Manifest) -> None:
    """Fill in defaults in place."""
    if resource in _DEFAULTS:
        _DEFAULTS[resource](manifest)


def _fill(target: Manifest, **values: Any) -> None:
    for key, value in values.items():
        if target.get(key) is None:
            target[key] = value


def _deployment(manifest: Manifest) -> None:
    spec = manifest.setdefault("spec", {})
    _fill(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    strategy = spec.setdefault("strategy", {})
    _fill(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _fill(strategy.setdefault("rollingUpdate", {}), maxSurge="25%", maxUnavailable="25%")
    _template(spec)
    _fill(manifest, status={})


def _network_policy(manifest: Manifest) -> None:
    spec = manifest.setdefault("spec", {})
    kinds = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
    _fill(spec, podSelector={}, policyTypes=kinds)
    for rule in [*(spec.get("ingress") or ()), *(spec.get("egress") or ())]:
        for port in rule.get("ports") or ():
            _fill(port, protocol="TCP")
    _leave_out_empty(spec)


def _leave_out_empty(spec: Any) -> None:
    """What is empty is not stored; but `{}` is: a selector of everything is not none at all."""
    if isinstance(spec, list):
        for one in spec:
            _leave_out_empty(one)
    elif isinstance(spec, dict):
        for key, value in list(spec.items()):
            _leave_out_empty(value)
            kept = value == {} and key != "matchLabels"
            if not value and not kept and key not in _FALSE_IS_STORED:
                del spec[key]


# Absent is not the same as false there: the server fills it in.
_FALSE_IS_STORED = ("allocateLoadBalancerNodePorts",)


def _config_map(manifest: Manifest) -> None:
    for name, text in (manifest.get("binaryData") or {}).items():
        with suppress(ValueError):  # validation refuses it
            manifest["binaryData"][name] = base64.b64encode(base64.b64decode(text)).decode()


def _disruption_budget(manifest: Manifest) -> None:
    counts = ("currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods")
    _fill(manifest, status=dict.fromkeys(counts, 0))


def _replica_set(manifest: Manifest) -> None:
    spec = manifest.setdefault("spec", {})
    _fill(spec, replicas=1)
    _template(spec)


def _job(manifest: Manifest) -> None:
    spec = manifest.setdefault("spec", {})
    _fill(spec, parallelism=1, completions=1, backoffLimit=6, suspend=False)
    _template(spec)


def _template(spec: Manifest) -> None:
    pod_spec = (spec.get("template") or {}).get("spec")
    if isinstance(pod_spec, dict):
        _pod_spec(pod_spec)


def _pod(manifest: Manifest) -> None:
    _pod_spec(manifest.setdefault("spec", {}))
    _fill(
        manifest["spec"],
        enableServiceLinks=True,
        priority=0,
        preemptionPolicy="PreemptLowerPriority",
    )
    _fill(manifest["spec"], serviceAccountName="default")
    _fill(manifest.setdefault("status", {}), phase="Pending", qosClass="BestEffort")


def _pod_spec(spec: Manifest) -> None:
    _fill(
        spec,
        restartPolicy="Always",
        terminationGracePeriodSeconds=30,
        dnsPolicy="ClusterFirst",
        schedulerName="default-scheduler",
        securityContext={},
    )
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        if isinstance(container, dict):
            _container(container)
    for volume in spec.get("volumes") or ():
        for source in ("configMap", "secret"):
            if source in volume:
                _fill(volume[source], defaultMode=420)


def _container(container: Manifest) -> None:
    name = str(container.get("image", "")).rsplit("/", 1)[-1]
    latest = "@" not in name and (":" not in name or name.endswith(":latest"))
    _fill(
        container,
        imagePullPolicy="Always" if latest else "IfNotPresent",
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
        resources={},
    )
    for port in container.get("ports") or ():
        _fill(port, protocol="TCP")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if probe := container.get(name):
            _fill(probe, timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
            if "httpGet" in probe:
                _fill(probe["httpGet"], scheme="HTTP")


def _service(manifest: Manifest) -> None:
    spec = manifest.setdefault("spec", {})
    _fill(spec, type="ClusterIP", sessionAffinity="None", internalTrafficPolicy="Cluster")
    _fill(spec, ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack")
    for port in spec.get("ports") or ():
        _fill(port, protocol="TCP", targetPort=port.get("port"))
    _leave_out_empty(spec)
    _fill(manifest, status={"loadBalancer": {}})


def _http_route(manifest: Manifest) -> None:
    spec = manifest.setdefault("spec", {})
    for parent in spec.get("parentRefs") or ():
        _fill(parent, group="gateway.networking.k8s.io", kind="Gateway")
    for rule in spec.get("rules") or ():
        _fill(rule, matches=[{"path": {"type": "PathPrefix", "value": "/"}}])
        for reference in rule.get("backendRefs") or ():
            _fill(reference, group="", kind="Service", weight=1)


def _autoscaler(manifest: Manifest) -> None:
    _fill(manifest.setdefault("spec", {}), minReplicas=1)
    _fill(manifest, status={"currentMetrics": None, "desiredReplicas": 0})


def _secret(manifest: Manifest) -> None:
    _fill(manifest, type="Opaque")
    for key, text in (manifest.pop("stringData", None) or {}).items():
        manifest.setdefault("data", {})[key] = base64.b64encode(text.encode()).decode()


def _namespace(manifest: Manifest) -> None:
    metadata = manifest["metadata"]
    labels = metadata["labels"] = metadata.get("labels") or {}
    labels["kubernetes.io/metadata.name"] = metadata["name"]
    _fill(manifest.setdefault("spec", {}), finalizers=["kubernetes"])
    _fill(manifest, status={"phase": "Active"})


_DEFAULTS: dict[str, Callable[[Manifest], None]] = {
    "deployments": _deployment,
    "replicasets": _replica_set,
    "jobs": _job,
    "pods": _pod,
    "configmaps": _config_map,
    "networkpolicies": _network_policy,
    "poddisruptionbudgets": _disruption_budget,
    "services": _service,
    "httproutes": _http_route,
    "horizontalpodautoscalers": _autoscaler,
    "secrets": _secret,
    "namespaces": _namespace,
}
