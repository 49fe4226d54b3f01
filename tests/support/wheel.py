"""Wheels for tests, written by hand so that every detail of the format can be right or wrong."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

_WHEEL = "Wheel-Version: {version}\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n"


def write_wheel(
    folder: Path,
    name: str,
    files: dict[str, bytes],
    *,
    tag: str = "py3-none-any",
    entry_points: str = "",
    wheel_version: str = "1.0",
    spoilt: dict[str, bytes] | None = None,
) -> Path:
    """Write `name`-1.0-`tag`.whl; `spoilt` is content that differs from what RECORD says."""
    information = f"{name}-1.0.dist-info"
    content = {
        **files,
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{information}/WHEEL": _WHEEL.format(version=wheel_version, tag=tag).encode(),
    }
    if entry_points:
        content[f"{information}/entry_points.txt"] = entry_points.encode()
    record = "".join(f"{path},{_hash(data)},{len(data)}\n" for path, data in content.items())
    content[f"{information}/RECORD"] = f"{record}{information}/RECORD,,\n".encode()
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-1.0-{tag}.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in (content | (spoilt or {})).items():
            archive.writestr(path, data)
    return wheel


def _hash(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
    return f"sha256={digest}"
