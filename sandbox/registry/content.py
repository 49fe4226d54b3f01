"""Where the registry keeps content: bytes once by digest, and small link files per repository.

blobs/<algorithm>/<hex>                                 the bytes
repositories/<name>/_blobs/<digest>                     the repository has this blob
repositories/<name>/_manifests/<digest>                 ... this manifest; holds its media type
repositories/<name>/_tags/<tag>                         holds the digest
repositories/<name>/_referrers/<subject>/<digest>       holds the referrer's descriptor (JSON)
uploads/<id>                                            what an upload has so far
"""

from __future__ import annotations

import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from sandbox.registry.errors import RegistryError
from sandbox.registry.names import DIGEST


@dataclass(frozen=True)
class Manifest:
    """A manifest as it was pushed."""

    digest: str
    media_type: str
    body: bytes


def _file_name(digest: str) -> str:
    return digest.replace(":", "-")


class Content:
    """The files of one registry; callers check names, tags and digests before they come here."""

    def __init__(self, directory: Path) -> None:
        self._blobs = directory / "blobs"
        self._repositories = directory / "repositories"
        self.uploads = directory / "uploads"
        shutil.rmtree(self.uploads, ignore_errors=True)
        for needed in (self._blobs / "sha256", self._blobs / "sha512", self._repositories):
            needed.mkdir(parents=True, exist_ok=True)
        self.uploads.mkdir()

    def has_repository(self, name: str) -> bool:
        """True once anything was pushed to it."""
        return (self._repositories / name / "_blobs").is_dir() or self._links(
            name, "_manifests"
        ).is_dir()

    def path(self, digest: str) -> Path:
        """Where the bytes of `digest` are, or would be."""
        algorithm, _, hexadecimal = digest.partition(":")
        return self._blobs / algorithm / hexadecimal

    def has_blob(self, name: str, digest: str) -> bool:
        """True when the repository holds this blob."""
        return (self._links(name, "_blobs") / _file_name(digest)).is_file()

    def has_anywhere(self, digest: str) -> bool:
        """True when some repository's blob has these bytes."""
        return self.path(digest).is_file()

    def link_blob(self, name: str, digest: str) -> None:
        """Make bytes that are here a blob of the repository."""
        _write(self._links(name, "_blobs") / _file_name(digest), b"")

    def add_blob(self, name: str, digest: str, source: Path) -> None:
        """Take over the file `source`, whose digest the caller has verified."""
        os.replace(source, self.path(digest))
        self.link_blob(name, digest)

    def delete_blob(self, name: str, digest: str) -> bool:
        """Forget the blob in this repository; False when it had none."""
        return _remove(self._links(name, "_blobs") / _file_name(digest))

    def manifest(self, name: str, reference: str) -> Manifest | None:
        """The manifest behind a digest or a tag, or None."""
        digest = reference if DIGEST.fullmatch(reference) else self._read_tag(name, reference)
        link = self._links(name, "_manifests") / _file_name(digest)
        if not digest or not link.is_file():
            return None
        return Manifest(digest, link.read_text(), self.path(digest).read_bytes())

    def has_manifest(self, name: str, digest: str) -> bool:
        """True when the repository holds this manifest."""
        return (self._links(name, "_manifests") / _file_name(digest)).is_file()

    def add_manifest(self, name: str, manifest: Manifest) -> None:
        """Keep a manifest whose digest the caller has verified."""
        _write(self.path(manifest.digest), manifest.body)
        link = self._links(name, "_manifests") / _file_name(manifest.digest)
        _write(link, manifest.media_type.encode())

    def delete_manifest(self, name: str, digest: str) -> bool:
        """Forget a manifest with its tags and its place among referrers; False when unknown."""
        if not _remove(self._links(name, "_manifests") / _file_name(digest)):
            return False
        for tag in self.tags(name):
            if self._read_tag(name, tag) == digest:
                self.delete_tag(name, tag)
        for link in self._links(name, "_referrers").glob(f"*/{_file_name(digest)}"):
            _remove(link)
        return True

    def tag(self, name: str, tag: str, digest: str) -> None:
        """Point a tag at a manifest."""
        _write(self._links(name, "_tags") / tag, digest.encode())

    def tags(self, name: str) -> list[str]:
        """All tags of a repository, in no order; NAME_UNKNOWN when there is no such repository."""
        if not self.has_repository(name):
            raise RegistryError("NAME_UNKNOWN", f"no repository {name}; push something to it first")
        folder = self._links(name, "_tags")
        return [entry.name for entry in folder.iterdir()] if folder.is_dir() else []

    def delete_tag(self, name: str, tag: str) -> bool:
        """Take a tag away; False when it was not there."""
        return _remove(self._links(name, "_tags") / tag)

    def add_referrer(self, name: str, subject: str, digest: str, descriptor: bytes) -> None:
        """Remember that manifest `digest` names `subject` (which need not exist yet)."""
        folder = self._links(name, "_referrers") / _file_name(subject)
        _write(folder / _file_name(digest), descriptor)

    def referrers(self, name: str, subject: str) -> list[bytes]:
        """The descriptors of the manifests that name `subject`, by digest."""
        folder = self._links(name, "_referrers") / _file_name(subject)
        return [link.read_bytes() for link in sorted(folder.iterdir())] if folder.is_dir() else []

    def _links(self, name: str, kind: str) -> Path:
        return self._repositories / name / kind

    def _read_tag(self, name: str, tag: str) -> str:
        link = self._links(name, "_tags") / tag
        return link.read_text() if link.is_file() else ""


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{uuid.uuid4().hex}")
    beside.write_bytes(content)
    os.replace(beside, path)


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True
