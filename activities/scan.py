"""The vulnerability gate: reads the report that CI handed in or attached to the image."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity

from activities.archive import Archive
from activities.failures import NotYet
from clients.registry import Registry
from domain.errors import NotFound, PermanentFailure
from domain.images import Reference
from domain.scan import ScanSummary, objection, summarise, target_of
from domain.steps import ScanOutcome, ScanRequest

# Neither scanner has a registered type; these are the ones that CI jobs attach their JSON with.
# A generic application/json may be anything.
REPORT_TYPES = (
    "application/vnd.tidegate.scan-report.v1+json",
    "application/vnd.anchore.grype+json",
    "application/vnd.anchore.grype.report.v1+json",
    "application/vnd.aquasec.trivy.report+json",
    "application/vnd.aquasec.trivy.report.v1+json",
)
CREATED = ("org.opencontainers.image.created", "org.opencontainers.artifact.created")
LONG_AGO = datetime.min.replace(tzinfo=UTC)
LOOK_AGAIN = timedelta(seconds=30)


class Scan:
    """Needs only the registry."""

    def __init__(self, registry: Registry, archive: Archive) -> None:
        self._registry = registry
        self._archive = archive

    @activity.defn
    async def judge_report(self, request: ScanRequest) -> ScanOutcome:
        """Find the report that is about this image; without one, be asked again, then give up.

        A report about anything else is no evidence and is named in the answer. Raises
        PermanentFailure for one that was handed in and cannot be read.
        """
        refused: list[str] = []
        summary = await self._handed_in(request, refused) or await self._attached(request, refused)
        if summary is None:
            waited = datetime.now(UTC) - activity.info().scheduled_time
            # Who handed in a wrong report hears of it at once, and once.
            is_news = set(refused) - set(request.known_refused)
            if waited >= request.give_up_after or is_news:
                return ScanOutcome(summary=None, record=None, refused=tuple(refused))
            raise NotYet(f"no scan report for {request.image} yet", LOOK_AGAIN)
        record = await self._archive.store_record(request.bundle, "scan", summary, summary.sentence)
        return ScanOutcome(summary=summary, record=record)

    async def _handed_in(self, request: ScanRequest, refused: list[str]) -> ScanSummary | None:
        if request.report is None:
            return None
        place = Reference.parse(request.image)
        report = await self._read(place.repository, request.report)
        target = target_of(report, request.report)
        directory = None
        if request.built_from_commit:
            # The folder of what is released, not of what the request says.
            directory = (await self._archive.load_bundle(request.bundle)).plan.path
        if why := objection(target, place.digest, directory):
            refused.append(f"scan report {request.report} {why}")
            return None
        summary = summarise(report, request.report, request.block)
        if target.kind == "directory":
            return summary.with_(handed_in_by=request.handed_in_by)
        return summary.with_(target_digest=place.digest)

    async def _attached(self, request: ScanRequest, refused: list[str]) -> ScanSummary | None:
        """The newest of the image's own reports; what cannot be read is passed over by name."""
        place = Reference.parse(request.image)
        assert place.digest is not None  # noqa: S101 - an image is released by digest
        found: list[tuple[datetime, ScanSummary]] = []
        for entry in await self._registry.referrers(place.repository, place.digest):
            if entry.get("artifactType") not in REPORT_TYPES:
                continue
            try:
                digest, report = await self._layer_of(place.repository, entry["digest"])
                if why := objection(target_of(report, digest), place.digest, None):
                    refused.append(f"scan report {digest} {why}")
                    continue
                found.append((_created(entry), summarise(report, digest, request.block)))
            except PermanentFailure as error:
                refused.append(str(error))
        if not found:
            return None
        # Of reports that do not say when they were made, the one that blocks most.
        _, newest = max(found, key=lambda one: (one[0], len(one[1].blocking), one[1].report))
        return newest.with_(target_digest=place.digest)

    async def _layer_of(self, repository: str, digest: str) -> tuple[str, dict[str, Any]]:
        manifest, _, _ = await self._registry.get_manifest(repository, digest)
        layers = manifest.get("layers") or []
        if len(layers) != 1:
            raise PermanentFailure(
                f"scan report {digest} has {len(layers)} layers; attach one JSON report"
            )
        layer = layers[0]["digest"]
        return layer, await self._read(repository, layer)

    async def _read(self, repository: str, digest: str) -> dict[str, Any]:
        try:
            content = await self._registry.get_blob(repository, digest)
            report = json.loads(content)
        except NotFound as error:
            raise PermanentFailure(f"scan report {digest} is not in {repository}") from error
        except ValueError as error:
            raise PermanentFailure(f"scan report {digest} is not JSON: {error}") from error
        if not isinstance(report, dict):
            raise PermanentFailure(f"scan report {digest} is not a JSON object")
        return report


def _created(entry: dict[str, Any]) -> datetime:
    """When a referrer says it was made; one that does not say is older than any that does."""
    said = entry.get("annotations") or {}
    for name in CREATED:
        try:
            made = datetime.fromisoformat(said[name])
        except (KeyError, TypeError, ValueError):
            continue
        return made if made.tzinfo else made.replace(tzinfo=UTC)
    return LONG_AGO
