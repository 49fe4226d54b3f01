"""One object of each kind that our clients write, as a release has them, and wrong ones."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

Manifest = dict[str, Any]
Operations = list[Manifest]
JSON_PATCH = "application/json-patch+json"
SERVICE, PORT = "album", 8219
SELECTED = f"labelSelector=tidegate.dev%2Fservice%3D{SERVICE}%2Capp%3D{SERVICE}"
LABELS = {"app": SERVICE, "tidegate.dev/service": SERVICE}


@dataclass(frozen=True)
class Kind:
    """A kind with its collection, an object, a fitting patch, and wrong objects by what is wrong.

    `settled` says whether a controller writes the object's status until it is at rest; a kind
    whose status only another system's controller writes has it left out of the comparison.
    `needs` are kinds of which an object must be there for that.
    """

    kind: str
    api_version: str
    plural: str
    manifest: Manifest
    patch: Operations
    wrong: dict[str, Operations]
    settles: bool = False
    has_foreign_status: bool = False
    needs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.manifest["metadata"]["name"])

    def collection(self, namespace: str) -> str:
        """The path of its objects."""
        root = "apis" if "/" in self.api_version else "api"
        return f"/{root}/{self.api_version}/namespaces/{namespace}/{self.plural}"

    def object(self) -> Manifest:
        """A fresh copy of the whole object."""
        head = {"apiVersion": self.api_version, "kind": self.kind}
        return copy.deepcopy({**head, **self.manifest})


def replace(path: str, old: Any, new: Any) -> Operations:
    """A JSON patch that only changes what it knows."""
    return [
        {"op": "test", "path": path, "value": old},
        {"op": "replace", "path": path, "value": new},
    ]


def put(path: str, value: Any) -> Operations:
    """A JSON patch that adds or replaces."""
    return [{"op": "add", "path": path, "value": value}]


def _metadata(name: str, **more: str) -> Manifest:
    return {"name": name, "labels": {**LABELS, **more}}


_CONTAINER = {
    "name": SERVICE,
    "image": "registry.example/isa/album@sha256:" + "a" * 64,
    "ports": [{"name": "http", "containerPort": PORT}],
    "envFrom": [{"configMapRef": {"name": "album-config"}}],
    "resources": {
        "requests": {"cpu": "100m", "memory": "128Mi"},
        "limits": {"cpu": "500m", "memory": "512Mi"},
    },
    "livenessProbe": {
        "httpGet": {"path": "/health", "port": "http"},
        "initialDelaySeconds": 3,
        "periodSeconds": 5,
    },
    "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 1},
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    },
}
_DEPLOYMENT: Manifest = {
    "metadata": {
        **_metadata("album-0123456789"),
        "annotations": {"tidegate.dev/spec-hash": "sha256:0"},
    },
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": SERVICE, "tidegate.dev/revision": "0123456789"}},
        "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {
            "metadata": {"labels": {**LABELS, "tidegate.dev/revision": "0123456789"}},
            "spec": {
                "automountServiceAccountToken": False,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [_CONTAINER],
                "volumes": [{"name": "files", "configMap": {"name": "album-config"}}],
            },
        },
    },
}
_BACKENDS = [
    {"name": "album-0123456789", "port": PORT, "weight": 90},
    {"name": "album-abcdef0123", "port": PORT, "weight": 10},
]
_TEMPLATE = "/spec/template/spec/containers"

KINDS = (
    Kind(
        "ConfigMap",
        "v1",
        "configmaps",
        {"metadata": _metadata("album-config"), "data": {"LOG_LEVEL": "info"}},
        replace("/data/LOG_LEVEL", "info", "debug"),
        {
            "key": put("/data/no such key", "x"),
            "name": put("/metadata/name", "Album_Config"),
            "label": put("/metadata/labels/app", "not a label!"),
        },
    ),
    Kind(
        "ServiceAccount",
        "v1",
        "serviceaccounts",
        {"metadata": _metadata(SERVICE), "automountServiceAccountToken": False},
        put("/metadata/annotations", {"example.com/note": "changed"}),
        {"name": put("/metadata/name", "Album")},
    ),
    Kind(
        "Service",
        "v1",
        "services",
        {
            "metadata": _metadata(SERVICE),
            "spec": {
                "selector": {"app": SERVICE, "tidegate.dev/revision": "0123456789"},
                "ports": [{"name": "http", "port": PORT, "targetPort": "http"}],
            },
        },
        replace("/spec/selector/tidegate.dev~1revision", "0123456789", "abcdef0123"),
        {
            "port": replace("/spec/ports/0/port", PORT, 70000),
            "ports": put("/spec/ports", []),
            "name": put("/metadata/name", "Album"),
        },
    ),
    Kind(
        "Deployment",
        "apps/v1",
        "deployments",
        _DEPLOYMENT,
        [
            *replace("/spec/replicas", 2, 3),
            *replace("/metadata/annotations/tidegate.dev~1spec-hash", "sha256:0", "sha256:1"),
        ],
        {
            "replicas": replace("/spec/replicas", 2, -1),
            "selector": put("/spec/selector/matchLabels/app", "other"),
            "image": put(f"{_TEMPLATE}/0/image", ""),
            "volume": put(f"{_TEMPLATE}/0/volumeMounts", [{"name": "x", "mountPath": "/x"}]),
            "containers": put(_TEMPLATE, []),
        },
        settles=True,
        needs=("ConfigMap",),
    ),
    Kind(
        "HorizontalPodAutoscaler",
        "autoscaling/v2",
        "horizontalpodautoscalers",
        {
            "metadata": _metadata("album-0123456789"),
            "spec": {
                "minReplicas": 2,
                "maxReplicas": 6,
                "scaleTargetRef": {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "name": "album-0123456789",
                },
                "metrics": [
                    {
                        "type": "Resource",
                        "resource": {
                            "name": "cpu",
                            "target": {"type": "Utilization", "averageUtilization": 70},
                        },
                    }
                ],
            },
        },
        replace("/spec/minReplicas", 2, 4),
        {
            "maximum": replace("/spec/maxReplicas", 6, 1),
            "minimum": replace("/spec/minReplicas", 2, -1),
            "target": put("/spec/scaleTargetRef/name", ""),
        },
        has_foreign_status=True,
    ),
    Kind(
        "PodDisruptionBudget",
        "policy/v1",
        "poddisruptionbudgets",
        {
            "metadata": _metadata("album-0123456789"),
            "spec": {
                "maxUnavailable": 1,
                "selector": {"matchLabels": {"tidegate.dev/revision": "0123456789"}},
            },
        },
        replace("/spec/maxUnavailable", 1, 2),
        {"both": put("/spec/minAvailable", 1)},
        settles=True,
    ),
    Kind(
        "NetworkPolicy",
        "networking.k8s.io/v1",
        "networkpolicies",
        {
            "metadata": _metadata(SERVICE),
            "spec": {
                "podSelector": {"matchLabels": {"app": SERVICE}},
                "policyTypes": ["Ingress"],
                "ingress": [{"ports": [{"port": PORT}]}],
            },
        },
        put("/spec/ingress/0/ports/0/port", PORT + 1),
        {"type": put("/spec/policyTypes", ["Inwards"])},
    ),
    Kind(
        "HTTPRoute",
        "gateway.networking.k8s.io/v1",
        "httproutes",
        {
            "metadata": _metadata(SERVICE),
            "spec": {
                "parentRefs": [{"name": "public"}],
                "rules": [
                    {
                        "matches": [{"path": {"type": "PathPrefix", "value": "/api/v1/albums"}}],
                        "backendRefs": _BACKENDS,
                    }
                ],
            },
        },
        [
            *replace("/spec/rules/0/backendRefs/0/weight", 90, 50),
            *replace("/spec/rules/0/backendRefs/1/weight", 10, 50),
        ],
        {
            "weight": replace("/spec/rules/0/backendRefs/0/weight", 90, -1),
            "port": [{"op": "remove", "path": "/spec/rules/0/backendRefs/0/port"}],
            "backends": put("/spec/rules/0/backendRefs", [_BACKENDS[0]] * 17),
        },
        has_foreign_status=True,
    ),
)
BY_KIND = {kind.kind: kind for kind in KINDS}
