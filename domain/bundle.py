"""The bundle: the immutable, content-addressed thing that is released."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from domain.environments import Environment
from domain.plan import ServicePlan
from domain.records import Record, digest_of

BUNDLE_TYPE = "application/vnd.tidegate.bundle.v1+json"
MANIFESTS_TYPE = "application/vnd.tidegate.manifests.v1+json"
RECORD_TYPE = "application/vnd.tidegate.{kind}.v1+json"
DIGEST = r"^sha256:[0-9a-f]{64}$"


class BundleReference(Record):
    """Where a bundle lies: `<host>/<repository>@sha256:...`."""

    repository: str
    digest: str = Field(pattern=DIGEST)

    @property
    def short(self) -> str:
        """The ten hex digits that suffix the revision's objects."""
        return self.digest.removeprefix("sha256:")[:10]

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"

    @classmethod
    def parse(cls, text: str) -> BundleReference:
        """Read what `str()` wrote; raises ValueError when it is no digest reference."""
        repository, _, digest = text.partition("@")
        return cls(repository=repository, digest=digest)


class Bundle(Record):
    """What is released: stored as the config of an OCI artifact, its digest names the release."""

    service: str
    commit: str = Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")
    committed_at: datetime
    image: str = Field(pattern=r"@sha256:[0-9a-f]{64}$")
    plan: ServicePlan
    plan_hash: str = Field(pattern=DIGEST)
    config_hash: str = Field(pattern=DIGEST)
    manifests: dict[Environment, str] = Field(description="digest of the rendered objects")


class RecordReference(Record):
    """A record kept in the registry as a referrer of the bundle; history holds only this."""

    kind: str
    digest: str = Field(pattern=DIGEST)
    sentence: str


Manifest = dict[str, Any]


def config_hash(manifests: dict[Environment, list[Manifest]]) -> str:
    """Digest of every ConfigMap's data in every environment: what "the config changed" means."""
    return digest_of(
        {
            environment: {
                item["metadata"]["name"]: [item.get("data", {}), item.get("binaryData", {})]
                for item in objects
                if item.get("kind") == "ConfigMap"
            }
            for environment, objects in manifests.items()
        }
    )
