"""The kinds that the simulated cluster serves, as discovery, paths and the store know them."""

from __future__ import annotations

from dataclasses import dataclass

ALL_VERBS = (
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
)


@dataclass(frozen=True)
class Resource:
    """One served kind; `custom` ones come from a CRD and refuse strategic merge patches."""

    plural: str
    kind: str
    group: str
    version: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    custom: bool = False
    generation: bool = False

    @property
    def api_version(self) -> str:
        """`v1` or `apps/v1`, as objects carry it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def singular(self) -> str:
        """The kind in small letters, as kubectl accepts it."""
        return self.kind.lower()

    @property
    def collection_path(self) -> str:
        """The path of the group and version, without namespace."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"


def _core(plural: str, kind: str, *short_names: str, **rest: object) -> Resource:
    return Resource(plural, kind, "", "v1", short_names=short_names, **rest)  # type: ignore[arg-type]


_ALL = ("all",)
_STATUS = ("status",)
_SCALABLE = ("scale", "status")
_GATEWAY = "gateway.networking.k8s.io"
_NETWORKING = "networking.k8s.io"

RESOURCES: tuple[Resource, ...] = (
    _core("namespaces", "Namespace", "ns", namespaced=False, subresources=_STATUS),
    _core("nodes", "Node", "no", namespaced=False, subresources=_STATUS),
    _core(
        "pods",
        "Pod",
        "po",
        categories=_ALL,
        subresources=("eviction", "log", "status"),
        generation=True,
    ),
    _core("services", "Service", "svc", categories=_ALL, subresources=("proxy", "status")),
    _core("configmaps", "ConfigMap", "cm"),
    _core("secrets", "Secret"),
    _core("serviceaccounts", "ServiceAccount", "sa"),
    _core("resourcequotas", "ResourceQuota", "quota"),
    _core("limitranges", "LimitRange", "limits"),
    _core("events", "Event", "ev"),
    Resource(
        "deployments",
        "Deployment",
        "apps",
        "v1",
        short_names=("deploy",),
        categories=_ALL,
        subresources=_SCALABLE,
        generation=True,
    ),
    Resource(
        "replicasets",
        "ReplicaSet",
        "apps",
        "v1",
        short_names=("rs",),
        categories=_ALL,
        subresources=_SCALABLE,
        generation=True,
    ),
    Resource(
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
        "autoscaling",
        "v2",
        short_names=("hpa",),
        categories=_ALL,
        subresources=_STATUS,
    ),
    Resource("jobs", "Job", "batch", "v1", categories=_ALL, subresources=_STATUS, generation=True),
    Resource(
        "poddisruptionbudgets",
        "PodDisruptionBudget",
        "policy",
        "v1",
        short_names=("pdb",),
        subresources=_STATUS,
        generation=True,
    ),
    Resource(
        "networkpolicies",
        "NetworkPolicy",
        _NETWORKING,
        "v1",
        short_names=("netpol",),
        generation=True,
    ),
    Resource(
        "ingresses",
        "Ingress",
        _NETWORKING,
        "v1",
        short_names=("ing",),
        subresources=_STATUS,
        generation=True,
    ),
    Resource("leases", "Lease", "coordination.k8s.io", "v1"),
    Resource("endpointslices", "EndpointSlice", "discovery.k8s.io", "v1", generation=True),
    Resource(
        "gateways",
        "Gateway",
        _GATEWAY,
        "v1",
        short_names=("gtw",),
        subresources=_STATUS,
        custom=True,
        generation=True,
    ),
    Resource(
        "httproutes",
        "HTTPRoute",
        _GATEWAY,
        "v1",
        subresources=_STATUS,
        custom=True,
        generation=True,
    ),
    Resource(
        "selfsubjectaccessreviews",
        "SelfSubjectAccessReview",
        "authorization.k8s.io",
        "v1",
        namespaced=False,
        verbs=("create",),
    ),
)

BY_NAME: dict[str, Resource] = {resource.plural: resource for resource in RESOURCES}
_BY_PATH = {(r.group, r.version, r.plural): r for r in RESOURCES}


def find(group: str, version: str, plural: str) -> Resource | None:
    """The served resource of a request path, or None."""
    return _BY_PATH.get((group, version, plural))


def groups() -> dict[str, str]:
    """The version served per named group, in the table's order."""
    return {r.group: r.version for r in RESOURCES if r.group}
