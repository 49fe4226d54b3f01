"""The status of one pod as its kubelet reports it, container states included."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass, field

from sandbox.kubernetes.controllers.conditions import condition, set_condition
from sandbox.kubernetes.status import Manifest
from sandbox.kubernetes.store import now


@dataclass
class ContainerState:
    """One container's life so far; `state` has one of waiting, running, terminated."""

    state: Manifest
    ready: bool = False
    restarts: int = 0
    last: Manifest = field(default_factory=dict)


def waiting(reason: str, message: str = "") -> Manifest:
    """A waiting state."""
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def running() -> Manifest:
    """A running state that began now."""
    return {"running": {"startedAt": now()}}


def terminated(reason: str, code: int, started: str) -> Manifest:
    """A terminated state that ended now."""
    return {
        "terminated": {
            "reason": reason,
            "exitCode": code,
            "startedAt": started,
            "finishedAt": now(),
        }
    }


def write_status(pod: Manifest, containers: dict[str, ContainerState], host: str, ip: str) -> None:
    """Put phase, conditions and container states into a pod, in place."""
    status = pod.setdefault("status", {})
    running_now = any("running" in c.state or c.restarts for c in containers.values())
    if running_now or status.get("phase") == "Running":
        status["phase"] = "Running"
    status.setdefault("startTime", now())
    status["hostIP"], status["hostIPs"] = host, [{"ip": host}]
    if ip:
        status["podIP"], status["podIPs"] = ip, [{"ip": ip}]
    status["containerStatuses"] = [_container(pod, name, c) for name, c in containers.items()]
    ready = all(container.ready for container in containers.values())
    unready = ", ".join(name for name, c in containers.items() if not c.ready)
    conditions: list[Manifest] = copy.deepcopy(status.get("conditions") or [])
    for type_ in ("PodScheduled", "Initialized"):
        set_condition(conditions, condition(type_, True, "", ""))
    for type_ in ("ContainersReady", "Ready"):
        reason = "" if ready else "ContainersNotReady"
        message = "" if ready else f"containers with unready status: [{unready}]"
        set_condition(conditions, condition(type_, ready, reason, message))
    status["conditions"] = conditions


def _container(pod: Manifest, name: str, container: ContainerState) -> Manifest:
    image = next(c["image"] for c in pod["spec"]["containers"] if c["name"] == name)
    started = "running" in container.state
    identity = f"{pod['metadata']['uid']}/{name}/{container.restarts}"
    return {
        "name": name,
        "state": container.state,
        "lastState": container.last,
        "ready": container.ready,
        "started": started,
        "restartCount": container.restarts,
        "image": image,
        "imageID": _image_id(image) if started or container.restarts else "",
        "containerID": f"containerd://{hashlib.sha256(identity.encode()).hexdigest()}",
    }


def _image_id(image: str) -> str:
    if "@" in image:
        return image
    name, _, tag = image.rpartition(":")
    repository = image if "/" in tag or not name else name
    return f"{repository}@sha256:{hashlib.sha256(image.encode()).hexdigest()}"
