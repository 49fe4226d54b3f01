"""Manifests that come inside Go modules: the Gateway API's CRDs, and how KWOK plays nodes and pods.

They are copied into the cache once, as JSON: a cluster starts without Go and without the seconds
that parsing them as YAML takes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import cache, go_toolchain
from tests.cluster.go_modules import MODULES, required_version

GATEWAY_API = ("gateway-api", "sigs.k8s.io/gateway-api", "config/crd/standard")
KWOK = ("kwok", "sigs.k8s.io/kwok", "kustomize/stage")
_GO = "1.26"


def fetch() -> None:
    """Make both present; raises as `programs.program` does when Go is missing or fails."""
    for source in (GATEWAY_API, KWOK):
        _copied(*source)


def fetched() -> bool:
    """Whether a cluster can start without asking Go."""
    return all(_place(module, path).exists() for module, path, _ in (GATEWAY_API, KWOK))


def gateway_api() -> list[dict[str, Any]]:
    """The CustomResourceDefinitions of the Gateway API's standard channel."""
    return _documents(_copied(*GATEWAY_API), "CustomResourceDefinition")


def kwok_stages(names: Sequence[str]) -> list[dict[str, Any]]:
    """Stages of KWOK's own, by folder: `node/fast`, `pod/general`, `pod/chaos`, ..."""
    folder = _copied(*KWOK)
    return [stage for name in names for stage in _documents(folder / name, "Stage")]


def _documents(folder: Path, kind: str) -> list[dict[str, Any]]:
    found = [document for file in sorted(folder.glob("*.json")) for document in _read(file)]
    return [document for document in found if document["kind"] == kind]


def _read(file: Path) -> list[dict[str, Any]]:
    return list(json.loads(file.read_text()))


def _copied(module: str, path: str, inside: str) -> Path:
    def copy(half: Path) -> None:
        go = go_toolchain.toolchain(_GO, module)
        answer = go_toolchain.output(go, ("mod", "download", "-json", path), MODULES / module)
        source = Path(json.loads(answer)["Dir"]) / inside
        for file in source.rglob("*.yaml"):
            target = (half / file.relative_to(source)).with_suffix(".json")
            target.parent.mkdir(parents=True, exist_ok=True)
            documents = list(yaml.safe_load_all(file.read_text()))
            target.write_text(json.dumps(documents, default=str))

    return cache.made_once(_place(module, path), copy)


def _place(module: str, path: str) -> Path:
    return cache.folder() / "manifests" / f"{module}-{required_version(module, path)}"
