from __future__ import annotations

from typing import Any

import pytest

from domain.rollout import Rollout, RolloutPhase, pod_problem, rollout

READY, WAITING, BROKEN = RolloutPhase.READY, RolloutPhase.WAITING, RolloutPhase.BROKEN
Manifest = dict[str, Any]


def deployment(
    ready: int = 0, updated: int | None = None, *, generation: int = 2, seen: int = 2, **status: Any
) -> Manifest:
    counts = {"readyReplicas": ready, "updatedReplicas": ready if updated is None else updated}
    return {
        "metadata": {"name": "album-0", "generation": generation},
        "status": {"observedGeneration": seen, **counts, **status},
    }


def pod(*, state: Any = None, last: Any = None, restarts: int = 0, ready: bool = False) -> Manifest:
    container = {
        "name": "album",
        "state": state or {"running": {}},
        "lastState": last or {},
        "restartCount": restarts,
        "ready": ready,
    }
    return {"metadata": {"name": "album-0-x"}, "status": {"containerStatuses": [container]}}


def initializing(**container: Any) -> Manifest:
    """A pod whose first container waits for its init container."""
    one = pod(state=waiting("PodInitializing"))
    (init,) = pod(**container)["status"]["containerStatuses"]
    one["status"]["initContainerStatuses"] = [init | {"name": "migrate"}]
    return one


def waiting(reason: str, message: str = "") -> Manifest:
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def terminated(reason: str, code: int) -> Manifest:
    return {"terminated": {"reason": reason, "exitCode": code}}


def judged(manifest: Manifest, *pods: Manifest, needed: int = 2) -> Rollout:
    return rollout(manifest, pods, needed)


@pytest.mark.parametrize(
    ("manifest", "phase", "pods"),
    [
        (deployment(2), READY, 2),
        (deployment(3), READY, 3),
        (deployment(1), WAITING, 1),
        (deployment(), WAITING, 0),
        (deployment(2, updated=1), WAITING, 1),
        (deployment(2, seen=1), WAITING, 2),
        ({"metadata": {"name": "album-0", "generation": 1}}, WAITING, 0),
    ],
    ids=["enough", "more", "some", "none", "old pods", "old status", "no status"],
)
def test_a_rollout_is_ready_by_updated_ready_pods_of_this_generation(
    manifest: Manifest, phase: RolloutPhase, pods: int
) -> None:
    found = judged(manifest, pod())
    assert (found.phase, found.ready_pods) == (phase, pods)


@pytest.mark.parametrize(
    ("sick", "why"),
    [
        (pod(state=waiting("ImagePullBackOff", "not found")), "its image cannot be pulled: not f"),
        (pod(state=waiting("InvalidImageName")), "its image name is invalid: InvalidImageName"),
        (
            pod(state=waiting("CreateContainerConfigError", 'configmap "a" not found')),
            'its configuration cannot be read: configmap "a" not found',
        ),
        (
            pod(state=waiting("CrashLoopBackOff"), last=terminated("Error", 1), restarts=2),
            "crashed 2 times (Error, exit code 1)",
        ),
        (pod(state=terminated("OOMKilled", 137), restarts=2), "crashed 2 times (OOMKilled, exit"),
        (
            initializing(
                state=waiting("CrashLoopBackOff"), last=terminated("Error", 3), restarts=2
            ),
            ": init container migrate crashed 2 times (Error, exit code 3)",
        ),
        (
            initializing(state=waiting("ImagePullBackOff", "not found")),
            ": init container migrate: its image cannot be pulled: not found",
        ),
    ],
)
def test_a_pod_that_will_not_come_up_breaks_the_rollout_with_its_reason(
    sick: Manifest, why: str
) -> None:
    found = judged(deployment(1), pod(ready=True), sick)
    assert found.phase is BROKEN
    assert why in found.sentence
    assert found.sentence.startswith("album-0: 1 of 2 pods ready; pod album-0-x")


@pytest.mark.parametrize(
    "coming",
    [
        pod(state=waiting("ContainerCreating")),
        pod(state=waiting("ErrImagePull")),
        pod(state=waiting("CrashLoopBackOff"), last=terminated("Error", 1), restarts=1),
        pod(last=terminated("Error", 1), restarts=5, ready=True),
        initializing(state=terminated("Completed", 0), ready=True, restarts=2),
        {"metadata": {"name": "album-0-y"}},
    ],
    ids=["creating", "first pull failed", "first crash", "recovered", "initialized", "unscheduled"],
)
def test_a_pod_that_may_still_come_up_is_waited_for(coming: Manifest) -> None:
    assert pod_problem(coming) is None
    assert judged(deployment(), coming).phase is WAITING


def test_no_progress_within_kubernetes_own_deadline_breaks_the_rollout() -> None:
    condition = {
        "type": "Progressing",
        "reason": "ProgressDeadlineExceeded",
        "message": "timed out",
    }
    found = judged(deployment(1, conditions=[condition]), pod())
    assert found.phase is BROKEN
    assert found.sentence.endswith("no progress: timed out")


def homeless(**why: str) -> Manifest:
    """A pod that waits for a node."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", **why}
    return {"metadata": {"name": "album-0-x"}, "status": {"conditions": [condition]}}


@pytest.mark.parametrize(
    ("why", "told"),
    [
        ({"message": "0/1 nodes are available: 1 Insufficient cpu."}, "1 Insufficient cpu."),
        ({}, "has no node: Unschedulable"),
        ({"reason": ""}, "has no node: the scheduler does not say why"),
    ],
)
def test_a_pod_that_no_node_has_room_for_is_waited_for_and_told(
    why: dict[str, str], told: str
) -> None:
    found = judged(deployment(1), pod(ready=True), homeless(**why))
    assert found.phase is WAITING
    assert found.sentence.startswith("album-0: 1 of 2 pods ready; pod album-0-x has no node: ")
    assert found.sentence.endswith(told)


def test_a_rollout_that_ends_for_want_of_a_node_says_so() -> None:
    late = {"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
    found = judged(deployment(1, conditions=[late]), homeless(message="1 Insufficient cpu."))
    assert found.phase is BROKEN
    assert "timed out; pod album-0-x has no node: 1 Insufficient cpu." in found.sentence


def test_pods_that_nobody_may_create_are_told_with_the_reason() -> None:
    late = {"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
    refused = {"type": "ReplicaFailure", "reason": "FailedCreate", "message": "exceeded quota"}
    assert judged(deployment(1, conditions=[refused])).phase is WAITING  # the quota may grow
    found = judged(deployment(1, conditions=[late, refused]))
    assert (found.phase, found.sentence[-27:]) == (BROKEN, "no progress: exceeded quota")


def test_enough_ready_pods_are_enough_although_another_is_sick() -> None:
    sick = pod(state=waiting("ImagePullBackOff"))
    assert judged(deployment(2), sick).phase is READY
