"""Table answers (meta.k8s.io/v1): the columns that `kubectl get` prints for each kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sandbox.kubernetes.ages import age
from sandbox.kubernetes.resources import Resource
from sandbox.kubernetes.status import Manifest

Cell = Callable[[Manifest], Any]
NONE = "<none>"
_TYPES = {
    ("poddisruptionbudgets", "Allowed Disruptions"): "integer",
    ("replicasets", "Desired"): "integer",
    ("replicasets", "Current"): "integer",
    ("replicasets", "Ready"): "integer",
}


def as_table(kind: Resource, items: Iterable[Manifest], include: str = "Metadata") -> Manifest:
    """A Table of objects; `include` is the query's includeObject (None, Metadata, Object)."""
    columns = COLUMNS.get(kind.plural, (_AGE,))
    name_priority = 1 if kind.plural == "events" else 0
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "columnDefinitions": [
            _definition(kind, "Name", name_priority),
            *(_definition(kind, c[0], c[2]) for c in columns),
        ],
        "rows": [
            {
                "cells": [item["metadata"]["name"], *(cell(item) for _, cell, _ in columns)],
                "object": _row_object(item, include),
            }
            for item in items
        ],
    }


def _definition(kind: Resource, name: str, priority: int) -> Manifest:
    is_date = kind.custom and name == "Age"
    return {
        "name": name,
        "type": "date" if is_date else _TYPES.get((kind.plural, name), "string"),
        "format": "name" if name == "Name" else "",
        "description": "",
        "priority": priority,
    }


def _row_object(item: Manifest, include: str) -> Manifest | None:
    if include == "None":
        return None
    if include == "Object":
        return item
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": item["metadata"],
    }


def _at(path: str, default: Any = 0) -> Cell:
    def cell(item: Manifest) -> Any:
        value: Any = item
        for step in path.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        return default if value is None else value

    return cell


def _age(item: Manifest) -> str:
    return age(item["metadata"].get("creationTimestamp"))


def _joined(values: Iterable[Any]) -> str:
    return ",".join(str(value) for value in values) or NONE


def _pairs(labels: Manifest | None) -> str:
    return _joined(f"{key}={value}" for key, value in sorted((labels or {}).items()))


def _selector(item: Manifest) -> str:
    return _pairs((item["spec"].get("selector") or {}).get("matchLabels"))


def _containers(field: str) -> Cell:
    return lambda item: _joined(c[field] for c in item["spec"]["template"]["spec"]["containers"])


def _ready_of(item: Manifest) -> str:
    return f"{_at('status.readyReplicas')(item)}/{item['spec']['replicas']}"


def _pod_ready(pod: Manifest) -> str:
    states = pod.get("status", {}).get("containerStatuses") or ()
    return f"{sum(state['ready'] for state in states)}/{len(pod['spec']['containers'])}"


def pod_state(pod: Manifest) -> str:
    """The STATUS column: the most telling of phase, waiting and terminated reasons."""
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    status = pod.get("status") or {}
    for container in status.get("containerStatuses") or ():
        for state in ("waiting", "terminated"):
            if reason := container["state"].get(state, {}).get("reason"):
                return str(reason)
    return str(status.get("phase", "Unknown"))


def _restarts(pod: Manifest) -> str:
    states = pod.get("status", {}).get("containerStatuses") or ()
    count = str(sum(state["restartCount"] for state in states))
    ends = [s["lastState"].get("terminated", {}).get("finishedAt") for s in states]
    last = max(filter(None, ends), default=None)
    return f"{count} ({age(last)} ago)" if last else count


def _ports(service: Manifest) -> str:
    ports = service["spec"].get("ports") or ()
    return _joined(f"{port['port']}/{port['protocol']}" for port in ports)


def _targets(autoscaler: Manifest) -> str:
    current = {
        metric["resource"]["name"]: metric["resource"]["current"]["averageUtilization"]
        for metric in (autoscaler.get("status") or {}).get("currentMetrics") or ()
    }
    wanted = [metric["resource"] for metric in autoscaler["spec"].get("metrics") or ()]
    return _joined(
        f"{m['name']}: {current.get(m['name'], '<unknown>')}%/{m['target']['averageUtilization']}%"
        for m in wanted
        if "averageUtilization" in m["target"]
    )


def _reference(autoscaler: Manifest) -> str:
    target = autoscaler["spec"]["scaleTargetRef"]
    return f"{target['kind']}/{target['name']}"


def _node_state(node: Manifest) -> str:
    conditions = (node.get("status") or {}).get("conditions") or ()
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return "Ready" if ready else "NotReady"


def _event_object(event: Manifest) -> str:
    involved = event.get("involvedObject") or {}
    return f"{involved.get('kind', '').lower()}/{involved.get('name', '')}"


def _endpoints(endpoint_slice: Manifest) -> str:
    return _joined(a for e in endpoint_slice.get("endpoints") or () for a in e["addresses"])


def _slice_ports(endpoint_slice: Manifest) -> str:
    return _joined(port["port"] for port in endpoint_slice.get("ports") or ())


def _programmed(gateway: Manifest) -> str:
    conditions = (gateway.get("status") or {}).get("conditions") or ()
    return next((c["status"] for c in conditions if c["type"] == "Programmed"), "Unknown")


def _gateway_address(gateway: Manifest) -> str:
    return _joined(a["value"] for a in (gateway.get("status") or {}).get("addresses") or ())


_AGE = ("Age", _age, 0)
COLUMNS: dict[str, tuple[tuple[str, Cell, int], ...]] = {
    "namespaces": (("Status", _at("status.phase", ""), 0), _AGE),
    "nodes": (
        ("Status", _node_state, 0),
        ("Roles", lambda _: NONE, 0),
        _AGE,
        ("Version", _at("status.nodeInfo.kubeletVersion", ""), 0),
        ("Internal-IP", lambda n: n["status"]["addresses"][0]["address"], 1),
    ),
    "pods": (
        ("Ready", _pod_ready, 0),
        ("Status", pod_state, 0),
        ("Restarts", _restarts, 0),
        _AGE,
        ("IP", _at("status.podIP", NONE), 1),
        ("Node", _at("spec.nodeName", NONE), 1),
        ("Nominated Node", lambda _: NONE, 1),
        ("Readiness Gates", lambda _: NONE, 1),
    ),
    "services": (
        ("Type", _at("spec.type", ""), 0),
        ("Cluster-IP", _at("spec.clusterIP", NONE), 0),
        ("External-IP", _at("spec.externalName", NONE), 0),
        ("Port(s)", _ports, 0),
        _AGE,
        ("Selector", lambda s: _pairs(s["spec"].get("selector")), 1),
    ),
    "configmaps": (("Data", lambda c: len(c.get("data") or {}), 0), _AGE),
    "secrets": (
        ("Type", _at("type", ""), 0),
        ("Data", lambda s: len(s.get("data") or {}), 0),
        _AGE,
    ),
    "events": (
        ("Last Seen", lambda e: age(e.get("lastTimestamp")), 0),
        ("Type", _at("type", ""), 0),
        ("Reason", _at("reason", ""), 0),
        ("Object", _event_object, 0),
        ("Message", _at("message", ""), 0),
    ),
    "deployments": (
        ("Ready", _ready_of, 0),
        ("Up-to-date", _at("status.updatedReplicas"), 0),
        ("Available", _at("status.availableReplicas"), 0),
        _AGE,
        ("Containers", _containers("name"), 1),
        ("Images", _containers("image"), 1),
        ("Selector", _selector, 1),
    ),
    "replicasets": (
        ("Desired", _at("spec.replicas"), 0),
        ("Current", _at("status.replicas"), 0),
        ("Ready", _at("status.readyReplicas"), 0),
        _AGE,
        ("Containers", _containers("name"), 1),
        ("Images", _containers("image"), 1),
        ("Selector", _selector, 1),
    ),
    "horizontalpodautoscalers": (
        ("Reference", _reference, 0),
        ("Targets", _targets, 0),
        ("MinPods", _at("spec.minReplicas"), 0),
        ("MaxPods", _at("spec.maxReplicas"), 0),
        ("Replicas", _at("status.currentReplicas"), 0),
        _AGE,
    ),
    "poddisruptionbudgets": (
        ("Min Available", lambda b: str(_at("spec.minAvailable", "N/A")(b)), 0),
        ("Max Unavailable", lambda b: str(_at("spec.maxUnavailable", "N/A")(b)), 0),
        ("Allowed Disruptions", _at("status.disruptionsAllowed"), 0),
        _AGE,
    ),
    "networkpolicies": (
        ("Pod-Selector", lambda n: _pairs(_at("spec.podSelector.matchLabels", {})(n)), 0),
        _AGE,
    ),
    "ingresses": (
        ("Class", _at("spec.ingressClassName", NONE), 0),
        ("Hosts", lambda i: _joined(r.get("host", "*") for r in i["spec"].get("rules") or ()), 0),
        _AGE,
    ),
    "jobs": (("Completions", _at("spec.completions"), 0), _AGE),
    "leases": (("Holder", _at("spec.holderIdentity", ""), 0), _AGE),
    "endpointslices": (
        ("AddressType", _at("addressType", ""), 0),
        ("Ports", _slice_ports, 0),
        ("Endpoints", _endpoints, 0),
        _AGE,
    ),
    "gateways": (
        ("Class", _at("spec.gatewayClassName", ""), 0),
        ("Address", _gateway_address, 0),
        ("Programmed", _programmed, 0),
        _AGE,
    ),
    "httproutes": (("Hostnames", lambda r: r["spec"].get("hostnames") or None, 0), _AGE),
}
