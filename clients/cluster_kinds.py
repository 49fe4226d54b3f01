"""Where each kind lives in the Kubernetes API: group, version and plural, for paths and RBAC."""

from __future__ import annotations

import difflib
from typing import NamedTuple
from urllib.parse import quote

from domain.errors import PermanentFailure


class Resource(NamedTuple):
    """One kind as the API serves it."""

    kind: str
    api_version: str
    plural: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """The API group, empty for the core one."""
        return self.api_version.rpartition("/")[0]

    @property
    def qualified(self) -> str:
        """`httproutes.gateway.networking.k8s.io`, or `pods`, as RBAC rules name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str, name: str = "") -> str:
        """URL path of the collection, or of one object in it."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        inside = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced else ""
        return f"{root}{inside}/{self.plural}" + (f"/{quote(name, safe='')}" if name else "")


RESOURCES = {
    resource.kind: resource
    for resource in (
        Resource("ConfigMap", "v1", "configmaps"),
        Resource("Deployment", "apps/v1", "deployments"),
        Resource("EndpointSlice", "discovery.k8s.io/v1", "endpointslices"),
        Resource("Event", "v1", "events"),
        Resource("Gateway", "gateway.networking.k8s.io/v1", "gateways"),
        Resource("HTTPRoute", "gateway.networking.k8s.io/v1", "httproutes"),
        Resource("HorizontalPodAutoscaler", "autoscaling/v2", "horizontalpodautoscalers"),
        Resource("Lease", "coordination.k8s.io/v1", "leases"),
        Resource("LimitRange", "v1", "limitranges"),
        Resource("Namespace", "v1", "namespaces", namespaced=False),
        Resource("NetworkPolicy", "networking.k8s.io/v1", "networkpolicies"),
        Resource("Node", "v1", "nodes", namespaced=False),
        Resource("Pod", "v1", "pods"),
        Resource("PodDisruptionBudget", "policy/v1", "poddisruptionbudgets"),
        Resource("ReplicaSet", "apps/v1", "replicasets"),
        Resource("ResourceQuota", "v1", "resourcequotas"),
        Resource("Secret", "v1", "secrets"),
        Resource(
            "SelfSubjectAccessReview",
            "authorization.k8s.io/v1",
            "selfsubjectaccessreviews",
            namespaced=False,
        ),
        Resource("Service", "v1", "services"),
        Resource("ServiceAccount", "v1", "serviceaccounts"),
    )
}


def resource_of(kind: str) -> Resource:
    """Look a kind up; PermanentFailure names the nearest one known."""
    if kind in RESOURCES:
        return RESOURCES[kind]
    nearest = difflib.get_close_matches(kind, RESOURCES, n=1) or sorted(RESOURCES)
    raise PermanentFailure(
        f"Tidegate has no business with objects of kind {kind!r}; nearest: {', '.join(nearest)}"
    )
