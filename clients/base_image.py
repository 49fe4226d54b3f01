"""The image that another is built on: found for one platform, its layers made available."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.registry import Registry
from domain.errors import PermanentFailure
from domain.images import DOCKER_INDEX, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Reference

OPERATING_SYSTEM = "linux"
_CONFIG_LIMIT_BYTES = 4 * 1024 * 1024
_OCI_LAYER_TYPES = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": (
        "application/vnd.oci.image.layer.v1.tar+gzip"
    ),
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
}
_OCI_LAYERS = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class BaseImage:
    """One platform's image: its configuration, and its layers as OCI descriptors."""

    reference: Reference
    config: dict[str, Any]
    layers: tuple[dict[str, Any], ...]


async def find_base(registry: Registry, reference: Reference, architecture: str) -> BaseImage:
    """The image for linux/`architecture`, chosen from an index where the reference names one.

    Raises NotFound, or PermanentFailure for a reference without a digest, a platform that is not
    there, and layers that may not be copied.
    """
    if reference.digest is None:
        raise PermanentFailure(
            f"base image {reference} is not named by digest, so the same commit could become "
            f"another image; write {reference.repository}@sha256:..."
        )
    manifest, _, _ = await registry.get_manifest(reference.repository, reference.digest)
    if manifest["mediaType"] in (OCI_INDEX, DOCKER_INDEX):
        digest = _for_platform(manifest, reference, architecture)
        manifest, _, _ = await registry.get_manifest(reference.repository, digest)
    if manifest["mediaType"] not in (OCI_MANIFEST, DOCKER_MANIFEST):
        raise PermanentFailure(
            f"base image {reference} is a {manifest['mediaType']}, not an image; choose another"
        )
    config_digest = manifest["config"]["digest"]
    body = await registry.get_blob(reference.repository, config_digest, _CONFIG_LIMIT_BYTES)
    config = json.loads(body)
    if len(config.get("rootfs", {}).get("diff_ids", [])) != len(manifest["layers"]):
        raise PermanentFailure(
            f"base image {reference} has a configuration that does not fit its layers"
        )
    platform = f"{config.get('os')}/{config.get('architecture')}"
    if platform != f"{OPERATING_SYSTEM}/{architecture}":
        raise PermanentFailure(
            f"base image {reference} is for {platform}, not {OPERATING_SYSTEM}/{architecture}"
        )
    layers = tuple(_oci_layer(layer, reference) for layer in manifest["layers"])
    return BaseImage(reference, config, layers)


async def share_layers(registry: Registry, base: BaseImage, repository: str) -> None:
    """Make the base's layers part of `repository`: mounted where possible, else copied."""
    for layer in base.layers:
        digest, source = layer["digest"], base.reference.repository
        if await registry.has_blob(repository, digest):
            continue
        if await registry.mount_blob(repository, digest, source):
            continue
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / "layer"
            await registry.download_blob(source, digest, file)
            await registry.put_blob(repository, file)


def _for_platform(index: dict[str, Any], reference: Reference, architecture: str) -> str:
    offered: list[str] = []
    for entry in index.get("manifests", []):
        platform = entry.get("platform", {})
        name = f"{platform.get('os')}/{platform.get('architecture')}"
        if name == f"{OPERATING_SYSTEM}/{architecture}":
            return str(entry["digest"])
        offered.append(name)
    raise PermanentFailure(
        f"base image {reference} has nothing for {OPERATING_SYSTEM}/{architecture}; "
        f"it offers {', '.join(offered) or 'nothing'}"
    )


def _oci_layer(layer: dict[str, Any], reference: Reference) -> dict[str, Any]:
    media_type = _OCI_LAYER_TYPES.get(layer["mediaType"], layer["mediaType"])
    if not media_type.startswith(_OCI_LAYERS):
        raise PermanentFailure(
            f"base image {reference} has a layer of type {media_type}, which may not be copied; "
            "choose another base"
        )
    return {**layer, "mediaType": media_type}
