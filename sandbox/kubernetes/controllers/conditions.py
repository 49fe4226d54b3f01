"""Status conditions, as every kind carries them."""

from __future__ import annotations

from sandbox.kubernetes.status import Manifest
from sandbox.kubernetes.store import now


def condition(type_: str, status: bool, reason: str, message: str) -> Manifest:
    """A condition without times; set_condition adds them."""
    return {
        "type": type_,
        "status": "True" if status else "False",
        "reason": reason,
        "message": message,
    }


def find_condition(conditions: list[Manifest], type_: str) -> Manifest | None:
    """The condition of a type, or None."""
    return next((c for c in conditions if c["type"] == type_), None)


def set_condition(conditions: list[Manifest], new: Manifest) -> None:
    """Put a condition into a list in place; its transition time moves only with its status."""
    old = find_condition(conditions, new["type"])
    if old is None:
        conditions.append({**new, "lastTransitionTime": now()})
        return
    if old["status"] != new["status"]:
        old["lastTransitionTime"] = now()
    old.update(new)
