"""The cluster's Event objects, which `kubectl describe` and `kubectl get events` show."""

from __future__ import annotations

from collections import deque

from sandbox.kubernetes.status import Manifest
from sandbox.kubernetes.store import Store, now

KEPT = 1000


class EventRecorder:
    """Writes Events; the same event on the same object is counted, old ones are dropped."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._names: dict[tuple[str, str, str], str] = {}
        self._order: deque[tuple[tuple[str, str, str], str, str]] = deque()
        self._counter = 0

    def record(
        self, about: Manifest, reason: str, message: str, component: str, *, warning: bool = False
    ) -> None:
        """Record what happened to an object; nothing when its namespace is going."""
        metadata = about["metadata"]
        namespace = metadata.get("namespace", "default")
        home = self._store.get("namespaces", None, namespace)
        if home is None or home["status"]["phase"] == "Terminating":
            return
        identity = (metadata["uid"], reason, message)
        known = self._names.get(identity)
        if known and self._store.change("events", namespace, known, _count_again):
            return
        self._counter += 1
        name = f"{metadata['name']}.{self._counter:016x}"
        self._names[identity] = name
        self._order.append((identity, namespace, name))
        event = _event(about, name, namespace, "Warning" if warning else "Normal")
        event |= {"reason": reason, "message": message, "source": {"component": component}}
        event["reportingComponent"] = component
        self._store.create("events", event)
        self._forget_old()

    def _forget_old(self) -> None:
        while len(self._order) > KEPT:
            identity, namespace, name = self._order.popleft()
            self._names.pop(identity, None)
            if self._store.get("events", namespace, name) is not None:
                self._store.remove("events", namespace, name)


def _count_again(event: Manifest) -> None:
    event["count"] += 1
    event["lastTimestamp"] = now()


def _event(about: Manifest, name: str, namespace: str, type_: str) -> Manifest:
    metadata = about["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": {
            "kind": about["kind"],
            "apiVersion": about["apiVersion"],
            "namespace": metadata.get("namespace", ""),
            "name": metadata["name"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
        },
        "type": type_,
        "count": 1,
        "firstTimestamp": now(),
        "lastTimestamp": now(),
        "reportingInstance": "",
    }
