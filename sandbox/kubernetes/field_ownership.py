"""managedFields and server-side apply, in a simple form: who owns which leaf of an object.

Lists with a merge key are owned item by item, every other list and every selector as a whole.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from sandbox.kubernetes.resources import Resource
from sandbox.kubernetes.status import Manifest, StatusError
from sandbox.kubernetes.store import now
from sandbox.kubernetes.strategic_merge import merge_key

Path = tuple[str, ...]
_SYSTEM = {
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "resourceVersion",
    "selfLink",
    "uid",
}
_ATOMIC = {"selector", "nodeSelector"}
_ITEM = "."


def leaves(value: Any, at: Path = ()) -> dict[Path, Any]:
    """Every owned leaf of an object with its value, by path in fieldsV1 notation."""
    found: dict[Path, Any] = {}
    if isinstance(value, dict) and value and (not at or at[-1][2:] not in _ATOMIC):
        for key, inner in value.items():
            if not (len(at) == 0 and key in ("apiVersion", "kind")) and not (
                at == ("f:metadata",) and key in _SYSTEM
            ):
                found |= leaves(inner, (*at, f"f:{key}"))
        return found
    key = merge_key(at[-1][2:], value) if at and isinstance(value, list) else None
    if not key:
        return {at: value} if at else {}
    for item in value:
        step = "k:" + json.dumps({key: item.get(key)}, separators=(",", ":"))
        found[(*at, step, _ITEM)] = True
        found |= leaves(item, (*at, step))
    return found


def record_change(
    kind: Resource, old: Manifest | None, new: Manifest, manager: str, subresource: str = ""
) -> None:
    """Give what changed between two versions of an object to its writer, in place."""
    before, after = leaves(old or {}), leaves(new)
    changed = {path for path, value in after.items() if before.get(path, _ITEM) != value}
    if not changed:
        return
    owners = _owners(new)
    for owner, paths in owners.items():
        owners[owner] = (paths - changed) & set(after)
    mine = (manager, "Update", subresource)
    owners[mine] = owners.get(mine, set()) | changed
    _write(kind, new, owners, mine)


def server_side_apply(
    kind: Resource, old: Manifest | None, config: Manifest, manager: str, force: bool
) -> Manifest:
    """Merge an applied configuration; 409 with causes for fields that others own differently."""
    live = copy.deepcopy(old) if old is not None else {}
    applied, current = leaves(config), leaves(live)
    owners = _owners(live)
    mine = (manager, "Apply", "")
    contested = {path for path, value in applied.items() if current.get(path, value) != value}
    conflicts = [
        (owner, path)
        for owner, paths in owners.items()
        if owner != mine
        for path in sorted(paths & contested)
    ]
    if conflicts and not force:
        raise _conflict(conflicts)
    merged: Manifest = _merge(live, config, "")
    others = set().union(*(paths for owner, paths in owners.items() if owner != mine))
    # Whole items first: without their key fields they could not be found any more.
    for path in sorted(owners.get(mine, set()) - set(applied) - others, key=_is_field):
        _remove(merged, path)
    for owner in owners:
        owners[owner] -= contested
    owners[mine] = set(applied)
    _write(kind, merged, owners, mine)
    return merged


def _is_field(path: Path) -> bool:
    return path[-1] != _ITEM


def _conflict(conflicts: list[tuple[tuple[str, str, str], Path]]) -> StatusError:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f'conflict with "{owner[0]}"',
            "field": _readable(path),
        }
        for owner, path in conflicts
    ]
    first = causes[0]
    message = (
        f"Apply failed with {len(causes)} conflict{'s' * (len(causes) > 1)}: "
        f"{first['message']}: {first['field']}"
    )
    return StatusError(409, "Conflict", message, {"causes": causes})


def _readable(path: Path) -> str:
    return "".join(
        f".{step[2:]}" if step.startswith("f:") else f"[{step[3:-1]}]"
        for step in path
        if step != _ITEM
    ).replace('":', '"=')


def _merge(live: Any, config: Any, field: str) -> Any:
    if isinstance(config, dict) and isinstance(live, dict) and field not in _ATOMIC:
        merged = dict(live)
        for key, value in config.items():
            merged[key] = _merge(live.get(key), value, key)
        return merged
    key = merge_key(field, [*live, *config]) if _are_lists(live, config) else None
    if key:
        items = {item.get(key): item for item in live}
        for item in config:
            items[item.get(key)] = _merge(items.get(item.get(key)), item, "")
        return list(items.values())
    return copy.deepcopy(config)


def _are_lists(*values: Any) -> bool:
    return all(isinstance(value, list) for value in values)


def _remove(manifest: Any, path: Path) -> None:
    *way, last = [step for step in path if step != _ITEM]
    for step in way:
        manifest = _down(manifest, step)
        if manifest is None:
            return
    if last.startswith("f:"):
        manifest.pop(last[2:], None)
    elif (item := _down(manifest, last)) is not None:
        manifest.remove(item)


def _down(value: Any, step: str) -> Any:
    if step.startswith("f:"):
        return value.get(step[2:]) if isinstance(value, dict) else None
    wanted = json.loads(step[2:])
    return next((item for item in value if wanted.items() <= item.items()), None)


def _owners(manifest: Manifest) -> dict[tuple[str, str, str], set[Path]]:
    entries = manifest.get("metadata", {}).get("managedFields") or ()
    return {
        (e["manager"], e["operation"], e.get("subresource", "")): set(_flat(e["fieldsV1"]))
        for e in entries
    }


def _flat(fields: Manifest, at: Path = ()) -> list[Path]:
    if not fields:
        return [at]
    return [path for step, inner in fields.items() for path in _flat(inner, (*at, step))]


def _nested(paths: set[Path]) -> Manifest:
    fields: Manifest = {}
    for path in sorted(paths):
        inside = fields
        for step in path:
            inside = inside.setdefault(step, {})
    return fields


def _write(
    kind: Resource,
    manifest: Manifest,
    owners: dict[tuple[str, str, str], set[Path]],
    writer: tuple[str, str, str],
) -> None:
    times = {
        (e["manager"], e["operation"], e.get("subresource", "")): e.get("time")
        for e in manifest.get("metadata", {}).get("managedFields") or ()
    }
    manifest["metadata"]["managedFields"] = [
        {
            "manager": owner[0],
            "operation": owner[1],
            "apiVersion": kind.api_version,
            "time": now() if owner == writer else times.get(owner),
            "fieldsType": "FieldsV1",
            "fieldsV1": _nested(paths),
            **({"subresource": owner[2]} if owner[2] else {}),
        }
        for owner, paths in owners.items()
        if paths
    ]
