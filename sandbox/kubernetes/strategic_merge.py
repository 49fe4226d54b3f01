"""Strategic merge patch: lists that merge by key, and the `$` directives that kubectl writes."""

from __future__ import annotations

import copy
from typing import Any

from sandbox.kubernetes.status import Manifest

# Merge keys of built-in types, by field name; "" marks lists of scalars that merge as sets.
MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "imagePullSecrets": "name",
    "conditions": "type",
    "ownerReferences": "uid",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "secrets": "name",
    "finalizers": "",
}
_ORDER = "$setElementOrder/"
_REMOVE = "$deleteFromPrimitiveList/"


def merge_key(field: str, items: list[Any]) -> str | None:
    """The key that identifies items of a list field; None when the list is replaced as a whole."""
    if field == "ports":
        inside = [item for item in items if isinstance(item, dict)]
        return "containerPort" if any("containerPort" in item for item in inside) else "port"
    return MERGE_KEYS.get(field)


def strategic_merge(target: Any, patch: Any) -> Any:
    """Merge a patch into a value: `$patch`, `$retainKeys` and the list directives are followed."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = _starting_point(target, patch)
    for key, value in patch.items():
        if key.startswith(_REMOVE):
            field = key.removeprefix(_REMOVE)
            merged[field] = [item for item in merged.get(field) or () if item not in value]
        elif not key.startswith("$"):
            _merge_field(merged, key, value)
    for key, order in patch.items():
        if key.startswith(_ORDER):
            _reorder(merged, key.removeprefix(_ORDER), order)
    return merged


def _starting_point(target: Any, patch: Manifest) -> Manifest:
    if "$patch" in patch or not isinstance(target, dict):
        return {}
    kept = patch.get("$retainKeys")
    return {key: value for key, value in target.items() if kept is None or key in kept}


def _merge_field(merged: Manifest, key: str, value: Any) -> None:
    deleted = isinstance(value, dict) and value.get("$patch") == "delete"
    if value is None or deleted:
        merged.pop(key, None)
    elif isinstance(value, list):
        merged[key] = _merge_list(key, merged.get(key) or [], value)
    else:
        merged[key] = strategic_merge(merged.get(key), value)


def _merge_list(field: str, old: list[Any], patch: list[Any]) -> list[Any]:
    key = merge_key(field, [*old, *patch])
    if key is None or {"$patch": "replace"} in patch:
        return [copy.deepcopy(item) for item in patch if item != {"$patch": "replace"}]
    if key == "":
        return [*old, *(item for item in patch if item not in old)]
    merged = {item.get(key): item for item in old}
    for item in patch:
        if item.get("$patch") == "delete":
            merged.pop(item.get(key), None)
        else:
            merged[item.get(key)] = strategic_merge(merged.get(item.get(key)), item)
    return list(merged.values())


def _reorder(merged: Manifest, field: str, order: list[Any]) -> None:
    items = merged.get(field)
    if not isinstance(items, list):
        return
    key = merge_key(field, [*items, *order]) or ""

    def position(item: Any) -> int:
        wanted = [o.get(key) if isinstance(o, dict) else o for o in order]
        own = item.get(key) if isinstance(item, dict) else item
        return wanted.index(own) if own in wanted else len(wanted)

    items.sort(key=position)
