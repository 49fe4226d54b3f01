"""Create, update and patch: what the API server does between a request body and the store."""

from __future__ import annotations

import copy
import random
from typing import Any

from sandbox.kubernetes import field_ownership, patching, scale
from sandbox.kubernetes.defaults import apply_defaults
from sandbox.kubernetes.request_info import RequestInfo
from sandbox.kubernetes.resources import Resource
from sandbox.kubernetes.status import Manifest, StatusError, bad_request, invalid, not_found
from sandbox.kubernetes.store import Store
from sandbox.kubernetes.strategic_merge import strategic_merge
from sandbox.kubernetes.validation import validate

SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
# What reading a body of the wrong shape raises: there is no typed decoder before it.
_WRONG_SHAPE = (AttributeError, KeyError, TypeError)
_VERSION_REQUIRED = ("leases", "poddisruptionbudgets")


class Writer:
    """Turns accepted bodies into stored objects; every refusal is a StatusError."""

    def __init__(self, store: Store, seed: int = 0) -> None:
        self._store = store
        self._random = random.Random(seed)

    def create(self, info: RequestInfo, body: Manifest, manager: str) -> Manifest:
        """Store a new object, or only say what it would be (dry run)."""
        kind = info.resource
        manifest = self._checked_identity(info, copy.deepcopy(body))
        metadata = manifest["metadata"]
        if kind.namespaced:
            self._require_namespace(metadata["namespace"])
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + self.suffix(5)
        for field in ("uid", "resourceVersion", "managedFields", "deletionTimestamp"):
            metadata.pop(field, None)
        if "status" in kind.subresources:
            manifest.pop("status", None)
        _fill(kind, manifest)
        self._allocate(kind.plural, manifest)
        _check(kind, manifest, None)
        field_ownership.record_change(kind, None, manifest, manager)
        return self._store.create(kind.plural, manifest, dry_run=info.dry_run)

    def update(self, info: RequestInfo, body: Manifest, manager: str) -> Manifest:
        """Replace an object (or its status, or its scale) by the body."""
        kind = info.resource
        old = self._store.require(kind.plural, info.namespace, info.name)
        if info.subresource == "scale":
            return self._scaled(info, old, scale.scale_of(kind, old) | body, manager)
        manifest = self._checked_identity(info, copy.deepcopy(body))
        if not manifest["metadata"].get("resourceVersion") and (
            kind.custom or kind.plural in _VERSION_REQUIRED
        ):
            why = "Invalid value: 0: must be specified for an update"
            cause = ("metadata.resourceVersion", why)
            raise invalid(kind.kind, kind.group, info.name, [cause])
        return self._replace(info, old, manifest, manager)

    def patch(self, info: RequestInfo, content_type: str, body: Any, manager: str) -> Manifest:
        """Apply a patch of one of the four formats; server-side apply may create the object."""
        kind = info.resource
        old = self._store.get(kind.plural, info.namespace, info.name)
        if content_type == APPLY_PATCH and not info.subresource:
            return self._apply(info, old, body, manager)
        if old is None:
            raise not_found(kind.plural, kind.group, info.name)
        if info.subresource == "scale":
            patched = _patched(info, content_type, scale.scale_of(kind, old), body)
            return self._scaled(info, old, patched, manager)
        patched = self._checked_identity(info, _patched(info, content_type, old, body))
        uid = patched["metadata"].get("uid")
        if uid not in (None, "", old["metadata"]["uid"]):
            cause = ("metadata.uid", f'Invalid value: "{uid}": field is immutable')
            raise invalid(kind.kind, kind.group, info.name, [cause])
        return self._replace(info, old, patched, manager)

    def suffix(self, length: int) -> str:
        """Random letters as generated names carry them."""
        return "".join(self._random.choices(SUFFIX_LETTERS, k=length))

    def _apply(self, info: RequestInfo, old: Manifest | None, body: Any, manager: str) -> Manifest:
        if not isinstance(body, dict) or "kind" not in body or "apiVersion" not in body:
            raise bad_request("an applied configuration needs apiVersion and kind")
        config = self._checked_identity(info, copy.deepcopy(body))
        kind = info.resource
        apply = field_ownership.server_side_apply
        if old is not None:
            merged = apply(kind, old, config, manager, info.flag("force"))
            return self._replace(info, old, merged, None)
        created = self.create(info, apply(kind, None, config, manager, False), manager)
        if info.dry_run:
            return created
        owned = apply(kind, None, config, manager, False)["metadata"]["managedFields"]
        created = copy.deepcopy(created)
        created["metadata"]["managedFields"] = owned
        return self._store.update(kind.plural, created)

    def _replace(
        self, info: RequestInfo, old: Manifest, new: Manifest, manager: str | None
    ) -> Manifest:
        kind = info.resource
        if info.subresource == "status":
            new = {**copy.deepcopy(old), "status": new.get("status", {})} | {
                "metadata": {**old["metadata"], **_version(new)}
            }
        elif "status" in kind.subresources:
            new.pop("status", None)
            new |= {"status": old["status"]} if "status" in old else {}
        _fill(kind, new)
        _keep_allocated(kind.plural, old, new)
        _check(kind, new, old)
        _keep_system_fields(old, new)
        if manager is not None:
            field_ownership.record_change(kind, old, new, manager, info.subresource)
        return self._store.update(kind.plural, new, dry_run=info.dry_run)

    def _scaled(self, info: RequestInfo, old: Manifest, wanted: Manifest, manager: str) -> Manifest:
        kind = info.resource
        new = scale.with_replicas(kind, old, wanted)
        _check(kind, new, old)
        field_ownership.record_change(kind, old, new, manager, "scale")
        stored = self._store.update(kind.plural, new, dry_run=info.dry_run)
        return scale.scale_of(kind, stored)

    def _checked_identity(self, info: RequestInfo, given: Any) -> Manifest:
        kind = info.resource
        if not isinstance(given, dict) or not isinstance(given.get("metadata", {}), dict):
            raise bad_request(f"the body is not a {kind.kind} object")
        manifest: Manifest = dict(given)
        manifest.setdefault("apiVersion", kind.api_version)
        manifest.setdefault("kind", kind.kind)
        if (manifest["apiVersion"], manifest["kind"]) != (kind.api_version, kind.kind):
            found = f"{manifest['apiVersion']}, Kind={manifest['kind']}"
            wanted = f"{kind.api_version}, Kind={kind.kind}"
            raise bad_request(f"the object provided is {found}, the path takes {wanted}")
        metadata = manifest.setdefault("metadata", {})
        if info.name and metadata.setdefault("name", info.name) != info.name:
            names = f"({metadata['name']}) does not match the name on the URL ({info.name})"
            raise bad_request(f"the name of the object {names}")
        if not kind.namespaced:
            metadata.pop("namespace", None)
        elif (metadata.get("namespace") or info.namespace) != info.namespace:
            raise bad_request(
                "the namespace of the provided object does not match the namespace sent on the "
                "request"
            )
        else:
            metadata["namespace"] = info.namespace
        return manifest

    def _require_namespace(self, name: str) -> None:
        namespace = self._store.require("namespaces", None, name)
        if namespace["status"]["phase"] == "Terminating":
            message = f"unable to create new content in namespace {name} because it is being "
            raise StatusError(403, "Forbidden", message + "terminated")

    def _allocate(self, resource: str, manifest: Manifest) -> None:
        spec = manifest.get("spec") or {}
        if resource == "services" and spec.get("type") != "ExternalName":
            if not spec.get("clusterIP"):
                spec["clusterIP"] = self._free_cluster_ip()
            spec["clusterIPs"] = [spec["clusterIP"]]

    def _free_cluster_ip(self) -> str:
        taken = {service["spec"].get("clusterIP") for service in self._store.list("services")}
        numbers = (f"10.96.{n // 250}.{n % 250 + 1}" for n in range(10, 60_000))
        return next(address for address in numbers if address not in taken)


def _fill(kind: Resource, manifest: Manifest) -> None:
    try:
        apply_defaults(kind.plural, manifest)
    except _WRONG_SHAPE as error:
        raise _undecodable(kind, error) from error


def _check(kind: Resource, manifest: Manifest, old: Manifest | None) -> None:
    try:
        validate(kind, manifest, old)
    except _WRONG_SHAPE as error:
        raise _undecodable(kind, error) from error


def _undecodable(kind: Resource, error: Exception) -> StatusError:
    name = f"{kind.kind} in version {kind.version}"
    return bad_request(f"{name} cannot be handled as a {kind.kind}: {error!r}")


def _patched(info: RequestInfo, content_type: str, old: Manifest, body: Any) -> Any:
    if content_type == JSON_PATCH:
        return patching.json_patch(old, body)
    if content_type == MERGE_PATCH:
        return copy.deepcopy(patching.merge_patch(old, body))
    if content_type == STRATEGIC_PATCH and not info.resource.custom:
        return copy.deepcopy(strategic_merge(old, body))
    accepted = [JSON_PATCH, MERGE_PATCH, APPLY_PATCH]
    if not info.resource.custom:
        accepted.insert(2, STRATEGIC_PATCH)
    message = "the body of the request was in an unknown format - accepted media types include: "
    raise StatusError(415, "UnsupportedMediaType", message + ", ".join(accepted))


def _version(manifest: Manifest) -> Manifest:
    version = manifest["metadata"].get("resourceVersion")
    return {"resourceVersion": version} if version else {}


def _keep_allocated(resource: str, old: Manifest, new: Manifest) -> None:
    if resource == "services" and "clusterIP" in old["spec"]:
        for field in ("clusterIP", "clusterIPs"):
            new["spec"].setdefault(field, old["spec"][field])


def _keep_system_fields(old: Manifest, new: Manifest) -> None:
    for field in ("deletionTimestamp", "deletionGracePeriodSeconds", "managedFields"):
        if field in old["metadata"]:
            new["metadata"].setdefault(field, old["metadata"][field])
