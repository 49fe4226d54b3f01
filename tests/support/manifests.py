"""A service's manifests with everything a revision can have, and the revision made of them."""

from __future__ import annotations

from typing import Any

from domain.revision import Manifest, RevisionName, RevisionObjects, make_revision

IMAGE = "registry.example/isa/album@sha256:" + "1" * 64
CONFIGS = ("album-config", "album-env", "album-files", "album-extra")


def named(short: str = "0123456789") -> RevisionName:
    return RevisionName(
        service="album",
        short=short,
        namespace="production",
        bundle="registry.example/isa/album@sha256:" + "2" * 64,
        commit="c" * 40,
    )


def thing(kind: str, name: str, **rest: Any) -> Manifest:
    metadata = {"name": name, "namespace": "elsewhere", "labels": {"app": "album", "team": "isa"}}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **rest}


def container(name: str = "album") -> Manifest:
    return {
        "name": name,
        "image": "isa/album",
        "envFrom": [{"configMapRef": {"name": "album-config"}}, {"secretRef": {"name": "album"}}],
        "env": [
            {"name": "A", "value": "album-config"},
            {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "album-env", "key": "b"}}},
            {"name": "C", "valueFrom": {"secretKeyRef": {"name": "album-config", "key": "c"}}},
        ],
    }


def deployment(**spec: Any) -> Manifest:
    pod = {
        "serviceAccountName": "album",
        "containers": [container(), container("sidecar")],
        "initContainers": [container("setup")],
        "volumes": [
            {"name": "files", "configMap": {"name": "album-files"}},
            {
                "name": "mixed",
                "projected": {
                    "sources": [
                        {"configMap": {"name": "album-extra"}},
                        {"secret": {"name": "album-config"}},
                        {"configMap": {"name": "cluster-wide"}},
                    ]
                },
            },
            {"name": "scratch", "emptyDir": {}},
        ],
    }
    return thing(
        "Deployment",
        "album",
        spec={
            "replicas": 2,
            "selector": {"matchLabels": {"app": "album"}},
            "template": {"metadata": {"labels": {"app": "album"}}, "spec": pod},
            **spec,
        },
    )


def manifests(**spec: Any) -> list[Manifest]:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "album"}
    return [
        deployment(**spec),
        thing(
            "Service",
            "album",
            spec={
                "type": "NodePort",
                "selector": {"app": "album"},
                "ports": [{"name": "http", "port": 8219, "targetPort": "http", "nodePort": 30000}],
            },
        ),
        *(thing("ConfigMap", name, data={"key": name}) for name in CONFIGS),
        thing(
            "HorizontalPodAutoscaler",
            "album",
            spec={"scaleTargetRef": target, "minReplicas": 3, "maxReplicas": 9},
        ),
        thing(
            "PodDisruptionBudget",
            "album-pdb",
            spec={"minAvailable": 1, "selector": {"matchLabels": {"app": "album"}}},
        ),
        thing("HTTPRoute", "album", spec={"rules": [{"backendRefs": [{"name": "album"}]}]}),
        thing("NetworkPolicy", "album", spec={"podSelector": {"matchLabels": {"app": "album"}}}),
        thing("ServiceAccount", "album"),
    ]


def revision(
    objects: list[Manifest] | None = None, short: str = "0123456789", image: str = IMAGE
) -> RevisionObjects:
    return make_revision(objects or manifests(), named(short), image=image, container="album")
