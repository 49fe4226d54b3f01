"""The `assemble` builder: base image + wheels + files become an image, without any daemon.

What ko and jib do, for Python. It runs nothing: a Dockerfile is not read, and not pretended to be.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, Field

from clients.base_image import OPERATING_SYSTEM, BaseImage, find_base, share_layers
from clients.layers import APPLICATION, Entry, Layer, files_under, write_layer
from clients.registry import Registry
from clients.wheels import SCRIPTS, SITE_PACKAGES, unpack_wheels
from domain.errors import PermanentFailure
from domain.images import (
    OCI_CONFIG,
    OCI_LAYER,
    OCI_MANIFEST,
    BuiltImage,
    Reference,
    descriptor,
    image_time,
)
from domain.records import Record, canonical_json

USER = "65532:65532"
BUILDER = "tidegate assemble"
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class AssembleRequest(Record):
    """What goes into an image; equal requests make images of equal digest.

    `base` is named by digest; `files` are (file or directory, place in the image); `created` is
    the commit's time; `repository` is `host[:port]/path`, `tag` an additional name.
    """

    base: str
    wheels: tuple[Path, ...] = ()
    files: tuple[tuple[Path, str], ...]
    entrypoint: tuple[str, ...] = Field(min_length=1)
    environment: dict[str, str] = Field(default_factory=dict)
    port: int = Field(ge=1, le=65535)
    labels: dict[str, str] = Field(default_factory=dict)
    created: AwareDatetime
    repository: str
    tag: str | None = None
    architecture: str = "amd64"


async def assemble(registry: Registry, request: AssembleRequest) -> BuiltImage:
    """Build the image and push it; building again pushes nothing new and gives the same digest.

    The image's size is that of its compressed layers, in bytes. Raises PermanentFailure naming the
    base, wheel or file that cannot be used, NotFound, TransientFailure.
    """
    base = await find_base(registry, Reference.parse(request.base), request.architecture)
    with tempfile.TemporaryDirectory(prefix="assemble-") as scratch:
        layers = await asyncio.to_thread(_write_layers, request, Path(scratch))
        await share_layers(registry, base, request.repository)
        for layer in layers:
            await registry.put_blob(request.repository, layer.file)
    config = canonical_json(_config(base, request, layers))
    config_digest = await registry.put_blob(request.repository, config)
    described = [
        *base.layers,
        *(descriptor(OCI_LAYER, layer.digest, layer.size_bytes) for layer in layers),
    ]
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(OCI_CONFIG, config_digest, len(config)),
        "layers": described,
        "annotations": _annotations(base, request),
    }
    body = canonical_json(manifest)
    digest = await registry.put_manifest(request.repository, body)
    if request.tag:
        await registry.put_manifest(request.repository, body, request.tag)
    return BuiltImage(
        reference=str(Reference.parse(request.repository).at(digest)),
        digest=digest,
        size_bytes=sum(layer["size"] for layer in described),
        layers=tuple(layer["digest"] for layer in described),
    )


def _write_layers(request: AssembleRequest, scratch: Path) -> list[Layer]:
    files = [entry for source, target in request.files for entry in files_under(source, target)]
    if not files:
        raise PermanentFailure(
            "the image would hold no file of the service; check the plan's paths"
        )
    # Wheels first: they change rarely, so most releases push the second layer only.
    contents: dict[str, list[Entry]] = {}
    if request.wheels:
        contents["wheels"] = list(unpack_wheels(request.wheels, request.architecture))
    contents["files"] = files
    return [
        write_layer(entries, scratch / name, request.created) for name, entries in contents.items()
    ]


def _config(base: BaseImage, request: AssembleRequest, layers: list[Layer]) -> dict[str, Any]:
    """The image's configuration (OCI image-spec, config.md), grown from the base's."""
    created = image_time(request.created)
    inherited = base.config.get("config") or {}
    history = {"created": created, "created_by": BUILDER}
    return {
        "created": created,
        "architecture": request.architecture,
        "os": OPERATING_SYSTEM,
        "config": {
            "Env": _environment(inherited.get("Env") or [], request.environment),
            "Entrypoint": list(request.entrypoint),
            "WorkingDir": f"/{APPLICATION}",
            "User": USER,
            "ExposedPorts": {f"{request.port}/tcp": {}},
            "Labels": {**(inherited.get("Labels") or {}), **_labels(base, request)},
        },
        "rootfs": {
            "type": "layers",
            "diff_ids": [
                *base.config["rootfs"]["diff_ids"],
                *(layer.diff_id for layer in layers),
            ],
        },
        "history": [*(base.config.get("history") or []), *([history] * len(layers))],
    }


def _environment(inherited: list[str], own: dict[str, str]) -> list[str]:
    environment = dict(entry.partition("=")[::2] for entry in inherited)
    environment["PATH"] = f"/{SCRIPTS}:{environment.get('PATH', _DEFAULT_PATH)}"
    environment["PYTHONPATH"] = f"/{APPLICATION}:/{SITE_PACKAGES}"
    # The root file system is read-only to the user, and logs must not wait in a buffer.
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", **own}
    return [f"{name}={value}" for name, value in sorted(environment.items())]


def _labels(base: BaseImage, request: AssembleRequest) -> dict[str, str]:
    return {**request.labels, **_annotations(base, request)}


def _annotations(base: BaseImage, request: AssembleRequest) -> dict[str, str]:
    # Not the base's name: the same image in another registry is the same image.
    return {
        "org.opencontainers.image.created": image_time(request.created),
        "org.opencontainers.image.base.digest": str(base.reference.digest),
    }
