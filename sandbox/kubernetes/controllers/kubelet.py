"""The kubelets of the simulated nodes: each pod lives as one task, from scheduling to its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine

from sandbox.kubernetes.controllers.pod_life import Node, Placement, PodLife
from sandbox.kubernetes.status import Manifest
from sandbox.kubernetes.store import Event

logger = logging.getLogger(__name__)
NODES = ("node-1", "node-2", "node-3")
TERMINATION_SECONDS = 0.5


class Kubelets:
    """Runs every pod of the cluster, spread over its nodes."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._store = node.store
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._lives: dict[str, PodLife] = {}
        self._next_address = 0
        self._unsubscribe: Callable[[], None] | None = None

    def start(self) -> None:
        """Run every pod that appears from now on."""
        self._unsubscribe = self._store.subscribe(self._on_event)

    async def close(self) -> None:
        """Stop every pod's task."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def environment(self, pod: Manifest) -> dict[str, str]:
        """The environment from literals and ConfigMaps at the container's last start."""
        life = self._lives.get(pod["metadata"]["uid"])
        return dict(life.environment) if life is not None else {}

    def _on_event(self, event: Event) -> None:
        if event.resource in ("configmaps", "secrets"):
            for life in self._lives.values():
                life.configuration_changed()
        elif event.resource == "pods":
            self._on_pod(event)

    def _on_pod(self, event: Event) -> None:
        metadata = event.object["metadata"]
        uid = metadata["uid"]
        if event.type == "DELETED":
            self._lives.pop(uid, None)
            self._stop(uid)
        elif event.type == "ADDED":
            life = self._admit(event.object)
            self._lives[uid] = life
            self._spawn(uid, life.run())
        elif "deletionTimestamp" in metadata and not _deleted_before(event):
            self._spawn(uid, self._terminate(event.object))

    def _admit(self, pod: Manifest) -> PodLife:
        number = self._next_address % len(NODES)
        self._next_address += 1
        high, low = divmod(self._next_address, 250)
        placement = Placement(
            node=NODES[number],
            host=f"10.200.0.{number + 1}",
            address=f"10.244.{high}.{low + 1}",
        )
        return PodLife(self._node, pod, placement)

    async def _terminate(self, pod: Manifest) -> None:
        metadata = pod["metadata"]
        container = pod["spec"]["containers"][0]["name"]
        self._node.events.record(pod, "Killing", f"Stopping container {container}", "kubelet")
        seconds = min(TERMINATION_SECONDS, metadata["deletionGracePeriodSeconds"])
        await self._node.timing.sleep(seconds)
        if self._store.get("pods", metadata["namespace"], metadata["name"]) is not None:
            self._store.remove("pods", metadata["namespace"], metadata["name"])

    def _spawn(self, uid: str, life: Coroutine[None, None, None]) -> None:
        self._stop(uid)
        task = asyncio.create_task(life, name=f"pod-{uid}")
        self._tasks[uid] = task
        task.add_done_callback(lambda done: self._finished(uid, done))

    def _stop(self, uid: str) -> None:
        running = self._tasks.pop(uid, None)
        if running is not None and running is not asyncio.current_task():
            running.cancel()

    def _finished(self, uid: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(uid) is task:
            del self._tasks[uid]
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a simulated pod's life ended with an error", exc_info=error)


def _deleted_before(event: Event) -> bool:
    return event.previous is not None and "deletionTimestamp" in event.previous["metadata"]
