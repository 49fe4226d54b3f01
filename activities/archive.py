"""Bundles and records in the registry: written once, found by digest, verified when read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from clients.artifacts import Artifact, ArtifactLayer
from clients.registry import Registry
from domain.bundle import (
    BUNDLE_TYPE,
    MANIFESTS_TYPE,
    RECORD_TYPE,
    Bundle,
    BundleReference,
    Manifest,
    RecordReference,
)
from domain.environments import Environment
from domain.errors import PermanentFailure
from domain.records import canonical_json

Model = TypeVar("Model", bound=BaseModel)


class Archive:
    """Keeps what must outlive Temporal's retention."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def store_bundle(
        self, repository: str, bundle: Bundle, manifests: dict[Environment, list[Manifest]]
    ) -> BundleReference:
        """Push a bundle; the same content is the same bundle."""
        layers = tuple(
            ArtifactLayer(
                MANIFESTS_TYPE,
                canonical_json(manifests[environment]),
                {"tidegate.dev/environment": environment.value},
            )
            for environment in sorted(manifests)
        )
        artifact = Artifact(
            artifact_type=BUNDLE_TYPE,
            layers=layers,
            config=canonical_json(bundle),
            config_media_type=BUNDLE_TYPE,
        )
        digest = await self._registry.push_artifact(repository, artifact)
        return BundleReference(repository=repository, digest=digest)

    async def load_bundle(self, reference: BundleReference) -> Bundle:
        """Read a bundle; PermanentFailure when the digest is that of something else."""
        manifest, _, _ = await self._registry.get_manifest(reference.repository, reference.digest)
        if manifest.get("artifactType") != BUNDLE_TYPE:
            raise PermanentFailure(f"{reference} is {manifest.get('artifactType')}, not a bundle")
        content = await self._registry.get_blob(reference.repository, manifest["config"]["digest"])
        return _parsed(Bundle, content, str(reference))

    async def load_manifests(
        self, reference: BundleReference, environment: Environment
    ) -> list[Manifest]:
        """The rendered objects of a bundle for one environment."""
        bundle = await self.load_bundle(reference)
        if environment not in bundle.manifests:
            raise PermanentFailure(f"{reference} has no manifests for {environment}")
        content = await self._registry.get_blob(reference.repository, bundle.manifests[environment])
        manifests: list[Manifest] = json.loads(content)
        return manifests

    async def store_record(
        self,
        subject: BundleReference,
        kind: str,
        content: BaseModel | bytes,
        sentence: str,
        attachments: Sequence[ArtifactLayer] = (),
    ) -> RecordReference:
        """Attach a record to a bundle as an OCI referrer; its digest is that of the content."""
        media_type = RECORD_TYPE.format(kind=kind)
        body = content if isinstance(content, bytes) else canonical_json(content)
        first = ArtifactLayer(media_type, body)
        await self._registry.push_artifact(
            subject.repository,
            Artifact(
                artifact_type=media_type,
                layers=(first, *attachments),
                subject=subject.digest,
                annotations={"org.opencontainers.image.title": kind},
            ),
        )
        return RecordReference(kind=kind, digest=first.descriptor["digest"], sentence=sentence)

    async def load_record(
        self, subject: BundleReference, record: RecordReference, model: type[Model]
    ) -> Model:
        """Read a record by the digest of its content."""
        content = await self._registry.get_blob(subject.repository, record.digest)
        return _parsed(model, content, f"{record.kind} {record.digest}")

    async def records_of(
        self, subject: BundleReference, kind: str, model: type[Model]
    ) -> list[Model]:
        """Every record of one kind that is attached to a bundle; one request and two for each."""
        media_type = RECORD_TYPE.format(kind=kind)
        found = []
        for entry in await self._registry.referrers(subject.repository, subject.digest, media_type):
            digest = str(entry["digest"])
            manifest, _, _ = await self._registry.get_manifest(subject.repository, digest)
            layer = str(manifest["layers"][0]["digest"])
            content = await self._registry.get_blob(subject.repository, layer)
            found.append(_parsed(model, content, f"{kind} {layer}"))
        return found


def _parsed(model: type[Model], content: bytes, what: str) -> Model:
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise PermanentFailure(
            f"{what} is not a {model.__name__} of this version of Tidegate: {error}"
        ) from error
