"""Objects that outlive versions: created once; changing them during a release is refused."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from clients.cluster import Cluster
from domain.errors import Conflict, PermanentFailure
from domain.revision import Manifest

# Traffic decides when these come to be: the route and the entry Service open with the first shift.
OPENED_BY_TRAFFIC = ("HTTPRoute", "Service")
_NOT_STORED: Manifest = {"matchLabels": {}}


async def ensure_service_object(cluster: Cluster, manifest: Manifest) -> None:
    """Create a shared object, or see that the live one already is what the bundle says.

    Raises PermanentFailure naming the object when it differs: serving two versions by a widened
    object is not done yet, and ignoring the change would release something else than was approved.
    """
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    live = await cluster.read(kind, name)
    if live is None:
        if kind in OPENED_BY_TRAFFIC:
            return
        try:
            await cluster.create(manifest)
        except Conflict:
            live = await cluster.read(kind, name)
        else:
            return
    if not _contains(_lasting(live or {}), _lasting(manifest)):
        raise PermanentFailure(
            f"{kind} {name} differs from the bundle's; changing shared objects during a release is "
            "not supported yet: apply the change by itself first"
        )


def _lasting(manifest: Manifest) -> Manifest:
    """The spec without what a release itself moves: a route's backends, a Service's selector."""
    spec: Manifest = deepcopy(manifest.get("spec", {}))
    if manifest.get("kind") == "HTTPRoute":
        for rule in spec.get("rules", []):
            rule.pop("backendRefs", None)
    if manifest.get("kind") == "Service":
        spec.pop("selector", None)
        if spec.get("clusterIP") == "":  # the server chooses one
            del spec["clusterIP"]
    return spec


def _contains(live: Any, wanted: Any) -> bool:
    """Whether everything wanted is there; the server adds defaults and leaves out what is empty.

    `{}` it keeps (a selector of everything is not none at all), except where it maps labels.
    """
    if wanted is None:
        return True
    if live is None:
        return not wanted and not isinstance(wanted, dict)
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(
            _contains(live.get(k, _NOT_STORED.get(k)), v) for k, v in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(live, list)
            and len(live) == len(wanted)
            and all(map(_contains, live, wanted))
        )
    return bool(live == wanted)
