"""One pod's life: scheduled, pulled, configured, started, ready; crashing where it should."""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sandbox.kubernetes.behaviour import Behaviour
from sandbox.kubernetes.controllers.environment import (
    environment_of,
    missing_for_environment,
    missing_volume,
)
from sandbox.kubernetes.controllers.events import EventRecorder
from sandbox.kubernetes.controllers.pod_status import (
    ContainerState,
    running,
    terminated,
    waiting,
    write_status,
)
from sandbox.kubernetes.status import Manifest
from sandbox.kubernetes.store import Store, now

ImageExists = Callable[[str], bool | Awaitable[bool]]
PULL_SECONDS = 0.3
START_SECONDS = 1.5
CRASH_SECONDS = 0.5
OUT_OF_MEMORY_SECONDS = 5.0
FIRST_RESTART_SECONDS = 0.3
BACK_OFF_SECONDS = 10.0
LONGEST_BACK_OFF_SECONDS = 300.0
# As the kubelet does: who ran so long is started again at once.
FORGIVEN_SECONDS = 2 * LONGEST_BACK_OFF_SECONDS


@dataclass(frozen=True)
class Timing:
    """The pace of a cluster: every time of a pod's life is divided by `speed`."""

    speed: float
    chance: random.Random

    async def sleep(self, seconds: float) -> None:
        """Wait a pod's time, give or take 15 %."""
        await asyncio.sleep(seconds * self.chance.uniform(0.85, 1.15) / self.speed)


@dataclass(frozen=True)
class Node:
    """The machine's side of a pod's life: what its kubelet knows and asks."""

    store: Store
    events: EventRecorder
    timing: Timing
    image_exists: ImageExists
    behaviour: Callable[[Manifest], Behaviour]


@dataclass(frozen=True)
class Placement:
    """Where a pod runs: node name, the node's address, the pod's own address."""

    node: str
    host: str
    address: str


class PodLife:
    """Drives one pod's status; `environment` is what its first container was started with."""

    def __init__(self, node: Node, pod: Manifest, placement: Placement) -> None:
        self.environment: dict[str, str] = {}
        self._node = node
        self._pod = pod
        self._placement = placement
        self._changed = asyncio.Event()
        self._in_a_row = 0
        self._containers = {
            c["name"]: ContainerState(waiting("ContainerCreating"))
            for c in pod["spec"]["containers"]
        }
        self._first = next(iter(self._containers.values()))

    def configuration_changed(self) -> None:
        """A ConfigMap or Secret changed: a pod that waits for one looks again."""
        self._changed.set()

    async def run(self) -> None:
        """The whole life, until the container runs for good, ends for good, or is cancelled."""
        self._schedule()
        await self._mount_volumes()
        for name in self._containers:
            await self._pull(name)
        await self._configure()
        while True:
            ended = await self._run_containers()
            if ended is None:
                return
            self._terminate(*ended)
            if self._pod["spec"]["restartPolicy"] == "Never":
                self._write(phase="Failed")
                return
            await self._back_off()

    def _schedule(self) -> None:
        metadata, node = self._pod["metadata"], self._placement.node

        def edit(pod: Manifest) -> None:
            pod["spec"]["nodeName"] = node

        self._node.store.change("pods", metadata["namespace"], metadata["name"], edit)
        where = f"{metadata['namespace']}/{metadata['name']} to {node}"
        self._tell("Scheduled", f"Successfully assigned {where}", "default-scheduler")
        self._write()

    async def _mount_volumes(self) -> None:
        while problem := missing_volume(self._node.store, self._pod):
            self._tell("FailedMount", problem, warning=True)
            await self._wait_for_change()

    async def _pull(self, name: str) -> None:
        image = next(c["image"] for c in self._pod["spec"]["containers"] if c["name"] == name)
        self._tell("Pulling", f'Pulling image "{image}"')
        await self._node.timing.sleep(PULL_SECONDS)
        back_off = BACK_OFF_SECONDS
        while not await self._can_pull(image):
            why = f'failed to pull and unpack image "{image}": not found'
            self._tell("Failed", f'Failed to pull image "{image}": {why}', warning=True)
            self._show(name, waiting("ErrImagePull", why))
            await self._node.timing.sleep(FIRST_RESTART_SECONDS)
            self._tell("BackOff", f'Back-off pulling image "{image}"')
            self._show(name, waiting("ImagePullBackOff", f'Back-off pulling image "{image}"'))
            await self._node.timing.sleep(back_off)
            back_off = min(2 * back_off, LONGEST_BACK_OFF_SECONDS)
        self._tell("Pulled", f'Successfully pulled image "{image}"')

    async def _can_pull(self, image: str) -> bool:
        answer = self._node.image_exists(image)
        return await answer if inspect.isawaitable(answer) else answer

    async def _configure(self) -> None:
        while problem := missing_for_environment(self._node.store, self._pod):
            self._tell("Failed", f"Error: {problem}", warning=True)
            for name in self._containers:
                self._show(name, waiting("CreateContainerConfigError", problem))
            await self._wait_for_change()

    async def _wait_for_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _run_containers(self) -> tuple[str, int] | None:
        """Start, become ready; (reason, exit code) when the first container ends, else None."""
        self.environment = environment_of(self._node.store, self._pod)
        for name, container in self._containers.items():
            if "running" not in container.state:
                container.state = running()
                self._tell("Started", f"Started container {name}")
        self._write()
        behaviour = self._node.behaviour(self._pod)
        if behaviour.crash:
            await self._node.timing.sleep(CRASH_SECONDS)
            return "Error", 1
        await self._node.timing.sleep(START_SECONDS + behaviour.slow_start_seconds)
        for container in self._containers.values():
            container.ready = container is not self._first or not behaviour.unready
        self._write()
        if behaviour.unready:
            why = "Readiness probe failed: HTTP probe failed with statuscode: 503"
            self._tell("Unhealthy", why, warning=True)
        lives = OUT_OF_MEMORY_SECONDS if behaviour.oom else behaviour.leak_seconds
        if not lives:
            return None
        await self._node.timing.sleep(lives)
        if lives >= FORGIVEN_SECONDS:
            self._in_a_row = 0
        return "OOMKilled", 137

    def _terminate(self, reason: str, code: int) -> None:
        started = self._first.state.get("running", {}).get("startedAt", now())
        self._first.state = terminated(reason, code, started)
        self._first.ready = False
        self._write()

    async def _back_off(self) -> None:
        """Restart at once after the first end, later after 10 s, 20 s, 40 s, up to 5 min."""
        first = self._first
        first.last = first.state
        if self._in_a_row == 0:
            await self._node.timing.sleep(FIRST_RESTART_SECONDS)
        else:
            seconds = BACK_OFF_SECONDS * 2 ** min(self._in_a_row - 1, 5)
            seconds = min(seconds, LONGEST_BACK_OFF_SECONDS)
            name = self._pod["spec"]["containers"][0]["name"]
            why = f"back-off {seconds:.0f}s restarting failed container={name}"
            first.state = waiting("CrashLoopBackOff", why)
            self._tell("BackOff", f"Back-off restarting failed container {name}", warning=True)
            self._write()
            await self._node.timing.sleep(seconds)
        first.restarts += 1
        self._in_a_row += 1

    def _show(self, name: str, state: Manifest) -> None:
        self._containers[name].state = state
        self._write()

    def _write(self, phase: str | None = None) -> None:
        metadata, placement = self._pod["metadata"], self._placement

        def edit(pod: Manifest) -> None:
            write_status(pod, self._containers, placement.host, placement.address)
            if phase is not None:
                pod["status"]["phase"] = phase

        self._node.store.change("pods", metadata["namespace"], metadata["name"], edit)

    def _tell(
        self, reason: str, message: str, component: str = "kubelet", *, warning: bool = False
    ) -> None:
        self._node.events.record(self._pod, reason, message, component, warning=warning)
