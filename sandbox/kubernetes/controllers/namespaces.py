"""The namespace controllers: what every namespace has from the start."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.kubernetes import field_ownership
from sandbox.kubernetes.controllers.loop import Controller, Key
from sandbox.kubernetes.resources import BY_NAME
from sandbox.kubernetes.status import Manifest
from sandbox.kubernetes.store import Event

_ROOT_CERTIFICATES = "kube-root-ca.crt"
_DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal "
    "endpoints such as the internal service IP or kubernetes.default.svc. No other usage is "
    "guaranteed across distributions of Kubernetes clusters."
)
_WRITER = "kube-controller-manager"


class NamespaceController(Controller):
    """Gives each active namespace its default ServiceAccount and root certificate ConfigMap."""

    def keys(self, event: Event) -> Iterable[Key]:
        """The namespace, also when one of the two objects was deleted."""
        if event.resource == "namespaces":
            return [("", event.object["metadata"]["name"])]
        if event.resource in ("serviceaccounts", "configmaps") and event.type == "DELETED":
            return [("", event.object["metadata"]["namespace"])]
        return []

    def reconcile(self, namespace: str, name: str) -> None:
        """Create what is missing."""
        found = self.store.get("namespaces", None, name)
        if found is None or found["status"]["phase"] != "Active":
            return
        if self.store.get("serviceaccounts", name, "default") is None:
            self.store.create("serviceaccounts", _object("ServiceAccount", name, "default"))
        if self.store.get("configmaps", name, _ROOT_CERTIFICATES) is None:
            certificates = _object("ConfigMap", name, _ROOT_CERTIFICATES) | {"data": {"ca.crt": ""}}
            certificates["metadata"]["annotations"] = {"kubernetes.io/description": _DESCRIPTION}
            field_ownership.record_change(BY_NAME["configmaps"], None, certificates, _WRITER)
            self.store.create("configmaps", certificates)


def _object(kind: str, namespace: str, name: str) -> Manifest:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata}
