"""A stand-in release at the approval gate, with real evidence in a real registry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from activities.archive import Archive
from clients.artifacts import Artifact, ArtifactLayer
from clients.registry import Registry
from domain.bundle import BundleReference
from domain.evidence import Evidence
from domain.phases import Phase
from domain.release import RollbackRehearsal
from domain.soak import SoakProgress, SoakRecord
from tests.support.release_records import change, plan, record
from tests.support.stand_in_release import Release

EXPIRES_AT = datetime.now(UTC) + timedelta(hours=24)


async def freeze(registry: Registry, release: Release, repository: str) -> None:
    """Keep what a person would sign, and open the gate."""
    subject = Artifact("application/x", (ArtifactLayer("application/x", b"bundle"),))
    bundle = BundleReference(
        repository=repository, digest=await registry.push_artifact(repository, subject)
    )
    evidence = Evidence(
        release_id=release.id,
        service="album",
        bundle=bundle,
        image=f"{repository}@sha256:{'1' * 64}",
        plan_hash=f"sha256:{'2' * 64}",
        policy_version=f"sha256:{'3' * 64}",
        change=change(),
        stable=None,
        config_diff=("ConfigMap album: LOG_LEVEL info -> debug",),
        records=(record("unit-tests", "19 unit tests passed"), record("scan", "nothing found")),
        soak=SoakRecord(plan=plan().soak, progress=SoakProgress(goal=timedelta(seconds=24))),
        rehearsal=RollbackRehearsal(tried=True, seconds=0.4, sentence="rehearsed in 0.4 s"),
        opened_at=EXPIRES_AT - timedelta(hours=24),
        expires_at=EXPIRES_AT,
    )
    kept = await Archive(registry).store_record(bundle, "evidence", evidence, "evidence")
    await release.becomes(
        phase=Phase.APPROVAL, bundle=bundle, evidence=kept, evidence_expires_at=EXPIRES_AT
    )
