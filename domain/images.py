"""Images by name: references, digests, the OCI media types, and what a builder hands back.

Grammar of references: github.com/distribution/reference; media types: OCI image-spec 1.1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self

from domain.errors import PermanentFailure
from domain.records import Record

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"

_LABEL = r"[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_TAG = r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}"
_DIGEST = r"sha256:[0-9a-f]{64}"
_REFERENCE = re.compile(
    rf"(?P<host>{_HOST})/(?P<path>{_COMPONENT}(?:/{_COMPONENT})*)"
    rf"(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?"
)
_LONGEST_NAME = 255


class InvalidReference(PermanentFailure, ValueError):  # noqa: N818 - as its parent
    """The text does not name an image of a registry."""


def is_digest(text: str) -> bool:
    """Whether the text is a content address (`sha256:` and 64 lower-case hex digits)."""
    return re.fullmatch(_DIGEST, text) is not None


@dataclass(frozen=True)
class Reference:
    """An image's full name: `host[:port]/path[:tag][@sha256:...]`."""

    host: str
    path: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a reference; raises InvalidReference saying what to write instead.

        The registry is never guessed: a name without one (`album`, `library/album`) is refused.
        """
        match = _REFERENCE.fullmatch(text)
        if match is None:
            raise InvalidReference(_why_invalid(text))
        reference = cls(**match.groupdict())
        if not _names_a_registry(reference.host):
            raise InvalidReference(_why_invalid(text))
        if len(reference.repository) > _LONGEST_NAME:
            raise InvalidReference(f"image {text!r} is longer than {_LONGEST_NAME} characters")
        return reference

    @property
    def repository(self) -> str:
        """The name without tag and digest: `host[:port]/path`."""
        return f"{self.host}/{self.path}"

    @property
    def version(self) -> str:
        """What selects one image of the repository: the digest, else the tag, else `latest`."""
        return self.digest or self.tag or "latest"

    def at(self, digest: str) -> Self:
        """The same repository by content address, without a tag."""
        if not is_digest(digest):
            raise InvalidReference(f"{digest!r} is not a digest; it looks like sha256:<64 hex>")
        return replace(self, tag=None, digest=digest)

    def tagged(self, tag: str) -> Self:
        """The same repository by tag; raises InvalidReference for a tag no registry accepts."""
        return type(self).parse(f"{self.repository}:{tag}")

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"


def _names_a_registry(host: str) -> bool:
    return host == "localhost" or any(mark in host for mark in ".:[") or host != host.lower()


def _why_invalid(text: str) -> str:
    name = text.partition("@")[0]
    first, slash, _ = name.partition("/")
    if "@" in text and not is_digest(text.rpartition("@")[2]):
        problem = "what follows @ is not a digest (sha256: and 64 lower-case hex digits)"
    elif not slash or not _names_a_registry(first):
        problem = "it does not say which registry holds it"
    elif name != name.lower() and re.fullmatch(_REFERENCE, name.lower()):
        problem = "a repository's name is lower-case"
    else:
        problem = "it is not of that form"
    return (
        f"image {text!r} cannot be used: {problem}; write host[:port]/repository[:tag]"
        "[@sha256:...], for example registry.example.com/isa/album:v1"
    )


class BuiltImage(Record):
    """What a builder hands back: an image that is in the registry, by content address."""

    reference: str
    digest: str
    size_bytes: int
    layers: tuple[str, ...]


def descriptor(media_type: str, digest: str, size: int) -> dict[str, Any]:
    """Name content the way manifests do (OCI image-spec, descriptor.md); `size` in bytes."""
    return {"mediaType": media_type, "digest": digest, "size": size}


def image_labels(commit: str, source: str, created: datetime) -> dict[str, str]:
    """The labels that lead from an image back to its commit (OCI image-spec, annotations.md)."""
    return {
        "org.opencontainers.image.revision": commit,
        "org.opencontainers.image.source": source,
        "org.opencontainers.image.created": image_time(created),
    }


def image_time(moment: datetime) -> str:
    """RFC 3339 in UTC, whole seconds: the same text on every machine."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
