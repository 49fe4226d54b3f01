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
from domain.scan import summarise
from domain.steps import ScanOutcome, ScanRequest

REPORT_TYPES = (
    "application/vnd.tidegate.scan-report.v1+json",
    "application/vnd.anchore.grype.report.v1+json",
    "application/vnd.aquasec.trivy.report+json",
    "application/json",
)
LOOK_AGAIN = timedelta(seconds=30)


class Scan:
    """Needs only the registry."""

    def __init__(self, registry: Registry, archive: Archive) -> None:
        self._registry = registry
        self._archive = archive

    @activity.defn
    async def judge_report(self, request: ScanRequest) -> ScanOutcome:
        """Find the report and summarise it; without one, be asked again, then give up.

        Raises PermanentFailure for a report that is about another image or cannot be read.
        """
        found = await self._find(request)
        if found is None:
            waited = datetime.now(UTC) - activity.info().scheduled_time
            if waited >= request.give_up_after:
                return ScanOutcome(summary=None, record=None)
            raise NotYet(f"no scan report for {request.image} yet", LOOK_AGAIN)
        digest, report = found
        summary = summarise(report, digest, request.block)
        image_digest = request.image.partition("@")[2]
        if summary.target_digest not in (None, image_digest):
            raise PermanentFailure(
                f"scan report {digest} is about {summary.target_digest}, the image is "
                f"{image_digest}; scan the image that is released"
            )
        record = await self._archive.store_record(request.bundle, "scan", summary, summary.sentence)
        return ScanOutcome(summary=summary, record=record)

    async def _find(self, request: ScanRequest) -> tuple[str, dict[str, Any]] | None:
        repository = Reference.parse(request.image).repository
        if request.report is not None:
            return request.report, await self._read(repository, request.report)
        image_digest = request.image.partition("@")[2]
        for entry in await self._registry.referrers(repository, image_digest):
            if entry.get("artifactType") in REPORT_TYPES:
                return await self._layer_of(repository, entry["digest"])
        return None

    async def _layer_of(self, repository: str, digest: str) -> tuple[str, dict[str, Any]]:
        manifest, _, _ = await self._registry.get_manifest(repository, digest)
        layer = manifest["layers"][0]["digest"]
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
