"""The loop that every controller shares: keys from events and timers, reconciled one at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable

from sandbox.kubernetes.store import Event, Store

logger = logging.getLogger(__name__)
Key = tuple[str, str]  # namespace (empty for cluster-wide objects), name


class Controller:
    """Brings objects of one kind to their desired state; subclasses say which and how."""

    delay_seconds = 0.0

    def __init__(self, store: Store) -> None:
        self.store = store
        self._queue: asyncio.Queue[Key] = asyncio.Queue()
        self._queued: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._task: asyncio.Task[None] | None = None
        self._unsubscribe: Callable[[], None] | None = None

    def keys(self, event: Event) -> Iterable[Key]:
        """The keys to look at again because of this event."""
        raise NotImplementedError

    def reconcile(self, namespace: str, name: str) -> None:
        """One step towards the desired state; must be safe to repeat."""
        raise NotImplementedError

    def start(self) -> None:
        """Follow the store from now on, in the running event loop."""
        self._unsubscribe = self.store.subscribe(self._on_event)
        self._task = asyncio.create_task(self._run(), name=type(self).__name__)

    async def close(self) -> None:
        """Stop following and drop every timer."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def again(self, key: Key, seconds: float) -> None:
        """Reconcile a key after a while; a sooner timer of the same key wins."""
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        running = self._timers.get(key)
        if running is not None and running.when() <= due:
            return
        if running is not None:
            running.cancel()
        self._timers[key] = loop.call_at(due, self._time_is_up, key)

    def _time_is_up(self, key: Key) -> None:
        self._timers.pop(key, None)
        self._enqueue(key)

    def _on_event(self, event: Event) -> None:
        for key in self.keys(event):
            if self.delay_seconds:
                self.again(key, self.delay_seconds)
            else:
                self._enqueue(key)

    def _enqueue(self, key: Key) -> None:
        if key not in self._queued:
            self._queued.add(key)
            self._queue.put_nowait(key)

    async def _run(self) -> None:
        while True:
            key = await self._queue.get()
            self._queued.discard(key)
            try:
                self.reconcile(*key)
            except Exception:
                # One object that cannot be handled must not stop the others.
                logger.exception("%s cannot reconcile %s/%s", type(self).__name__, *key)
            await asyncio.sleep(0)


def key_of(event: Event) -> Key:
    """The key of the object that an event is about."""
    metadata = event.object["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def owner_key(event: Event, kind: str) -> list[Key]:
    """The key of the object's controller of that kind, if it has one."""
    metadata = event.object["metadata"]
    owners = metadata.get("ownerReferences") or ()
    return [(metadata["namespace"], owner["name"]) for owner in owners if owner["kind"] == kind]
