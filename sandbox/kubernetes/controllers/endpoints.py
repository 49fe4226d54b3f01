"""The EndpointSlice controller: the addresses behind each Service with a selector."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.kubernetes.controllers.loop import Controller, Key, key_of
from sandbox.kubernetes.controllers.workloads import owner_reference
from sandbox.kubernetes.routing import is_ready
from sandbox.kubernetes.selectors import carries, labels_of
from sandbox.kubernetes.status import Manifest
from sandbox.kubernetes.store import Event

SERVICE_LABEL = "kubernetes.io/service-name"


class EndpointSliceController(Controller):
    """Keeps one slice per Service; it goes with its Service by ownership."""

    def keys(self, event: Event) -> Iterable[Key]:
        """The Service itself, or every Service of a pod's namespace that (un)selects it."""
        if event.resource == "services":
            return [key_of(event)]
        if event.resource != "pods":
            return []
        versions = [event.object, *([event.previous] if event.previous else [])]
        services = self.store.list("services", event.object["metadata"]["namespace"])
        return [
            (s["metadata"]["namespace"], s["metadata"]["name"])
            for s in services
            if any(carries(labels_of(v), s["spec"].get("selector") or {}) for v in versions)
        ]

    def reconcile(self, namespace: str, name: str) -> None:
        """Write the slice of one Service."""
        service = self.store.get("services", namespace, name)
        if service is None or not service["spec"].get("selector"):
            return
        pods = [
            pod
            for pod in self.store.list("pods", namespace)
            if carries(labels_of(pod), service["spec"]["selector"])
            and (pod.get("status") or {}).get("podIP")
        ]
        slice_name = f"{name}-{service['metadata']['uid'][:5]}"
        wanted = _slice(service, slice_name, pods)

        def edit(changed: Manifest) -> None:
            changed["endpoints"], changed["ports"] = wanted["endpoints"], wanted["ports"]

        if self.store.change("endpointslices", namespace, slice_name, edit) is None:
            self.store.create("endpointslices", wanted)


def _slice(service: Manifest, name: str, pods: list[Manifest]) -> Manifest:
    metadata = service["metadata"]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": {
                SERVICE_LABEL: metadata["name"],
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            },
            "ownerReferences": [owner_reference(service)],
        },
        "addressType": "IPv4",
        "endpoints": [_endpoint(pod) for pod in pods],
        "ports": [
            {
                "name": port.get("name", ""),
                "protocol": port["protocol"],
                "port": _target(port["targetPort"], pods),
            }
            for port in service["spec"].get("ports") or ()
        ],
    }


def _endpoint(pod: Manifest) -> Manifest:
    metadata = pod["metadata"]
    terminating = "deletionTimestamp" in metadata
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {
            "ready": is_ready(pod),
            "serving": is_ready(pod),
            "terminating": terminating,
        },
        "nodeName": pod["spec"]["nodeName"],
        "targetRef": {
            "kind": "Pod",
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        },
    }


def _target(port: int | str, pods: list[Manifest]) -> int | None:
    if isinstance(port, int):
        return port
    named = (
        declared["containerPort"]
        for pod in pods
        for container in pod["spec"]["containers"]
        for declared in container.get("ports") or ()
        if declared.get("name") == port
    )
    return next(named, None)
