"""Get and list: selectors, pages and the form (objects or a Table) that the client accepts."""

from __future__ import annotations

import base64
import binascii
import json

from sandbox.kubernetes.request_info import RequestInfo
from sandbox.kubernetes.selectors import Predicate, field_predicate, label_predicate
from sandbox.kubernetes.status import Manifest, bad_request, too_new
from sandbox.kubernetes.store import Store
from sandbox.kubernetes.tables import as_table


def wants_table(accept: str) -> bool:
    """Whether the Accept header puts a meta.k8s.io/v1 Table first, as `kubectl get` does."""
    first = accept.split(",", maxsplit=1)[0].replace(" ", "")
    return "as=Table" in first and "v=v1;" in f"{first};"


def selected_by(info: RequestInfo) -> Predicate:
    """The request's selectors (and its name, when it has one) as one predicate."""
    by_label = label_predicate(info.query.get("labelSelector", ""))
    by_field = field_predicate(info.resource.plural, info.query.get("fieldSelector", ""))

    def wanted(manifest: Manifest) -> bool:
        named = not info.name or manifest["metadata"]["name"] == info.name
        return named and by_label(manifest) and by_field(manifest)

    return wanted


def read_one(store: Store, info: RequestInfo, accept: str) -> Manifest:
    """One object, or a Table of one row."""
    _refuse_too_new(store, info)
    manifest = store.require(info.resource.plural, info.namespace, info.name)
    if not wants_table(accept):
        return manifest
    table = as_table(info.resource, [manifest], info.query.get("includeObject", "Metadata"))
    table["metadata"] = {"resourceVersion": manifest["metadata"]["resourceVersion"]}
    return table


def read_list(store: Store, info: RequestInfo, accept: str) -> Manifest:
    """A list object or Table, one page of it when the request sets a limit."""
    _refuse_too_new(store, info)
    wanted = selected_by(info)
    items = [m for m in store.list(info.resource.plural, info.namespace) if wanted(m)]
    metadata: Manifest = {"resourceVersion": str(store.version)}
    if token := info.query.get("continue"):
        after = _start_of(token)
        items = [item for item in items if _key(item) > after]
    limit = int(info.number("limit", 0))
    if 0 < limit < len(items):
        metadata["continue"] = _token(items[limit - 1])
        metadata["remainingItemCount"] = len(items) - limit
        items = items[:limit]
    if wants_table(accept):
        table = as_table(info.resource, items, info.query.get("includeObject", "Metadata"))
        return {**table, "metadata": metadata}
    kind = info.resource
    head = {"kind": f"{kind.kind}List", "apiVersion": kind.api_version}
    if kind.custom:
        return {**head, "metadata": {"continue": "", **metadata}, "items": items}
    # Only custom objects repeat in a list what the list itself says.
    bare = [{k: v for k, v in m.items() if k not in ("kind", "apiVersion")} for m in items]
    return {**head, "metadata": metadata, "items": bare}


def _refuse_too_new(store: Store, info: RequestInfo) -> None:
    """The real server waits three seconds for the version first; here nobody would write it."""
    version = info.query.get("resourceVersion", "")
    if version.isdigit() and int(version) > store.version:
        raise too_new(version, store.version)


def _key(manifest: Manifest) -> tuple[str, str]:
    metadata = manifest["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _token(last: Manifest) -> str:
    return base64.urlsafe_b64encode(json.dumps(_key(last)).encode()).decode()


def _start_of(token: str) -> tuple[str, str]:
    try:
        namespace, name = json.loads(base64.urlsafe_b64decode(token))
    except (binascii.Error, ValueError) as error:
        raise bad_request("continue key is not valid") from error
    return namespace, name
