"""What a container needs from ConfigMaps and Secrets, and the environment it gets from them."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.kubernetes.status import Manifest
from sandbox.kubernetes.store import Store


def missing_for_environment(store: Store, pod: Manifest) -> str | None:
    """Why a container cannot be configured: the first missing object or key; None when none is."""
    namespace = pod["metadata"]["namespace"]
    for resource, reference in _environment_references(pod):
        if reference.get("optional"):
            continue
        word = resource.removesuffix("s")
        found = store.get(resource, namespace, reference["name"])
        if found is None:
            return f'{word} "{reference["name"]}" not found'
        key = reference.get("key")
        if key is not None and key not in (found.get("data") or {}):
            return f"couldn't find key {key} in {word} {namespace}/{reference['name']}"
    return None


def missing_volume(store: Store, pod: Manifest) -> str | None:
    """Why volumes cannot be mounted, in the kubelet's words; None when they can."""
    for volume in pod["spec"].get("volumes") or ():
        for resource, source in (("configmaps", "configMap"), ("secrets", "secret")):
            reference = volume.get(source)
            if reference is None or reference.get("optional"):
                continue
            name = reference.get("name") or reference.get("secretName")
            if store.get(resource, pod["metadata"]["namespace"], name) is None:
                word = resource.removesuffix("s")
                why = f'{word} "{name}" not found'
                return f'MountVolume.SetUp failed for volume "{volume["name"]}" : {why}'
    return None


def environment_of(store: Store, pod: Manifest) -> dict[str, str]:
    """The first container's environment from literals and ConfigMaps; Secrets are left out."""
    container = pod["spec"]["containers"][0]
    namespace = pod["metadata"]["namespace"]
    found: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        if reference := source.get("configMapRef"):
            config = store.get("configmaps", namespace, reference["name"]) or {}
            prefix = source.get("prefix", "")
            found |= {f"{prefix}{key}": value for key, value in (config.get("data") or {}).items()}
    for entry in container.get("env") or ():
        reference = (entry.get("valueFrom") or {}).get("configMapKeyRef")
        if reference:
            config = store.get("configmaps", namespace, reference["name"]) or {}
            if reference["key"] in (config.get("data") or {}):
                found[entry["name"]] = config["data"][reference["key"]]
        elif "valueFrom" not in entry:
            found[entry["name"]] = entry.get("value", "")
    return found


def _environment_references(pod: Manifest) -> Iterator[tuple[str, Manifest]]:
    for container in pod["spec"]["containers"]:
        for source in container.get("envFrom") or ():
            if "configMapRef" in source:
                yield "configmaps", source["configMapRef"]
            if "secretRef" in source:
                yield "secrets", source["secretRef"]
        for entry in container.get("env") or ():
            origin = entry.get("valueFrom") or {}
            if "configMapKeyRef" in origin:
                yield "configmaps", origin["configMapKeyRef"]
            if "secretKeyRef" in origin:
                yield "secrets", origin["secretKeyRef"]
