"""An organisation: clusters, registry, policy, people with keys, and our activities.

The activities are those of `worker.py`, run as Temporal runs them; what they did is read from the
clusters themselves. `platform_world.py` is one in the sandbox, `real_world.py` one on real API
servers.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from temporalio.client import Client

import settings as connection
import worker
from activities.archive import Archive
from clients import kustomize
from clients.plan_file import plan_of
from clients.registry import Registry
from domain.bundle import Bundle, BundleReference, config_hash
from domain.commands import AcceptedCommand, Change, CommandName, Statement
from domain.environments import RELEASE_ENVIRONMENTS, Environment
from domain.evidence import Proof
from domain.images import OCI_CONFIG, OCI_MANIFEST, descriptor
from domain.plan import Factor, Rehearsal, ServicePlan
from domain.records import canonical_json, digest_of
from domain.release import ReleaseRequest, RollbackRehearsal
from domain.revision import Manifest, select
from domain.soak import SoakProgress, SoakRecord
from domain.steps import (
    FreezeEvidence,
    FrozenEvidence,
    RevisionRequest,
)
from domain.traffic import StableRevision
from tests.support.organisation import People, PolicyRepository
from tests.support.outside import Edit
from tests.support.sandbox import eventually
from tests.support.site import SERVICE, Activities, Site, named_activities

SPEED = 100.0
CLOCK = Factor(planned=timedelta(seconds=SPEED), real=timedelta(seconds=1))
STAGING, PRODUCTION = Environment.STAGING, Environment.PRODUCTION
AUTHOR = "dana@isa.example"
Rendered = Mapping[str, Mapping[Environment, Sequence[Manifest]]]


def render(checkouts: Mapping[str, Path]) -> Rendered:
    """The example's manifests by version and environment, rendered by kustomize."""

    async def all_of_them() -> Rendered:
        return {
            version: {
                environment: await kustomize.render(
                    checkout / f"deployment/k8s/overlays/{environment}"
                )
                for environment in RELEASE_ENVIRONMENTS
            }
            for version, checkout in checkouts.items()
        }

    return asyncio.run(all_of_them())


def example_plan(checkout: Path, **changes: Any) -> ServicePlan:
    """The example's plan of `album` at the pace of the sandbox."""
    plan = plan_of((checkout / "tidegate.yaml").read_bytes(), "tidegate.yaml", SERVICE, None)
    return plan.with_(rehearsal=Rehearsal(soak=CLOCK, canary=CLOCK), **changes)


@dataclass
class World(ABC):
    """Everything there is, wherever it runs."""

    settings: connection.Settings
    registry: Registry
    people: People
    policy: PolicyRepository
    rendered: Rendered
    plan: ServicePlan
    staging: Site
    production: Site

    @cached_property
    def archive(self) -> Archive:
        """Bundles and evidence."""
        return Archive(self.registry)

    @cached_property
    def control(self) -> Activities:
        """What needs no cluster's credentials."""
        nobody = cast(Client, None)  # only the lanes speak to Temporal
        return named_activities(worker._control(self.settings, nobody, self.registry))

    @cached_property
    def build(self) -> Activities:
        """What the build role does."""
        return named_activities(worker._build(self.settings, self.registry))

    async def image(self, name: str) -> str:
        """Push a small image and return it by digest."""
        repository = f"{self.settings.registry.default}/isa/{SERVICE}"
        config = canonical_json({"architecture": "amd64", "os": "linux", "name": name})
        await self.registry.put_blob(repository, config)
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor(OCI_CONFIG, digest_of(config), len(config)),
            "layers": [],
        }
        digest = await self.registry.put_manifest(repository, canonical_json(manifest))
        return f"{repository}@{digest}"

    async def bundle(
        self,
        version: str = "v1",
        *,
        edit: Edit | None = None,
        image: str | None = None,
        **changes: Any,
    ) -> BundleReference:
        """Store the bundle of a version of the example; `edit` changes each rendered object."""
        manifests = {
            environment: deepcopy(select(objects, SERVICE))
            for environment, objects in self.rendered[version].items()
        }
        for one in (one for objects in manifests.values() for one in objects):
            if edit is not None:
                edit(one)
        plan = self.plan.with_(**changes)
        bundle = Bundle(
            service=SERVICE,
            commit=digest_of(version.encode()).removeprefix("sha256:")[:40],
            committed_at=datetime(2026, 1, 1, tzinfo=UTC),
            image=image or await self.image(version),
            plan=plan,
            plan_hash=plan.digest,
            config_hash=config_hash(manifests),
            manifests={name: digest_of(objects) for name, objects in manifests.items()},
        )
        repository = bundle.image.partition("@")[0]
        return await self.archive.store_bundle(repository, bundle, manifests)

    async def target(
        self,
        site: Site,
        bundle: BundleReference,
        stable: StableRevision | None = None,
        *,
        release: str = "release-album-1",
    ) -> RevisionRequest:
        """A revision request, with a good approval where production asks for one."""
        request = RevisionRequest(
            release_id=release,
            environment=site.environment,
            service=SERVICE,
            bundle=bundle,
            stable=stable,
        )
        return await self.approved(request) if site.environment is PRODUCTION else request

    async def serving(self, site: Site, version: str = "v1") -> StableRevision:
        """A first release of a version that serves everybody; its writes are not counted."""
        target = await self.target(site, await self.bundle(version), release="release-album-0")
        stable = await site.serve(target)
        site.writes()
        return stable

    async def freeze(self, target: RevisionRequest) -> FrozenEvidence:
        """Freeze the evidence of a change by dana, started by her."""
        bundle = await self.archive.load_bundle(target.bundle)
        request = FreezeEvidence(
            target=target,
            image=bundle.image,
            change=change_of(bundle.commit),
            records=(),
            soak=SoakRecord(plan=bundle.plan.soak, progress=SoakProgress(goal=timedelta(hours=24))),
            rehearsal=RollbackRehearsal(tried=True, seconds=0.1, sentence="rehearsed"),
            expires_in=bundle.plan.approval.expires,
        )
        return cast(FrozenEvidence, await self.control.do("freeze_evidence", request))

    async def approved(
        self, target: RevisionRequest, by: Collection[str] = ("ben",)
    ) -> RevisionRequest:
        """The request with evidence frozen now and signed by these people."""
        frozen = await self.freeze(target)
        approvals = tuple(self.approval(frozen, target.release_id, name) for name in by)
        return target.with_(proof=Proof(evidence=frozen.record, approvals=approvals))

    def approval(self, frozen: FrozenEvidence, release: str, name: str) -> AcceptedCommand:
        """A person's signed approval of this evidence."""
        statement = Statement(
            command=CommandName.APPROVE,
            release=release,
            evidence=frozen.record.digest,
            expires_at=frozen.expires_at,
        )
        return AcceptedCommand(
            command=self.people.sign(statement, name),
            principal=name,
            verified=True,
            at=datetime.now(UTC),
        )

    def release_request(self, source: Path, commit: str, **changes: Any) -> ReleaseRequest:
        """What a person asks for."""
        request = ReleaseRequest(
            release_id="release-album-1",
            service=SERVICE,
            source=str(source),
            commit=commit,
            started_by=AUTHOR,
            plan=self.plan,
        )
        return request.with_(**changes)

    async def grow(self, site: Site, revision: str, pods: int) -> None:
        """The day's load comes and the autoscaler follows it."""
        site.edit("Deployment", revision, lambda one: one["spec"].update(replicas=pods))
        await eventually(lambda: site.ready(revision) == pods, f"{revision} has {pods} pods")

    async def idle(self, site: Site, revision: str) -> None:
        """Somebody scales a revision to zero by hand."""
        site.edit("Deployment", revision, lambda one: one["spec"].update(replicas=0))
        await eventually(lambda: site.ready(revision) == 0, f"{revision} has no pods")

    def lose_policy(self) -> None:
        """The policy's repository is out of reach."""
        path = self.policy.worktree.path
        path.rename(path.with_name("moved-away"))

    @abstractmethod
    async def crash(self, site: Site, revision: str) -> None:
        """Every pod that a revision has crashes again and again."""

    @abstractmethod
    async def lose_metrics(self) -> None:
        """Prometheus answers no more, of either environment."""

    @abstractmethod
    async def lose_registry(self) -> None:
        """The registry answers no more."""


def change_of(commit: str) -> Change:
    """Dana's work, started by dana."""
    return Change(commit=commit, base=None, authors=(AUTHOR,), started_by=AUTHOR)
