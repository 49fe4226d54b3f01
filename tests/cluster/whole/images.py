"""Images that every bed has in its registry: `pause`, and the base of the Python services.

Both are made of what is in the cache, kept there, and pushed to each new registry by our client.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import platform
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from clients.layers import Entry, Layer, write_layer
from clients.registry import Registry
from domain.errors import PermanentFailure
from domain.images import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, descriptor
from domain.records import canonical_json, digest_of
from tests.cluster import cache
from tests.cluster.programs import program
from tests.cluster.whole import debian

PAUSE = "sys/pause"
PYTHON = "base/python"
_MADE = datetime(2026, 1, 1, tzinfo=UTC)
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_FORM = "1"
_UNNEEDED = ("doc", "man", "locale", "info", "lintian", "bug")
_ACCOUNTS = {
    "passwd": "root:x:0:0:root:/:/bin/sh\nnonroot:x:65532:65532:nonroot:/:/bin/sh\n",
    "group": "root:x:0:\nnonroot:x:65532:\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
_COMPILE = ("-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "/usr/lib")


@dataclass(frozen=True)
class Image:
    """An image of one layer in a folder of the cache."""

    folder: Path

    async def push(self, registry: Registry, repository: str, tag: str) -> str:
        """Store it; returns its digest."""
        for blob in (self.folder / "layer.tar.gz", self.folder / "config.json"):
            await registry.put_blob(repository, blob)
        manifest = (self.folder / "manifest.json").read_bytes()
        return await registry.put_manifest(repository, manifest, tag)


def pause(report: cache.Report = cache.silent) -> Image:
    """The image of every pod's first container."""
    built = program("pause", report)

    def make(half: Path) -> None:
        layer = write_layer([Entry("pause", built, True)], half / "layer.tar.gz", _MADE)
        _describe(half, layer, {"Entrypoint": ["/pause"]})

    return Image(_made(built.parent.name, make, report))


def python_base(report: cache.Report = cache.silent) -> Image:
    """Python of this machine's distribution, with pip and a shell; wheels for it must be pure."""
    packages = debian.unpacked(debian.PYTHON, report)

    def make(half: Path) -> None:
        report("base image of the Python services: making it")
        root = half / "root"
        shutil.copytree(packages, root, symlinks=True)
        _complete(root)
        layer = _pack(root, half / "layer.tar.gz")
        shutil.rmtree(root)
        _describe(half, layer, {"Cmd": ["python3"], "Env": ["PATH=/usr/bin:/bin", "LANG=C.UTF-8"]})

    return Image(_made(debian.PYTHON.key, make, report))


def _complete(root: Path) -> None:
    """What installing would have done: accounts, compiled modules, no documents."""
    for name in _UNNEEDED:
        shutil.rmtree(root / "usr" / "share" / name, ignore_errors=True)
    for name, content in _ACCOUNTS.items():
        (root / "etc" / name).write_text(content)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    # Without this each start compiles the standard library, which takes a limited pod seconds.
    command = ("chroot", str(root), "/usr/bin/python3", *_COMPILE)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not (root / "usr/lib/python3").is_dir() or "Traceback" in done.stderr:
        raise PermanentFailure(
            f"Python of {debian.PYTHON.place} does not run: {done.stderr.strip()[-500:]}; run as "
            "root, and remove that folder to unpack it again"
        )


def _pack(root: Path, file: Path) -> Layer:
    """All of a file tree as a layer, owned by root, every time the same."""
    with (
        gzip.GzipFile(file, "wb", compresslevel=4, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root).as_posix()
            archive.add(path, name, recursive=False, filter=_normalised)
    with gzip.open(file) as plain:
        diff = hashlib.file_digest(plain, "sha256").hexdigest()
    digest = digest_of(file.read_bytes())
    return Layer(file, digest, f"sha256:{diff}", file.stat().st_size)


def _normalised(header: tarfile.TarInfo) -> tarfile.TarInfo:
    header.uid = header.gid = 0
    header.uname = header.gname = ""
    header.mtime = int(_MADE.timestamp())
    return header


def _describe(folder: Path, layer: Layer, settings: dict[str, list[str]]) -> None:
    config = canonical_json(
        {
            "created": _MADE.isoformat(),
            "architecture": architecture(),
            "os": "linux",
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
        }
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(OCI_CONFIG, digest_of(config), len(config)),
        "layers": [descriptor(OCI_LAYER, layer.digest, layer.size_bytes)],
    }
    (folder / "config.json").write_bytes(config)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def architecture() -> str:
    """This machine's, as images call it."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def _made(key: str, make: Callable[[Path], None], report: cache.Report) -> Path:
    return cache.made_once(cache.folder() / "images" / f"{key}-{_FORM}", make, report)
