"""What names, tags, digests and image references look like (OCI distribution spec v1.1)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from sandbox.registry.errors import RegistryError

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
NAME = re.compile(rf"{_PART}(?:/{_PART})*")
TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
DIGEST = re.compile(r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}")
LONGEST_NAME = 255
READ_BYTES = 1 << 20


def checked_name(name: str) -> str:
    """`name` when it is a repository's; else NAME_INVALID."""
    if len(name) > LONGEST_NAME or not NAME.fullmatch(name):
        raise RegistryError("NAME_INVALID", f"{name!r} is no repository name")
    return name


def checked_digest(digest: str) -> str:
    """`digest` when it is sha256 or sha512 in lower-case hex; else DIGEST_INVALID."""
    if not DIGEST.fullmatch(digest):
        raise RegistryError("DIGEST_INVALID", f"{digest!r} is no sha256 or sha512 digest")
    return digest


def checked_tag(tag: str) -> str:
    """`tag` when it may be one; else TAG_INVALID."""
    if not TAG.fullmatch(tag):
        raise RegistryError("TAG_INVALID", f"{tag!r} is no tag")
    return tag


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    """`algorithm:hex` of `content`."""
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def digest_of_file(path: Path, algorithm: str) -> str:
    """`algorithm:hex` of a file, read piece by piece."""
    state = hashlib.new(algorithm)
    with path.open("rb") as content:
        while piece := content.read(READ_BYTES):
            state.update(piece)
    return f"{algorithm}:{state.hexdigest()}"


@dataclass(frozen=True)
class ImageReference:
    """`host/name:tag@digest` taken apart; `host` is empty where none is given."""

    host: str
    name: str
    reference: str

    @classmethod
    def parse(cls, image: str) -> ImageReference:
        """Read an image as a pod template has it; a digest wins over a tag, `latest` if neither."""
        rest, _, digest = image.partition("@")
        first, slash, tail = rest.partition("/")
        has_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
        host, path = (first, tail) if has_host else ("", rest)
        name, _, tag = path.partition(":")
        return cls(host=host, name=name, reference=digest or tag or "latest")
