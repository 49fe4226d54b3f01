"""The arithmetic of a rolling update, as the Deployment controller does it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sandbox.kubernetes.status import Manifest


@dataclass(frozen=True)
class Limits:
    """How many pods a rolling update may have above, and lack below, the desired count."""

    surge: int
    unavailable: int


def share(value: int | str, total: int, *, round_up: bool) -> int:
    """An int-or-percent against a total (Kubernetes intstr)."""
    if isinstance(value, int):
        return value
    exact = int(value.removesuffix("%")) * total / 100
    return math.ceil(exact) if round_up else math.floor(exact)


def limits(deployment: Manifest) -> Limits:
    """maxSurge (rounded up) and maxUnavailable (down); both zero would never move, so 0/1."""
    spec = deployment["spec"]
    if spec["strategy"]["type"] == "Recreate":
        return Limits(0, spec["replicas"])
    rolling = spec["strategy"]["rollingUpdate"]
    surge = share(rolling["maxSurge"], spec["replicas"], round_up=True)
    unavailable = share(rolling["maxUnavailable"], spec["replicas"], round_up=False)
    if surge == 0 and unavailable == 0:
        return Limits(0, 1)
    return Limits(surge, unavailable)


def replicas_wanted(
    deployment: Manifest, new: Manifest, old: list[Manifest]
) -> tuple[int, dict[str, int]]:
    """(replicas of the new ReplicaSet, replicas of each old one by name) for the next step."""
    desired = deployment["spec"]["replicas"]
    olds = {rs["metadata"]["name"]: rs["spec"]["replicas"] for rs in old}
    current = new["spec"]["replicas"]
    if deployment["spec"]["strategy"]["type"] == "Recreate":
        gone = all(rs["spec"]["replicas"] == 0 and _status(rs, "replicas") == 0 for rs in old)
        return (desired if gone else current), dict.fromkeys(olds, 0)
    allowed = limits(deployment)
    room = desired + allowed.surge - current - sum(olds.values())
    wanted = desired if current >= desired else min(desired, current + max(0, room))
    return wanted, _shrink(olds, old, new, wanted, desired - allowed.unavailable)


def _shrink(
    olds: dict[str, int], old: list[Manifest], new: Manifest, wanted: int, minimum: int
) -> dict[str, int]:
    """Old pods that may go: first those that are not available, then what `minimum` spares."""
    lacking = max(0, wanted - _status(new, "availableReplicas"))
    budget = sum(olds.values()) + wanted - minimum - lacking
    for replica_set in old:
        name = replica_set["metadata"]["name"]
        broken = max(0, olds[name] - _status(replica_set, "availableReplicas"))
        removed = max(0, min(broken, budget))
        olds[name] -= removed
        budget -= removed
    available = sum(_status(rs, "availableReplicas") for rs in [*old, new])
    spare = min(budget, available - minimum)
    for replica_set in old:
        name = replica_set["metadata"]["name"]
        removed = max(0, min(olds[name], spare))
        olds[name] -= removed
        spare -= removed
    return olds


def _status(replica_set: Manifest, field: str) -> int:
    return int((replica_set.get("status") or {}).get(field, 0))
