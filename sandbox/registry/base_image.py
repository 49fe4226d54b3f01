"""The image every sandbox registry starts with: a root file system without any program."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

from sandbox.registry.content import Content, Manifest
from sandbox.registry.manifests import IMAGE
from sandbox.registry.names import digest_of

NAME = "sandbox/python-base"
TAG = "3"
CONFIG = "application/vnd.oci.image.config.v1+json"
# Not compressed: gzip's output depends on the zlib at hand, and the digest must not.
LAYER = "application/vnd.oci.image.layer.v1.tar"
LONG_AGO = "1970-01-01T00:00:00Z"
OS_RELEASE = b'ID=tidegate-sandbox\nNAME="Tidegate sandbox"\nPRETTY_NAME="Tidegate sandbox base"\n'
DIRECTORIES = {"app": 0o755, "etc": 0o755, "tmp": 0o1777}


def seed(content: Content) -> str:
    """Put the base image into `content` and return its manifest's digest, always the same one."""
    layer = _layer()
    config = json.dumps(_config(layer), sort_keys=True, separators=(",", ":")).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": _add(content, CONFIG, config),
        "layers": [_add(content, LAYER, layer)],
    }
    body = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    digest = digest_of(body)
    content.add_manifest(NAME, Manifest(digest, IMAGE, body))
    content.tag(NAME, TAG, digest)
    return digest


def _add(content: Content, media_type: str, body: bytes) -> dict[str, Any]:
    digest = digest_of(body)
    source = content.uploads / f"seed-{digest[-12:]}"
    source.write_bytes(body)
    content.add_blob(NAME, digest, source)
    return {"mediaType": media_type, "digest": digest, "size": len(body)}


def _layer() -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, mode in DIRECTORIES.items():
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, mode
            archive.addfile(folder)
        release = tarfile.TarInfo("etc/os-release")
        release.size, release.mode = len(OS_RELEASE), 0o644
        archive.addfile(release, io.BytesIO(OS_RELEASE))
    return written.getvalue()


def _config(layer: bytes) -> dict[str, Any]:
    return {
        "created": LONG_AGO,
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "WorkingDir": "/app",
            "Labels": {
                "org.opencontainers.image.title": NAME,
                "org.opencontainers.image.description": "base of the sandbox, without a program",
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]},
        "history": [{"created": LONG_AGO, "created_by": "tidegate sandbox"}],
    }
