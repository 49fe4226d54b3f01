"""Images as a runtime sees them: layers unpacked into a root, the entrypoint run in it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clients.registry import Registry
from domain.images import Reference


async def read_config(registry: Registry, image: str) -> dict[str, Any]:
    """The image's configuration."""
    reference = Reference.parse(image)
    manifest, _, _ = await registry.get_manifest(reference.repository, reference.version)
    body = await registry.get_blob(reference.repository, manifest["config"]["digest"])
    config: dict[str, Any] = json.loads(body)
    return config


async def unpack(registry: Registry, image: str, root: Path) -> list[tarfile.TarInfo]:
    """Unpack every layer into `root`, in order; returns the entries of all."""
    reference = Reference.parse(image)
    manifest, _, _ = await registry.get_manifest(reference.repository, reference.version)
    entries: list[tarfile.TarInfo] = []
    for layer in manifest["layers"]:
        content = await registry.get_blob(reference.repository, layer["digest"])
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            entries += archive.getmembers()
            archive.extractall(root, filter="tar")
    return entries


@contextmanager
def running(root: Path, config: dict[str, Any], port: int, **environment: str) -> Iterator[None]:
    """Run the image's entrypoint in its working directory by this Python, until the end."""
    settings = config["config"]
    image = dict(entry.partition("=")[::2] for entry in settings["Env"])
    python_path = ":".join(f"{root}{part}" for part in image["PYTHONPATH"].split(":"))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    process = subprocess.Popen(
        [sys.executable if part.startswith("python") else part for part in settings["Entrypoint"]],
        cwd=f"{root}{settings['WorkingDir']}",
        env={**image, "PATH": path, "PYTHONPATH": python_path, "PORT": str(port), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield
    finally:
        process.terminate()
        process.communicate(timeout=30)


def answer_of(url: str, seconds: float = 30) -> tuple[int, bytes]:
    """Status and body of a GET, asked until the server listens."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - loopback
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
