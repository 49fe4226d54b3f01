"""Reading and writing the shares of an HTTPRoute: its `backendRefs` are the weights."""

from __future__ import annotations

import re
from typing import Any

from domain import labels
from domain.errors import PermanentFailure
from domain.records import Record
from domain.traffic import Backend, TrafficSplit

Manifest = dict[str, Any]
Operation = dict[str, Any]

BACKENDS = "/spec/rules/0/backendRefs"


def is_revision_of(name: str, service: str) -> bool:
    """Tell whether an object's name is `<service>-<ten hex digits>`."""
    return re.fullmatch(rf"{re.escape(service)}-[0-9a-f]{{10}}", name) is not None


def split_of(route: Manifest, service: str) -> TrafficSplit:
    """Who gets how much by this route; PermanentFailure when it is not Tidegate's to change."""
    rules = route["spec"].get("rules", [])
    name = route["metadata"]["name"]
    if len(rules) != 1:
        raise PermanentFailure(
            f"HTTPRoute {name} has {len(rules)} rules; routes with other than one rule are not "
            "supported yet"
        )
    refs = rules[0].get("backendRefs", [])
    foreign = [ref["name"] for ref in refs if not is_revision_of(ref["name"], service)]
    if foreign:
        raise PermanentFailure(
            f"HTTPRoute {name} sends traffic to {', '.join(foreign)}, which is no revision of "
            f"{service}; adopting existing deployments is not supported yet"
        )
    weights = [ref.get("weight", 1) for ref in refs]
    total = sum(weights) or 1
    if any(100 * weight % total for weight in weights):
        # Rounded to 0 %, a backend would look unused and could be taken away.
        raise PermanentFailure(
            f"HTTPRoute {name} has the weights {weights}, which are no whole percentages; set "
            "weights that sum to 100"
        )
    shares = [
        (ref["name"], 100 * weight // total) for ref, weight in zip(refs, weights, strict=True)
    ]
    return TrafficSplit(
        backends=tuple(Backend(revision=n, weight=share) for n, share in shares if share)
    )


def backend_refs(split: TrafficSplit, port: int) -> list[Manifest]:
    """The `backendRefs` that give this split."""
    return [{"name": b.revision, "port": port, "weight": b.weight} for b in split.backends]


def move(
    route: Manifest, split: TrafficSplit, port: int, release_id: str, previous: str | None = None
) -> list[Operation]:
    """JSON patch from what was read to a split; a `test` fails it if anybody was faster.

    `previous`, the revision that users leave, is recorded with it: a rollback returns only there.
    """
    operations: list[Operation] = [
        {"op": "test", "path": BACKENDS, "value": route["spec"]["rules"][0]["backendRefs"]},
        {"op": "replace", "path": BACKENDS, "value": backend_refs(split, port)},
    ]
    notes = {labels.RELEASE: release_id} | ({labels.PREVIOUS: previous} if previous else {})
    return operations + annotate(route, notes)


def annotate(manifest: Manifest, values: dict[str, str]) -> list[Operation]:
    """JSON patch that sets annotations, also where there are none yet."""
    if "annotations" not in manifest["metadata"]:
        return [{"op": "add", "path": "/metadata/annotations", "value": values}]
    return [
        {"op": "add", "path": f"/metadata/annotations/{_escaped(key)}", "value": value}
        for key, value in values.items()
    ]


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


class Acceptance(Record):
    """What the routers said about a route: None while they have not answered for its spec."""

    accepted: bool
    sentence: str


def acceptance(route: Manifest) -> Acceptance | None:
    """Read a route's status: every parent has seen this generation and takes it, or says why not.

    Source: Gateway API v1, RouteParentStatus (conditions Accepted and ResolvedRefs).
    """
    generation = route["metadata"].get("generation", 1)
    parents = route.get("status", {}).get("parents", [])
    if not parents or len(parents) < len(route["spec"].get("parentRefs", [])):
        return None
    for parent in parents:
        conditions = {c["type"]: c for c in parent.get("conditions", [])}
        for wanted in ("Accepted", "ResolvedRefs"):
            condition = conditions.get(wanted)
            if condition is None or condition.get("observedGeneration", 0) < generation:
                return None
            if condition["status"] != "True":
                why = f"{condition.get('reason')}: {condition.get('message', '')}"
                return Acceptance(accepted=False, sentence=f"{wanted} is false ({why})")
    names = ", ".join(parent.get("parentRef", {}).get("name", "?") for parent in parents)
    return Acceptance(accepted=True, sentence=f"read back from gateway {names}")


def selected_revision(service: Manifest) -> str | None:
    """Which revision an entry Service selects: the short hash, or None when it selects no one."""
    selected: str | None = service["spec"].get("selector", {}).get(labels.REVISION)
    return selected
