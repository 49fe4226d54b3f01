"""A Deployment's status: counts, Available and Progressing with its deadline."""

from __future__ import annotations

import copy
import time

from sandbox.kubernetes.controllers.conditions import condition, find_condition, set_condition
from sandbox.kubernetes.controllers.rollout import limits
from sandbox.kubernetes.status import Manifest
from sandbox.kubernetes.store import now

_DONE = "NewReplicaSetAvailable"
_SLACK_SECONDS = 0.01
# However fast the cluster's time runs, a busy machine must not make a good rollout late.
_SHORTEST_SECONDS = 10.0


class Progress:
    """When a rollout last moved, on the monotonic clock: objects carry whole seconds only.

    The deadline is of the cluster's time, which runs `speed` times as fast.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self._speed = speed
        self._since = time.monotonic()
        self._best: tuple[str, int, int, int, int] | None = None
        self.finished = False

    def observe(self, new_name: str, status: Manifest) -> bool:
        """Note the counts; whether the rollout has moved since the last look."""
        updated = status["updatedReplicas"]
        seen = (
            new_name,
            updated,
            updated - status["replicas"],
            status["readyReplicas"],
            status["availableReplicas"],
        )
        best, self._best = self._best, seen
        moved = (
            best is None
            or best[0] != new_name
            or any(now_ > then for now_, then in zip(seen[1:], best[1:], strict=True))
        )
        if moved:
            self._since = time.monotonic()
        return moved

    def seconds_left(self, deployment: Manifest) -> float | None:
        """Until progressDeadlineSeconds is over; None when nothing is being waited for."""
        if self.finished:
            return None
        deadline = float(deployment["spec"]["progressDeadlineSeconds"])
        allowed = max(deadline / self._speed, min(deadline, _SHORTEST_SECONDS))
        left = self._since + allowed - time.monotonic()
        return left + _SLACK_SECONDS if left > 0 else None

    def overdue(self, deployment: Manifest) -> bool:
        """Whether the deadline passed without a move."""
        return not self.finished and self.seconds_left(deployment) is None


def deployment_status(
    deployment: Manifest, new: Manifest | None, replica_sets: list[Manifest], progress: Progress
) -> Manifest:
    """The status to store; `progress` is told what is seen."""
    status = copy.deepcopy(deployment.get("status") or {})
    status |= {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": _total(replica_sets, "replicas"),
        "updatedReplicas": _total([new] if new else [], "replicas"),
        "readyReplicas": _total(replica_sets, "readyReplicas"),
        "availableReplicas": _total(replica_sets, "availableReplicas"),
        "terminatingReplicas": _total(replica_sets, "terminatingReplicas"),
    }
    desired = deployment["spec"]["replicas"]
    status["unavailableReplicas"] = max(0, desired - status["availableReplicas"])
    conditions: list[Manifest] = status.setdefault("conditions", [])
    _set_available(conditions, deployment, status)
    if new is not None:
        _set_progressing(conditions, deployment, new, status, progress)
    for field in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"):
        # The real controller leaves zero counts out, and clients must cope with that.
        if status[field] == 0:
            del status[field]
    if status["unavailableReplicas"] == 0:
        del status["unavailableReplicas"]
    return status


def _total(replica_sets: list[Manifest], field: str) -> int:
    return sum((rs.get("status") or {}).get(field, 0) for rs in replica_sets)


def _set_available(conditions: list[Manifest], deployment: Manifest, status: Manifest) -> None:
    minimum = deployment["spec"]["replicas"] - limits(deployment).unavailable
    if status["availableReplicas"] >= minimum:
        text = "Deployment has minimum availability."
        available = condition("Available", True, "MinimumReplicasAvailable", text)
    else:
        text = "Deployment does not have minimum availability."
        available = condition("Available", False, "MinimumReplicasUnavailable", text)
    before = find_condition(conditions, "Available")
    if before is None or before["status"] != available["status"]:
        available["lastUpdateTime"] = now()
    set_condition(conditions, available)


def _set_progressing(
    conditions: list[Manifest],
    deployment: Manifest,
    new: Manifest,
    status: Manifest,
    progress: Progress,
) -> None:
    name = new["metadata"]["name"]
    moved = progress.observe(name, status)
    before = find_condition(conditions, "Progressing")
    was_done = before is not None and before["reason"] == _DONE and f'"{name}"' in before["message"]
    complete = was_done or _is_complete(deployment, status)
    progress.finished = complete
    if complete:
        text = f'ReplicaSet "{name}" has successfully progressed.'
        progressing = condition("Progressing", True, _DONE, text)
    elif progress.overdue(deployment):
        text = f'ReplicaSet "{name}" has timed out progressing.'
        progressing = condition("Progressing", False, "ProgressDeadlineExceeded", text)
    else:
        text = f'ReplicaSet "{name}" is progressing.'
        progressing = condition("Progressing", True, "ReplicaSetUpdated", text)
    if before is None or moved or before["reason"] != progressing["reason"]:
        progressing["lastUpdateTime"] = now()
    set_condition(conditions, progressing)


def _is_complete(deployment: Manifest, status: Manifest) -> bool:
    desired = deployment["spec"]["replicas"]
    counts = ("replicas", "updatedReplicas", "availableReplicas")
    return all(status[field] == desired for field in counts)
