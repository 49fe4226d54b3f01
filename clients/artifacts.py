"""The shapes of artifacts and of their referrers, as the OCI specifications 1.1 write them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from domain.errors import PermanentFailure
from domain.images import OCI_EMPTY, OCI_INDEX, OCI_MANIFEST, descriptor
from domain.records import canonical_json, digest_of

EMPTY = b"{}"


@dataclass(frozen=True)
class ArtifactLayer:
    """One piece of an artifact's content."""

    media_type: str
    content: bytes
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def descriptor(self) -> dict[str, Any]:
        entry = descriptor(self.media_type, digest_of(self.content), len(self.content))
        return {**entry, "annotations": dict(self.annotations)} if self.annotations else entry


@dataclass(frozen=True)
class Artifact:
    """Content that is no image, stored like one; `subject` is the digest of what it is about."""

    artifact_type: str
    layers: tuple[ArtifactLayer, ...]
    config: bytes = EMPTY
    config_media_type: str = OCI_EMPTY
    subject: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def contents(self) -> tuple[bytes, ...]:
        """Every blob that the manifest names, each once."""
        return tuple(dict.fromkeys((self.config, *(layer.content for layer in self._layers))))

    def manifest(self, subject: Mapping[str, Any] | None) -> bytes:
        """The exact bytes to store (image-spec, manifest.md); `subject` is its descriptor."""
        manifest: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": self.artifact_type,
            "config": ArtifactLayer(self.config_media_type, self.config).descriptor,
            "layers": [layer.descriptor for layer in self._layers],
        }
        if subject:
            manifest["subject"] = subject
        if self.annotations:
            manifest["annotations"] = dict(self.annotations)
        return canonical_json(manifest)

    @property
    def _layers(self) -> tuple[ArtifactLayer, ...]:
        # A manifest must have a layer: the specification's empty one stands for none.
        return self.layers or (ArtifactLayer(OCI_EMPTY, EMPTY),)


def referrer_entry(body: bytes) -> dict[str, Any]:
    """Descriptor of a manifest as a list of referrers shows it (distribution-spec)."""
    manifest = json.loads(body)
    entry = descriptor(str(manifest.get("mediaType", OCI_MANIFEST)), digest_of(body), len(body))
    kind = manifest.get("artifactType") or manifest.get("config", {}).get("mediaType")
    if kind:
        entry["artifactType"] = kind
    if manifest.get("annotations"):
        entry["annotations"] = manifest["annotations"]
    return entry


def referrers_index(entries: list[dict[str, Any]]) -> bytes:
    """The index that is kept under the fallback tag; the same entries give the same bytes."""
    manifests = sorted(entries, key=lambda entry: str(entry["digest"]))
    return canonical_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})


def entries_of_index(body: bytes, subject: str) -> list[dict[str, Any]]:
    """Read the descriptors of an index; PermanentFailure when it is none."""
    try:
        manifests = json.loads(body)["manifests"] or []
        return [dict(entry) for entry in manifests]
    except (ValueError, KeyError, TypeError) as error:
        raise PermanentFailure(f"{subject}: the answer is not an OCI index") from error


def fallback_tag(digest: str) -> str:
    """The tag that lists referrers where there is no API for it (distribution-spec)."""
    return digest.replace(":", "-", 1)
