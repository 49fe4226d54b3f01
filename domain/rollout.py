"""Is a revision up? Read from its Deployment and pods, as Kubernetes reports them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from domain.records import Record

Manifest = dict[str, Any]

# The kubelet has tried at least twice when it says these; waiting longer changes nothing.
HOPELESS = {
    "ImagePullBackOff": "its image cannot be pulled",
    "InvalidImageName": "its image name is invalid",
    "CreateContainerConfigError": "its configuration cannot be read",
    "CreateContainerError": "its container cannot be created",
    "RunContainerError": "its container cannot be started",
}
CRASHES = 2


class RolloutPhase(StrEnum):
    """What to do next about a rollout."""

    READY = "ready"
    WAITING = "waiting"
    BROKEN = "broken"


class Rollout(Record):
    """Where a Deployment's rollout stands."""

    phase: RolloutPhase
    ready_pods: int
    sentence: str


def rollout(deployment: Manifest, pods: Iterable[Manifest], needed: int) -> Rollout:
    """Judge a rollout: enough updated pods ready, still coming, or not coming at all."""
    pods, name = tuple(pods), deployment["metadata"]["name"]
    status = deployment.get("status", {})
    ready = min(status.get("readyReplicas", 0), status.get("updatedReplicas", 0))
    current = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 1)
    told = f"{name}: {ready} of {needed} pods ready"
    if current and ready >= needed:
        return Rollout(phase=RolloutPhase.READY, ready_pods=ready, sentence=told)
    # A node may be on its way (an autoscaler's): it is waited for, as long as Kubernetes does.
    homeless = next(filter(None, map(_unscheduled, pods)), None)
    problem = next(filter(None, map(pod_problem, pods)), None) or _deadline(deployment)
    phase = RolloutPhase.WAITING if problem is None else RolloutPhase.BROKEN
    sentence = "; ".join(filter(None, (told, problem, homeless)))
    return Rollout(phase=phase, ready_pods=ready, sentence=sentence)


def _unscheduled(pod: Manifest) -> str | None:
    """Why no node takes a pod, in the scheduler's words."""
    conditions = {one["type"]: one for one in pod.get("status", {}).get("conditions", [])}
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") != "False":
        return None
    told = scheduled.get("message") or scheduled.get("reason") or "the scheduler does not say why"
    return f"pod {pod['metadata']['name']} has no node: {told}"


def pod_problem(pod: Manifest) -> str | None:
    """Why a pod will not come up, or None: crashed, out of memory, image or config missing."""
    name, status = pod["metadata"]["name"], pod.get("status", {})
    starting = [
        (f"pod {name}: init container {one['name']}", one)
        for one in status.get("initContainerStatuses", [])
    ]
    serving = [(f"pod {name}", one) for one in status.get("containerStatuses", [])]
    return next(filter(None, (_problem(*one) for one in (*starting, *serving))), None)


def _problem(named: str, container: Manifest) -> str | None:
    state = container.get("state", {})
    waiting = state.get("waiting", {})
    ended = container.get("lastState", {}).get("terminated") or state.get("terminated", {})
    if waiting.get("reason") in HOPELESS:
        why = HOPELESS[waiting["reason"]]
        return f"{named}: {why}: {waiting.get('message', waiting['reason'])}"
    if container.get("restartCount", 0) >= CRASHES and not container.get("ready"):
        code, reason = ended.get("exitCode", "?"), ended.get("reason", "Error")
        return f"{named} crashed {container['restartCount']} times ({reason}, exit code {code})"
    return None


def _deadline(deployment: Manifest) -> str | None:
    conditions = {one["type"]: one for one in deployment.get("status", {}).get("conditions", [])}
    progressing = conditions.get("Progressing", {})
    if progressing.get("reason") != "ProgressDeadlineExceeded":
        return None
    # Pods that nobody may create (a quota, the namespace's security) cannot say so themselves.
    told = conditions.get("ReplicaFailure", progressing)
    return f"no progress: {told.get('message', 'ProgressDeadlineExceeded')}"
