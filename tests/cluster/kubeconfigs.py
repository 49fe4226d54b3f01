"""Kubeconfigs: who somebody is at which cluster, in a file that needs no other file."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.certificates import KeyPair


@dataclass(frozen=True)
class Identity:
    """A user at one cluster; `context` is also the namespace that requests go to by default."""

    context: str
    user: str
    server: str
    authority: Path
    pair: KeyPair


def write(file: Path, identities: Sequence[Identity]) -> Path:
    """A kubeconfig with a context for each; the first one's is the current one."""
    entries = [_entry(one) for one in identities]
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [cluster for cluster, _, _ in entries],
        "users": [user for _, user, _ in entries],
        "contexts": [context for _, _, context in entries],
        "current-context": identities[0].context,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        yaml.safe_dump(content, opened, sort_keys=False)
    return file


def _entry(one: Identity) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    authority = {"server": one.server, "certificate-authority-data": _encoded(one.authority)}
    credentials = {
        "client-certificate-data": _encoded(one.pair.certificate),
        "client-key-data": _encoded(one.pair.key),
    }
    user = f"{one.user}@{one.context}"
    place = {"cluster": one.context, "user": user, "namespace": one.context}
    return (
        {"name": one.context, "cluster": authority},
        {"name": user, "user": credentials},
        {"name": one.context, "context": place},
    )


def _encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
