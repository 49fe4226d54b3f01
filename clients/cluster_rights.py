"""What a release may have to do in an environment's namespace, and no more.

`deployment/kubernetes/role.yaml` grants exactly these (a test compares them); `tidegate doctor`
asks the cluster for each.
"""

from __future__ import annotations

from typing import NamedTuple

from clients.cluster_kinds import resource_of


class Right(NamedTuple):
    """Verbs on one kind in the namespace, or on a subresource of it."""

    kind: str
    verbs: tuple[str, ...]
    subresource: str = ""

    @property
    def group(self) -> str:
        """The API group, empty for the core one."""
        return resource_of(self.kind).group

    @property
    def resource(self) -> str:
        """The plural as RBAC names it: `services`, `services/proxy`."""
        plural = resource_of(self.kind).plural
        return f"{plural}/{self.subresource}" if self.subresource else plural


_OWNED = ("get", "list", "create", "patch", "delete")
_WRITTEN_ONCE = ("get", "list", "create", "delete")
_SHARED = ("get", "create")

RIGHTS = (
    Right("Deployment", _OWNED),
    Right("HorizontalPodAutoscaler", _OWNED),
    Right("PodDisruptionBudget", _WRITTEN_ONCE),
    Right("ConfigMap", _WRITTEN_ONCE),
    Right("Service", _OWNED),
    Right("Service", ("get",), "proxy"),
    Right("HTTPRoute", (*_OWNED, "watch")),
    Right("ServiceAccount", _SHARED),
    Right("NetworkPolicy", _SHARED),
    Right("Pod", ("list",)),
    # Its own namespace alone, so that a wrong name is told from an empty namespace.
    Right("Namespace", ("get",)),
)
