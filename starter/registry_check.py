"""What a release asks of the registry before it starts: its image, and a place for its report."""

from __future__ import annotations

from activities.places import qualified
from clients.artifacts import Artifact, ArtifactLayer
from clients.registry import Registry
from domain.errors import NotFound
from domain.images import Reference
from domain.records import digest_of
from domain.release import ReleaseRequest
from settings import Settings
from starter.registries import registry_of
from starter.scan_report import ScanReport

# One of those that `activities.scan` looks for on an image.
SCAN_REPORT_TYPE = "application/vnd.tidegate.scan-report.v1+json"


async def with_registry(
    request: ReleaseRequest, report: ScanReport | None, settings: Settings
) -> ReleaseRequest:
    """The request with its report handed in; NotFound when its image does not exist."""
    image = Reference.parse(request.image) if request.image else None
    async with registry_of(settings) as registry:
        if image is not None:
            await _find(registry, image)
        if report is None:
            return request
        # Without an image there is nothing yet that the report could refer to.
        artifact = Artifact(
            artifact_type=SCAN_REPORT_TYPE,
            layers=(ArtifactLayer(SCAN_REPORT_TYPE, report.content),),
            subject=image.digest if image else None,
        )
        own = qualified(request.plan.image, settings.registry.default)
        await registry.push_artifact(image.repository if image else own, artifact)
    return request.with_(scan_report=digest_of(report.content))


async def _find(registry: Registry, image: Reference) -> None:
    try:
        await registry.resolve(image)
    except NotFound as error:
        raise NotFound(
            f"image {image} does not exist; push it first, or correct --image"
        ) from error
