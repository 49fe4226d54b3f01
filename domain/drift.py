"""Drift: where a live object is no longer what its bundle says.

The server fills in defaults, leaves out what is empty and writes quantities in its own form; a
release moves numbers of pods. None of that is drift; what the bundle says and is not there, is.
"""

from __future__ import annotations

import re
from base64 import b64decode
from decimal import Decimal
from typing import Any, NamedTuple

from domain.revision import Manifest

# The Deployment controller counts the pod templates it has seen; a revision has only one.
TEMPLATES_SEEN = "deployment.kubernetes.io/revision"
# What releases and autoscalers move.
_MOVED = {"Deployment": "replicas", "HorizontalPodAutoscaler": "minReplicas"}
# Maps that say everything: a further key is another content.
_COMPLETE = {("ConfigMap", "data"), ("ConfigMap", "binaryData"), ("Service", "spec.selector")}
_COMPARED = ("metadata.labels", "metadata.annotations", "data", "binaryData", "spec")
_QUANTITIES = re.compile(r"\.(requests|limits|sizeLimit|divisor)\b|metrics\[.*[vV]alue$")
_QUANTITY = re.compile(r"([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)([eE][+-]?\d+|[numkKMGTPE]i?)?")
_POWERS = {
    **{unit: Decimal(1000) ** power for power, unit in enumerate(("n", "u", "m", ""), start=-3)},
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", start=1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", start=1)},
}
_SHOWN = 120


class Difference(NamedTuple):
    """One field: its path, what is there (None: nothing) and what the bundle says."""

    path: str
    live: Any
    wanted: Any


def drift(live: Manifest | None, wanted: Manifest) -> str | None:
    """The first field in which a live object differs from the bundle's, in words; None when none.

    `wanted` is a revision's own object as it was to be created.
    """
    kind, name = wanted["kind"], wanted["metadata"]["name"]
    if live is None:
        return f"{kind} {name} is gone"
    found = _first(live, wanted)
    if found is not None:
        return (
            f"{kind} {name}: {found.path} is {_shown(found.live)}, the bundle says "
            f"{_shown(found.wanted)}"
        )
    templates = (live["metadata"].get("annotations") or {}).get(TEMPLATES_SEEN, "1")
    if kind == "Deployment" and templates != "1":
        return (
            f"Deployment {name}: its pod template was edited after it was created: rollout "
            f"{templates}, a revision has one"
        )
    return None


def _first(live: Manifest, wanted: Manifest) -> Difference | None:
    kind, same_form = wanted["kind"], live.get("apiVersion") == wanted.get("apiVersion")
    for path in _COMPARED:
        there, said = _at(live, path), _at(wanted, path)
        if path == "binaryData":
            there, said = _decoded(there), _decoded(said)
        if path == "spec" and isinstance(said, dict):
            moved = _MOVED.get(kind)
            # In another version of the API a field may have another name.
            said = {k: v for k, v in said.items() if k != moved and (same_form or k in there)}
        if (found := _difference(kind, path, there, said)) is not None:
            return found
    return None


def _at(manifest: Manifest, path: str) -> Any:
    value: Any = manifest
    for key in path.split("."):
        value = (value or {}).get(key)
    return value


def _decoded(files: Any) -> Any:
    """The server stores base64 in one line, however it was given."""
    return {name: b64decode(text) for name, text in (files or {}).items()}


def _difference(kind: str, path: str, live: Any, wanted: Any) -> Difference | None:
    if (kind, path) in _COMPLETE:
        wanted = wanted or {}
        added = sorted((live or {}).keys() - wanted.keys())
        if added:
            return Difference(f"{path}.{added[0]}", live[added[0]], None)
    if live is None or wanted is None:
        return Difference(path, live, wanted) if _means_something(wanted) else None
    if isinstance(wanted, dict) and isinstance(live, dict):
        pairs = ((f"{path}.{key}", live.get(key), wanted[key]) for key in sorted(wanted))
    elif isinstance(wanted, list) and isinstance(live, list):
        if len(live) != len(wanted):
            return Difference(path, live, wanted)
        pairs = (
            (f"{path}[{_place(said, at)}]", there, said)
            for at, (there, said) in enumerate(zip(live, wanted, strict=True))
        )
    else:
        return None if _same(path, live, wanted) else Difference(path, live, wanted)
    return next(filter(None, (_difference(kind, *pair) for pair in pairs)), None)


def _place(item: Any, at: int) -> str:
    return str(item["name"]) if isinstance(item, dict) and "name" in item else str(at)


def _means_something(wanted: Any) -> bool:
    """Whether it would be stored: what is empty, false or nothing is left out by the server."""
    if isinstance(wanted, dict):
        return any(map(_means_something, wanted.values()))
    return bool(wanted)


def _same(path: str, live: Any, wanted: Any) -> bool:
    if live == wanted:
        return type(live) is type(wanted) or not isinstance(live, bool)
    if not _QUANTITIES.search(path):
        return False
    amounts = _amount(live), _amount(wanted)
    return None not in amounts and amounts[0] == amounts[1]


def _amount(quantity: Any) -> Decimal | None:
    """A Kubernetes quantity as a number: `500m` and `0.5` are one, as are `1Gi` and `1024Mi`."""
    match = _QUANTITY.fullmatch(str(quantity))
    if match is None:
        return None
    number, unit = Decimal(match[1]), match[2] or ""
    if unit[:1] in ("e", "E") and len(unit) > 1 and unit != "Ei":
        return number.scaleb(int(unit[1:]))
    return number * _POWERS[unit] if unit in _POWERS else None


def _shown(value: Any) -> str:
    text = "absent" if value is None else repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
