"""The cluster's memory: objects by (resource, namespace, name), versions and the event log.

The API server and the controllers write to it; everybody else reads and subscribes.
"""

from __future__ import annotations

import copy
import random
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sandbox.kubernetes.resources import BY_NAME, Resource
from sandbox.kubernetes.status import Manifest, already_exists, conflict, gone, not_found

EventType = Literal["ADDED", "MODIFIED", "DELETED"]
Key = tuple[str, str]
Owned = list[tuple[str, Manifest]]
STALE = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


@dataclass(frozen=True)
class Event:
    """One change; `previous` is the object before it, so that watchers with selectors can tell."""

    type: EventType
    resource: str
    version: int
    object: Manifest
    previous: Manifest | None


Listener = Callable[[Event], None]
Events = list[Event]


def now() -> str:
    """The current time as objects carry it (RFC 3339, whole seconds, UTC)."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Store:
    """Objects as plain dicts. What it returns is shared: read it, never change it in place."""

    def __init__(self, *, seed: int = 0, log_length: int = 4_000) -> None:
        self.version = 1
        self._objects: dict[str, dict[Key, Manifest]] = {name: {} for name in BY_NAME}
        self._events: deque[Event] = deque(maxlen=log_length)
        self._forgotten = 0
        self._listeners: list[Listener] = []
        self._random = random.Random(seed)
        self._untold: deque[Event] = deque()
        self._telling = False

    def list(self, resource: str, namespace: str | None = None) -> list[Manifest]:
        """Objects of one resource ("pods", "httproutes"), of one namespace or of all, by name."""
        objects = self._objects[resource]
        return [objects[key] for key in sorted(objects) if namespace in (None, key[0])]

    def get(self, resource: str, namespace: str | None, name: str) -> Manifest | None:
        """One object, or None; `namespace` is None for cluster-wide resources."""
        return self._objects[resource].get((namespace or "", name))

    def require(self, resource: str, namespace: str | None, name: str) -> Manifest:
        """One object; a 404 StatusError when it does not exist."""
        found = self.get(resource, namespace, name)
        if found is None:
            raise not_found(resource, BY_NAME[resource].group, name)
        return found

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` at once, in order, on every change; returns how to stop it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def events_since(self, resource: str, version: int) -> Events:
        """Events of one resource after a version; a 410 StatusError when the log is too short."""
        if version < self._forgotten:
            raise gone(f"too old resource version: {version} ({self._forgotten})")
        return [e for e in self._events if e.resource == resource and e.version > version]

    def forget(self) -> None:
        """Lose the event log: no watch can begin at a version from before now."""
        self._events.clear()
        self._forgotten = self.version

    def create(self, resource: str, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Store a new object and give it uid, version, generation and creation time."""
        kind = BY_NAME[resource]
        created = copy.deepcopy(manifest)
        metadata = created["metadata"]
        key = self._key(kind, created)
        if key in self._objects[resource]:
            raise already_exists(resource, kind.group, key[1])
        metadata["uid"] = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        metadata["creationTimestamp"] = now()
        if kind.generation:
            metadata["generation"] = 1
        if dry_run:
            return created
        return self._keep("ADDED", resource, key, created)

    def update(self, resource: str, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Replace an object. A stale resourceVersion or uid in it is a 409, none means any."""
        kind = BY_NAME[resource]
        key = self._key(kind, manifest)
        old = self.require(resource, *key)
        changed = self._carried_over(kind, old, manifest)
        if changed == old:
            return old
        if dry_run:
            return changed
        metadata = changed["metadata"]
        if (
            metadata.get("deletionTimestamp")
            and not metadata.get("finalizers")
            and resource != "pods"
        ):
            return self.remove(resource, *key)
        return self._keep("MODIFIED", resource, key, changed)

    def change(
        self, resource: str, namespace: str | None, name: str, edit: Callable[[Manifest], None]
    ) -> Manifest | None:
        """Let `edit` change a copy of an object and store it; None when there is no such object."""
        old = self.get(resource, namespace, name)
        if old is None:
            return None
        changed = copy.deepcopy(old)
        edit(changed)
        return self.update(resource, changed)

    def remove(self, resource: str, namespace: str | None, name: str) -> Manifest:
        """Take an object out at once, whatever finalizers it carries."""
        gone_object = copy.deepcopy(self.require(resource, namespace, name))
        return self._keep("DELETED", resource, (namespace or "", name), gone_object)

    def everything(self) -> Iterator[tuple[str, Manifest]]:
        """(resource, object) of the whole cluster."""
        for resource, objects in self._objects.items():
            for manifest in list(objects.values()):
                yield resource, manifest

    def dependents(self, uid: str) -> Owned:
        """(resource, object) of everything whose ownerReferences name this uid."""
        return [
            (resource, manifest)
            for resource, manifest in self.everything()
            if any(o["uid"] == uid for o in manifest["metadata"].get("ownerReferences") or ())
        ]

    def inside(self, namespace: str) -> Owned:
        """(resource, object) of everything in a namespace."""
        return [
            (resource, manifest)
            for resource, manifest in self.everything()
            if manifest["metadata"].get("namespace") == namespace
        ]

    @staticmethod
    def _key(kind: Resource, manifest: Manifest) -> Key:
        metadata = manifest["metadata"]
        return (metadata["namespace"] if kind.namespaced else "", metadata["name"])

    def _carried_over(self, kind: Resource, old: Manifest, new: Manifest) -> Manifest:
        changed = copy.deepcopy(new)
        before, after = old["metadata"], changed["metadata"]
        for field in ("resourceVersion", "uid"):
            if after.get(field) not in (None, "", before[field]):
                raise conflict(kind.plural, kind.group, before["name"], STALE)
        kept = ("resourceVersion", "uid", "creationTimestamp", "generation")
        after.update({field: before[field] for field in kept if field in before})
        if kind.generation and _desired(kind, old) != _desired(kind, changed):
            after["generation"] = before["generation"] + 1
        return changed

    def _keep(self, type_: EventType, resource: str, key: Key, manifest: Manifest) -> Manifest:
        self.version += 1
        manifest["metadata"]["resourceVersion"] = str(self.version)
        previous = self._objects[resource].pop(key, None)
        if type_ != "DELETED":
            self._objects[resource][key] = manifest
        if len(self._events) == self._events.maxlen:
            self._forgotten = self._events[0].version
        event = Event(type_, resource, self.version, manifest, previous)
        self._events.append(event)
        self._tell(event)
        return manifest

    def _tell(self, event: Event) -> None:
        # A listener may write: its event waits until everybody has heard of this one.
        self._untold.append(event)
        if self._telling:
            return
        self._telling = True
        try:
            while self._untold:
                told = self._untold.popleft()
                for listener in list(self._listeners):
                    listener(told)
        finally:
            self._telling = False


def _desired(kind: Resource, manifest: Manifest) -> Manifest:
    desired = {k: v for k, v in manifest.items() if k not in ("metadata", "status")}
    if kind.plural == "deployments":
        # Its annotations are copied to its ReplicaSets, so they count as wanted too; but not
        # the one that its controller writes.
        annotations = manifest["metadata"].get("annotations") or {}
        wanted = {k: v for k, v in annotations.items() if k != "deployment.kubernetes.io/revision"}
        return {**desired, "annotations": wanted}
    return desired
