"""Where a request goes: HTTPRoute by host and path, backend by weight, pods by Service selector."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.kubernetes.selectors import carries, labels_of
from sandbox.kubernetes.status import Manifest
from sandbox.kubernetes.store import Store

_ANY: Manifest = {}


@dataclass(frozen=True)
class Backend:
    """One destination of a route's rule; `service` lives in `namespace`."""

    namespace: str
    service: str
    port: int | None
    weight: int


def backends_of(rule: Manifest, namespace: str) -> list[Backend]:
    """A rule's backendRefs with their weights (default 1, as Gateway API says)."""
    return [
        Backend(
            namespace=reference.get("namespace") or namespace,
            service=reference["name"],
            port=reference.get("port"),
            weight=reference.get("weight", 1),
        )
        for reference in rule.get("backendRefs") or ()
    ]


def choose_backend(backends: list[Backend], chance: random.Random) -> Backend | None:
    """One backend with probability by weight; None when no weight is above zero."""
    weighted = [backend for backend in backends if backend.weight > 0]
    if not weighted:
        return None
    return chance.choices(weighted, [backend.weight for backend in weighted])[0]


def matching_rule(
    store: Store, host: str, path: str, method: str = "GET", headers: Mapping[str, str] = {}
) -> tuple[Manifest, Manifest] | None:
    """(HTTPRoute, rule) that takes this request: the longest path, then the oldest route.

    Gateway API v1: exact path before prefix, hostnames with a leading `*.`, method and exact
    header matches. Query matches are not followed.
    """
    best: tuple[tuple[bool, int, int], Manifest, Manifest] | None = None
    for route in sorted(store.list("httproutes"), key=lambda r: r["metadata"]["creationTimestamp"]):
        if not _takes_host(route, host):
            continue
        for rule in route["spec"].get("rules") or ():
            for match in rule.get("matches") or [_ANY]:
                rank = _rank(match, path, method, headers)
                if rank is not None and (best is None or rank > best[0]):
                    best = (rank, route, rule)
    return None if best is None else (best[1], best[2])


def is_ready(pod: Manifest) -> bool:
    """Whether a pod is Ready and not on its way out."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def ready_pods(store: Store, namespace: str, selector: dict[str, str]) -> list[Manifest]:
    """Ready, not terminating pods whose labels carry every pair of a non-empty selector."""
    pods = store.list("pods", namespace)
    return [pod for pod in pods if carries(labels_of(pod), selector) and is_ready(pod)]


def service_pods(store: Store, namespace: str, service: str) -> list[Manifest]:
    """Ready pods behind a Service; none when it does not exist."""
    found = store.get("services", namespace, service)
    selector = (found or {}).get("spec", {}).get("selector") or {}
    return ready_pods(store, namespace, selector)


def share_of(store: Store, pod: Manifest) -> float:
    """The largest percentage that a rule of a route sends to a Service that selects the pod."""
    namespace, shares = pod["metadata"]["namespace"], [0.0]
    for route in store.list("httproutes", namespace):
        for rule in route["spec"].get("rules") or ():
            backends = backends_of(rule, namespace)
            whole = sum(backend.weight for backend in backends)
            for backend in backends:
                found = store.get("services", backend.namespace, backend.service) or {}
                selector = found.get("spec", {}).get("selector") or {}
                if whole and carries(labels_of(pod), selector):
                    shares.append(100 * backend.weight / whole)
    return max(shares)


def _takes_host(route: Manifest, host: str) -> bool:
    hostnames = route["spec"].get("hostnames") or ()
    return not hostnames or any(
        host == name or (name.startswith("*.") and host.endswith(name[1:])) for name in hostnames
    )


def _rank(
    match: Manifest, path: str, method: str, headers: Mapping[str, str]
) -> tuple[bool, int, int] | None:
    wanted = match.get("path") or {"type": "PathPrefix", "value": "/"}
    kind, value = wanted.get("type", "PathPrefix"), wanted.get("value", "/")
    if not _takes_path(kind, value, path) or match.get("method", method) != method:
        return None
    needed = match.get("headers") or ()
    if any(headers.get(header["name"]) != header["value"] for header in needed):
        return None
    return kind == "Exact", len(value), len(needed)


def _takes_path(kind: str, value: str, path: str) -> bool:
    if kind == "Exact":
        return path == value
    if kind == "RegularExpression":
        return re.fullmatch(value, path) is not None
    prefix = value.rstrip("/")
    return path == prefix or path.startswith(f"{prefix}/")
