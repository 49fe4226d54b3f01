"""Deleting: preconditions, grace, propagation to dependents and emptying of namespaces."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sandbox.kubernetes.resources import BY_NAME
from sandbox.kubernetes.status import Manifest, StatusError, conflict
from sandbox.kubernetes.store import Event, Store

FOREGROUND = "foregroundDeletion"
PERMANENT_NAMESPACES = ("default", "kube-system")


@dataclass(frozen=True)
class DeleteOptions:
    """The parts of meta/v1 DeleteOptions that are followed; grace is in seconds."""

    propagation: str = "Background"
    grace: int | None = None
    preconditions: Manifest = field(default_factory=dict)
    dry_run: bool = False


def delete(
    store: Store, resource: str, namespace: str | None, name: str, options: DeleteOptions
) -> Manifest:
    """Delete one object and return its last state; it may stay for a while, marked as deleted.

    Raises StatusError: 404, 409 for a precondition that does not hold, 403 for a namespace that
    the cluster needs.
    """
    manifest = store.require(resource, namespace, name)
    _check_preconditions(resource, manifest, options.preconditions)
    if resource == "namespaces" and name in PERMANENT_NAMESPACES:
        message = f'namespaces "{name}" is forbidden: this namespace may not be deleted'
        raise StatusError(403, "Forbidden", message, {"name": name, "kind": "namespaces"})
    if options.dry_run:
        return manifest
    if resource == "namespaces":
        return _empty_namespace(store, manifest)
    dependents = store.dependents(manifest["metadata"]["uid"])
    if options.propagation == "Orphan":
        _orphan(store, manifest)
    waits_for_dependents = options.propagation == "Foreground" and dependents
    lingers = resource == "pods" and options.grace != 0
    if not (waits_for_dependents or lingers or _finalizers(manifest)):
        return store.remove(resource, namespace, name)
    marked = _mark(store, resource, manifest, options, bool(waits_for_dependents))
    if waits_for_dependents:
        for kind, dependent in dependents:
            _delete_object(store, kind, dependent, options.propagation)
    return marked


class GarbageCollector:
    """Follows deletions: dependents go too, emptied owners and namespaces are finished."""

    def __init__(self, store: Store) -> None:
        self._store = store
        store.subscribe(self._on_event)

    def _on_event(self, event: Event) -> None:
        if event.type != "DELETED":
            return
        metadata = event.object["metadata"]
        for resource, dependent in self._store.dependents(metadata["uid"]):
            if not _other_owner(self._store, dependent, metadata["uid"]):
                _delete_object(self._store, resource, dependent, "Background")
        for owner in metadata.get("ownerReferences") or ():
            self._finish_owner(owner["uid"])
        if namespace := metadata.get("namespace"):
            self._finish_namespace(namespace)

    def _finish_owner(self, uid: str) -> None:
        if self._store.dependents(uid):
            return
        for resource, owner in self._store.everything():
            metadata = owner["metadata"]
            if metadata["uid"] == uid and FOREGROUND in _finalizers(owner):
                self._store.change(resource, metadata.get("namespace"), metadata["name"], _let_go)

    def _finish_namespace(self, name: str) -> None:
        namespace = self._store.get("namespaces", None, name)
        terminating = namespace is not None and namespace["status"]["phase"] == "Terminating"
        if terminating and not self._store.inside(name):
            self._store.remove("namespaces", None, name)


def _finalizers(manifest: Manifest) -> list[str]:
    return manifest["metadata"].get("finalizers") or []


def _let_go(manifest: Manifest) -> None:
    manifest["metadata"]["finalizers"].remove(FOREGROUND)


def _check_preconditions(resource: str, manifest: Manifest, preconditions: Manifest) -> None:
    metadata = manifest["metadata"]
    for name, words in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        wanted = preconditions.get(name)
        if wanted not in (None, metadata[name]):
            why = f"the {words} in the precondition ({wanted}) does not match the {words} in record"
            text = (
                f"{why} ({metadata[name]}). The object might have been deleted and then recreated"
            )
            kind = BY_NAME[resource]
            # Here, and only here, the server names the kind and not the resource.
            raise conflict(kind.kind, kind.group, metadata["name"], text)


def _mark(
    store: Store, resource: str, manifest: Manifest, options: DeleteOptions, foreground: bool
) -> Manifest:
    grace = options.grace
    if grace is None:
        grace = (manifest.get("spec") or {}).get("terminationGracePeriodSeconds", 0)

    def edit(changed: Manifest) -> None:
        metadata = changed["metadata"]
        if foreground and FOREGROUND not in _finalizers(changed):
            metadata.setdefault("finalizers", []).append(FOREGROUND)
        if "deletionTimestamp" not in metadata:
            until = datetime.now(UTC) + timedelta(seconds=grace)
            metadata["deletionTimestamp"] = until.strftime("%Y-%m-%dT%H:%M:%SZ")
            metadata["deletionGracePeriodSeconds"] = grace

    metadata = manifest["metadata"]
    return store.change(resource, metadata.get("namespace"), metadata["name"], edit) or manifest


def _orphan(store: Store, manifest: Manifest) -> None:
    uid = manifest["metadata"]["uid"]

    def edit(changed: Manifest) -> None:
        owners = changed["metadata"]["ownerReferences"]
        changed["metadata"]["ownerReferences"] = [o for o in owners if o["uid"] != uid]

    for resource, dependent in store.dependents(uid):
        metadata = dependent["metadata"]
        store.change(resource, metadata.get("namespace"), metadata["name"], edit)


def _other_owner(store: Store, dependent: Manifest, uid: str) -> bool:
    owners = {o["uid"] for o in dependent["metadata"]["ownerReferences"]} - {uid}
    return any(m["metadata"]["uid"] in owners for _, m in store.everything())


def _delete_object(store: Store, resource: str, manifest: Manifest, propagation: str) -> None:
    metadata = manifest["metadata"]
    options = DeleteOptions(propagation=propagation)
    if store.get(resource, metadata.get("namespace"), metadata["name"]) is not None:
        delete(store, resource, metadata.get("namespace"), metadata["name"], options)


def _empty_namespace(store: Store, manifest: Manifest) -> Manifest:
    name = manifest["metadata"]["name"]

    def edit(changed: Manifest) -> None:
        changed["metadata"]["deletionTimestamp"] = changed["metadata"].get(
            "deletionTimestamp", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        )
        changed["status"]["phase"] = "Terminating"
        changed["metadata"].setdefault("finalizers", ["kubernetes"])

    marked = store.change("namespaces", None, name, edit) or manifest
    for resource, inside in store.inside(name):
        _delete_object(store, resource, inside, "Background")
    if not store.inside(name) and store.get("namespaces", None, name):
        return store.remove("namespaces", None, name)
    return marked
