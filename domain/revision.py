"""From rendered manifests to a revision: new objects beside the old ones (design 6).

Runs after any renderer. Kinds that carry the version get the bundle's hash as a suffix and the
references between them are rewritten; kinds that outlive versions are shared; anything else is
refused by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import Any

from domain import labels
from domain.errors import PermanentFailure
from domain.records import Record, digest_of

Manifest = dict[str, Any]

OWN_KINDS = ("ConfigMap", "Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget")
SHARED_KINDS = ("ServiceAccount", "NetworkPolicy", "Service", "HTTPRoute")
REFUSED_KINDS = {
    "Secret": "credentials are not part of a bundle; create the Secret in the cluster",
    "PersistentVolumeClaim": "workload kind `stateful` is not supported yet",
    "StatefulSet": "workload kind `stateful` is not supported yet",
    "DaemonSet": "a DaemonSet has no share of traffic; deploy it outside Tidegate",
    "CronJob": "workload kind `scheduled` is not supported yet",
    "Job": "a Job is not part of a revision; migrations are not supported yet",
    "ScaledObject": "KEDA scaling is not supported yet; use a HorizontalPodAutoscaler",
    "Ingress": "route by HTTPRoute; other routers are not supported yet",
    "VirtualService": "route by HTTPRoute; other routers are not supported yet",
}
REQUIRED_PARTS = {
    "Deployment": ("selector", "template"),
    "HorizontalPodAutoscaler": ("scaleTargetRef", "maxReplicas"),
    "HTTPRoute": ("rules",),
    "PodDisruptionBudget": ("selector",),
    "Service": ("selector", "ports"),
}


class RevisionObjects(Record):
    """What one bundle becomes in one environment."""

    name: str
    port: int
    replicas: int
    own: tuple[Manifest, ...]
    shared: tuple[Manifest, ...]
    spec_hash: str


class RevisionName(Record):
    """The names that mark a revision's objects."""

    service: str
    short: str
    namespace: str
    bundle: str
    commit: str

    def __str__(self) -> str:
        return f"{self.service}-{self.short}"

    @property
    def labels(self) -> dict[str, str]:
        """Labels of every object of the revision, and of its pods."""
        return {
            labels.MANAGED_BY: labels.TIDEGATE,
            labels.SERVICE: self.service,
            labels.REVISION: self.short,
        }

    @property
    def annotations(self) -> dict[str, str]:
        """Where the revision came from."""
        return {labels.BUNDLE: self.bundle, labels.COMMIT: self.commit}


def select(manifests: Iterable[Manifest], service: str) -> list[Manifest]:
    """A service's own objects among a repository's: those with the label `app: <service>`."""
    found = [m for m in manifests if _app_of(m) == service]
    if not found:
        raise PermanentFailure(
            f"no rendered object has the label app: {service}; label the service's manifests"
        )
    return found


def make_revision(
    manifests: Iterable[Manifest], name: RevisionName, *, image: str, container: str
) -> RevisionObjects:
    """Turn a service's manifests into the revision's own objects and the shared ones.

    Raises PermanentFailure naming every object that cannot be part of a revision.
    """
    objects = [_in_namespace(m, name.namespace) for m in deepcopy(list(manifests))]
    _refuse_unknown(objects)
    deployment = _only(objects, "Deployment", name.service)
    entry = _only(objects, "Service", name.service)
    _set_image(deployment, container, image)
    renamed = {
        (m["kind"], m["metadata"]["name"]): f"{m['metadata']['name']}-{name.short}"
        for m in objects
        if m["kind"] in OWN_KINDS
    }
    renamed["Deployment", deployment["metadata"]["name"]] = str(name)
    for manifest in objects:
        _rewrite_references(manifest, renamed)
    own = [_mark(m, name, renamed) for m in objects if m["kind"] in OWN_KINDS]
    shared = [_share(m, name) for m in objects if m["kind"] in SHARED_KINDS]
    own.append(_own_service(entry, name))
    ordered = tuple(sorted(own, key=_creation_order))
    spec_hash = digest_of(list(ordered))
    for manifest in ordered:
        manifest["metadata"]["annotations"][labels.SPEC_HASH] = spec_hash
    return RevisionObjects(
        name=str(name),
        port=entry["spec"]["ports"][0]["port"],
        replicas=_declared_replicas(objects),
        own=ordered,
        shared=tuple(sorted(shared, key=_creation_order)),
        spec_hash=spec_hash,
    )


def _app_of(manifest: Manifest) -> str | None:
    found: str | None = manifest.get("metadata", {}).get("labels", {}).get(labels.APP)
    return found


def _in_namespace(manifest: Manifest, namespace: str) -> Manifest:
    manifest["metadata"]["namespace"] = namespace
    return manifest


def _refuse_unknown(objects: Iterable[Manifest]) -> None:
    problems = []
    for manifest in objects:
        kind, name = manifest.get("kind", "?"), manifest["metadata"].get("name", "?")
        if kind not in OWN_KINDS and kind not in SHARED_KINDS:
            why = REFUSED_KINDS.get(kind, "Tidegate does not know how this kind follows a version")
            problems.append(f"{kind} {name}: {why}")
        missing = [p for p in REQUIRED_PARTS.get(kind, ()) if not manifest.get("spec", {}).get(p)]
        problems += [f"{kind} {name}: spec.{part} is missing" for part in missing]
    if problems:
        raise PermanentFailure("; ".join(problems))


def _only(objects: Iterable[Manifest], kind: str, service: str) -> Manifest:
    found = [m for m in objects if m["kind"] == kind]
    if len(found) != 1:
        names = ", ".join(m["metadata"]["name"] for m in found) or "none"
        raise PermanentFailure(f"{service} needs exactly one {kind} per environment, found {names}")
    return found[0]


def _set_image(deployment: Manifest, container: str, image: str) -> None:
    containers = deployment["spec"]["template"]["spec"]["containers"]
    for candidate in containers:
        if candidate["name"] == container:
            candidate["image"] = image
            return
    names = ", ".join(c["name"] for c in containers)
    raise PermanentFailure(
        f"Deployment {deployment['metadata']['name']} has no container {container!r} (it has "
        f"{names}); name the container as the service, or set `container` in the plan"
    )


def _mark(manifest: Manifest, name: RevisionName, renamed: dict[tuple[str, str], str]) -> Manifest:
    metadata = manifest["metadata"]
    metadata["name"] = renamed[manifest["kind"], metadata["name"]]
    metadata["labels"] = {**metadata.get("labels", {}), **name.labels}
    metadata["annotations"] = {**metadata.get("annotations", {}), **name.annotations}
    spec = manifest.get("spec", {})
    if manifest["kind"] == "Deployment":
        template = spec["template"].setdefault("metadata", {})
        template["labels"] = {**template.get("labels", {}), **name.labels}
    if manifest["kind"] in ("Deployment", "PodDisruptionBudget"):
        spec["selector"].setdefault("matchLabels", {})[labels.REVISION] = name.short
    return manifest


def _share(manifest: Manifest, name: RevisionName) -> Manifest:
    metadata = manifest["metadata"]
    metadata["labels"] = {
        **metadata.get("labels", {}),
        labels.MANAGED_BY: labels.TIDEGATE,
        labels.SERVICE: name.service,
    }
    return manifest


def _own_service(entry: Manifest, name: RevisionName) -> Manifest:
    spec = {
        "selector": {**entry["spec"]["selector"], labels.REVISION: name.short},
        "ports": deepcopy(entry["spec"]["ports"]),
    }
    for port in spec["ports"]:
        port.pop("nodePort", None)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": str(name),
            "namespace": name.namespace,
            "labels": {labels.APP: name.service, **name.labels},
            "annotations": dict(name.annotations),
        },
        "spec": spec,
    }


def _creation_order(manifest: Manifest) -> tuple[int, str, str]:
    order = ("ServiceAccount", "NetworkPolicy", "ConfigMap", "Service", "HTTPRoute", "Deployment")
    kind = manifest["kind"]
    place = order.index(kind) if kind in order else len(order)
    return place, kind, manifest["metadata"]["name"]


def _declared_replicas(objects: Iterable[Manifest]) -> int:
    by_kind = {m["kind"]: m["spec"] for m in objects if m["kind"] in OWN_KINDS and "spec" in m}
    scaler = by_kind.get("HorizontalPodAutoscaler", {})
    replicas: int = scaler.get("minReplicas") or by_kind["Deployment"].get("replicas", 1)
    return replicas


def _rewrite_references(manifest: Manifest, renamed: dict[tuple[str, str], str]) -> None:
    spec = manifest.get("spec", {})
    if manifest["kind"] == "HorizontalPodAutoscaler":
        target = spec["scaleTargetRef"]
        target["name"] = _new_name(renamed, target["kind"], target["name"], manifest)
    if manifest["kind"] == "Deployment":
        for holder, key in _config_references(spec["template"]["spec"]):
            holder[key] = renamed.get(("ConfigMap", holder[key]), holder[key])


def _new_name(renamed: dict[tuple[str, str], str], kind: str, old: str, referrer: Manifest) -> str:
    if (kind, old) not in renamed:
        raise PermanentFailure(
            f"{referrer['kind']} {referrer['metadata']['name']} refers to {kind} {old}, "
            "which the manifests do not contain"
        )
    return renamed[kind, old]


def _config_references(pod: Manifest) -> Iterator[tuple[Manifest, str]]:
    """Every place of a pod spec that names a ConfigMap, as (holder, key of the name)."""
    for container in [*pod.get("containers", []), *pod.get("initContainers", [])]:
        sources = [source.get("configMapRef") for source in container.get("envFrom", [])]
        variables = [v.get("valueFrom", {}) for v in container.get("env", [])]
        sources += [value.get("configMapKeyRef") for value in variables]
        yield from ((source, "name") for source in sources if source)
    for volume in pod.get("volumes", []):
        projected = volume.get("projected", {}).get("sources", [])
        sources = [volume.get("configMap"), *(source.get("configMap") for source in projected)]
        yield from ((source, "name") for source in sources if source)


def config_diff(old: Iterable[Manifest], new: Iterable[Manifest]) -> tuple[str, ...]:
    """Lines that tell an approver which ConfigMap keys differ: `+key: value`, `-key: value`."""
    before, after = _config(old), _config(new)
    lines: list[str] = []
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            lines += [f"-{key}: {before[key]}"] if key in before else []
            lines += [f"+{key}: {after[key]}"] if key in after else []
    return tuple(lines)


def _config(manifests: Iterable[Manifest]) -> dict[str, str]:
    return {
        f"{_plain_name(manifest)}/{key}": value
        for manifest in manifests
        if manifest.get("kind") == "ConfigMap"
        for key, value in {**manifest.get("data", {}), **manifest.get("binaryData", {})}.items()
    }


def _plain_name(manifest: Manifest) -> str:
    short = manifest["metadata"].get("labels", {}).get(labels.REVISION, "")
    name: str = manifest["metadata"]["name"]
    return name.removesuffix(f"-{short}") if short else name
