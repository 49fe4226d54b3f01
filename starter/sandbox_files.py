"""What `sandbox up` writes: connection files, a demo policy with keys; each only where it lies."""

from __future__ import annotations

import asyncio
import json
import tomllib
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from clients import processes
from domain.errors import PermanentFailure
from domain.policy import Role
from domain.quantities import format_duration

PEOPLE = ("alice", "bob")
GIT_TIMEOUT = timedelta(seconds=20)
HTTP_TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class Layout:
    """Where everything of one sandbox lies."""

    root: Path

    @property
    def connection(self) -> Path:
        """For people, and for the control and cluster roles."""
        return self.root / "tidegate.toml"

    @property
    def build(self) -> Path:
        """What the build role may see: no cluster."""
        return self.root / "build"

    @property
    def summary(self) -> Path:
        """Where the platform says that it is ready, and its addresses."""
        return self.root / "sandbox.json"

    @property
    def keys(self) -> Path:
        """Private keys of the demo policy's people."""
        return self.root / "keys"

    def prepare(self) -> None:
        """Make the directories; PermanentFailure when that is not possible."""
        try:
            for folder in (self.root / "logs", self.build / "home", self.keys):
                folder.mkdir(parents=True, exist_ok=True)
            # A state directory inside a work tree must not make it dirty.
            (self.root / ".gitignore").write_text("*\n")
        except OSError as error:
            raise PermanentFailure(
                f"cannot use --state {self.root}: {error.strerror}; choose another directory"
            ) from error


async def write_connections(
    layout: Layout, temporal: Mapping[str, str], policy: Mapping[str, str], wheelhouse: Path | None
) -> dict[str, Any]:
    """Write both connection files around what the platform wrote; returns its addresses."""
    urls: dict[str, Any] = json.loads(layout.summary.read_text())["urls"]
    sections = tomllib.loads(layout.connection.read_text())
    registry = urls["registry"].removeprefix("http://")
    shared = {
        "temporal": temporal,
        "policy": policy,
        "registry": {"default": registry, **sections["registry"]},
    }
    state = await asyncio.to_thread(_ask, f"{urls['control']}/sandbox/state")
    for name, place in sections["environments"].items():
        seconds = state["environments"][name]["scrape_seconds"]
        place["scrape"] = format_duration(timedelta(seconds=seconds))
    build = {"cache": str(layout.build / "cache")}
    if wheelhouse is not None:
        build["wheelhouse"] = str(wheelhouse.resolve())
    layout.connection.write_text(toml({**sections, **shared}))
    (layout.build / "tidegate.toml").write_text(toml({**shared, "build": build}))
    return urls


async def demo_policy(
    layout: Layout, names: Sequence[str] = PEOPLE, floors: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """A policy repository with people whose keys lie beside it; made once."""
    repository = layout.root / "policy"
    if not (repository / ".git").exists():
        repository.mkdir(exist_ok=True)
        people = [_person(layout, name) for name in names]
        policy = {"version": 1, "rehearsal": True, "floors": dict(floors or {}), "people": people}
        (repository / "policy.yaml").write_text(yaml.safe_dump(policy, sort_keys=False))
        await _git(repository, "init", "--quiet", "--initial-branch=main")
        await _git(repository, "add", "policy.yaml")
        author = ("-c", "user.name=tidegate", "-c", "user.email=tidegate@example.com")
        await _git(repository, *author, "commit", "--quiet", "--message=Demo policy")
    return {"repository": str(repository), "ref": "main", "path": "policy.yaml"}


def toml(data: Mapping[str, Any], above: str = "") -> str:
    """Write TOML tables of texts, numbers and lists of texts."""
    return "\n".join(_toml_lines(data, above)) + "\n"


def _toml_lines(data: Mapping[str, Any], above: str) -> Iterator[str]:
    for key, value in data.items():
        if not isinstance(value, Mapping):
            # A TOML basic string, number and list have the form of JSON's.
            yield f"{key} = {json.dumps(value)}"
    for key, value in data.items():
        if isinstance(value, Mapping):
            name = f"{above}{key}"
            if any(not isinstance(one, Mapping) for one in value.values()):
                yield f"\n[{name}]"
            yield from _toml_lines(value, f"{name}.")


def _ask(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=HTTP_TIMEOUT_SECONDS) as answer:  # noqa: S310 - ours
        found: dict[str, Any] = json.load(answer)
    return found


def _person(layout: Layout, name: str) -> dict[str, Any]:
    key = Ed25519PrivateKey.generate()
    file = layout.keys / name
    file.touch(mode=0o600)
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    file.with_suffix(".pub").write_text(f"{public} {name}\n")
    return {
        "principal": name,
        "emails": [f"{name}@example.com"],
        "keys": [public],
        "roles": [role.value for role in Role],
    }


async def _git(repository: Path, *arguments: str) -> None:
    done = await processes.run(["git", "-C", str(repository), *arguments], timeout=GIT_TIMEOUT)
    if done.exit_code != 0:
        raise PermanentFailure(f"cannot make the demo policy {repository}: {done.complaint}")
