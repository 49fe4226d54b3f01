"""From a commit to a bundle; runs where there are no cluster credentials."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from temporalio import activity

from activities.archive import Archive
from activities.beat import heartbeats
from activities.places import Places
from activities.test_reports import no_tests, summarise_tests
from clients import kustomize, processes
from clients.artifacts import Artifact, ArtifactLayer
from clients.policy_source import PolicySource
from clients.registry import Registry
from domain.bundle import Bundle, BundleReference, RecordReference, config_hash
from domain.checks import UnitTestReport
from domain.commands import Change
from domain.environments import RELEASE_ENVIRONMENTS
from domain.errors import PermanentFailure
from domain.images import Reference
from domain.policy import violations
from domain.records import Record, canonical_json, digest_of
from domain.release import ReleaseRequest
from domain.revision import select
from domain.steps import BuildRequest, BuiltImage, BundleRequest, StoredBundle, UnitTestOutcome

TESTS_TYPE = "application/vnd.tidegate.unit-tests.v1+json"
TESTS_TIMEOUT = timedelta(minutes=45)
KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZ", "SSL_CERT_FILE")


class KeptTests(Record):
    """What a run of the unit tests said, and the digests of its JUnit and coverage files."""

    report: UnitTestReport
    files: dict[str, str]


class ImageBuilder(Protocol):
    """The port of the builders: `dockerfile` and `assemble`."""

    async def build(self, checkout: Path, request: ReleaseRequest, repository: str) -> str:
        """Build and push; returns `repository@sha256:...`."""


class Build:
    """The build role: git, the service's tests, builders, the registry."""

    def __init__(
        self,
        registry: Registry,
        archive: Archive,
        policy: PolicySource,
        builders: Mapping[str, ImageBuilder],
        places: Places,
    ) -> None:
        self._registry = registry
        self._archive = archive
        self._policy = policy
        self._builders = builders
        self._places = places

    @activity.defn
    async def run_unit_tests(self, request: BuildRequest) -> UnitTestOutcome:
        """Run the service's own tests on a clean checkout; keep JUnit and coverage."""
        plan = request.release.plan
        repository = self._places.repository_of(plan)
        if plan.tests.unit is None:
            report = no_tests(plan.tests.coverage)
            record = await self._keep_tests(repository, report, {}, report.sentence)
            return UnitTestOutcome(passed=report.passed, record=record)
        async with self._checkout(request.release) as checkout:
            reports = checkout / ".tidegate"
            reports.mkdir()
            command = plan.tests.unit
            for name in ("junit", "coverage"):
                command = command.replace(f"{{{name}}}", str(reports / f"{name}.xml"))
            async with heartbeats(f"running {command}"):
                finished = await processes.run(
                    shlex.split(command),
                    timeout=TESTS_TIMEOUT,
                    directory=checkout,
                    environment=_test_environment(
                        self._places.environment, home=checkout.parent / "home"
                    ),
                )
            files = {path.name: path.read_bytes() for path in sorted(reports.glob("*.xml"))}
        report = summarise_tests(files, plan.tests.coverage, finished)
        record = await self._keep_tests(repository, report, files, report.sentence)
        return UnitTestOutcome(passed=report.passed, record=record)

    @activity.defn
    async def build_image(self, request: BuildRequest) -> BuiltImage:
        """Build and push the image, or look up the one that somebody else built."""
        release, plan = request.release, request.release.plan
        if release.image is not None:
            reference = Reference.parse(release.image)
            digest = await self._registry.resolve(reference)
            return BuiltImage(
                image=f"{reference.repository}@{digest}", sentence=f"image {digest[:19]} as given"
            )
        builder = self._builders[plan.build.builder]
        async with self._checkout(release) as checkout, heartbeats("building the image"):
            image = await builder.build(checkout, release, self._places.repository_of(plan))
        return BuiltImage(
            image=image, sentence=f"image {image.partition('@')[2][:19]} by {plan.build.builder}"
        )

    @activity.defn
    async def store_bundle(self, request: BundleRequest) -> StoredBundle:
        """Render every environment, store the bundle, attach what was kept before it existed."""
        release = request.build.release
        policy, _ = await self._policy.fetch()
        loose = [f"{'.'.join(v.where)} {v.what}" for v in violations(release.plan, policy)]
        if loose:
            raise PermanentFailure(f"{release.service}'s plan is looser than the policy: {loose}")
        source = self._places.source(release.source)
        async with self._checkout(release) as checkout:
            rendered = {
                environment: select(
                    await kustomize.render(
                        checkout / release.plan.manifests_of(environment), self._places.environment
                    ),
                    release.service,
                )
                for environment in RELEASE_ENVIRONMENTS
            }
        bundle = Bundle(
            service=release.service,
            commit=release.commit,
            committed_at=await source.commit_time(release.commit),
            image=request.image,
            plan=release.plan,
            plan_hash=release.plan.digest,
            config_hash=config_hash(rendered),
            manifests={name: digest_of(objects) for name, objects in rendered.items()},
        )
        repository = Reference.parse(request.image).repository
        stored = await self._archive.store_bundle(repository, bundle, rendered)
        for record in request.records:
            await self._attach(stored, self._places.repository_of(release.plan), record)
        change = Change(
            commit=release.commit,
            base=request.build.base,
            authors=await source.authors_between(request.build.base, release.commit),
            started_by=release.started_by,
        )
        return StoredBundle(bundle=stored, change=change, sentence=f"bundle {stored.short}")

    @asynccontextmanager
    async def _checkout(self, release: ReleaseRequest) -> AsyncIterator[Path]:
        with tempfile.TemporaryDirectory(prefix="tidegate-build-") as scratch:
            checkout = Path(scratch) / "source"
            async with heartbeats(f"checking out {release.commit[:10]}"):
                await self._places.source(release.source).checkout(release.commit, checkout)
            yield checkout

    async def _attach(
        self, bundle: BundleReference, repository: str, record: RecordReference
    ) -> None:
        """Make a record, with its report files, a referrer of the bundle: it lives as long."""
        content = await self._registry.get_blob(repository, record.digest)
        files = KeptTests.model_validate_json(content).files
        reports = [
            _report_file(name, await self._registry.get_blob(repository, digest))
            for name, digest in files.items()
        ]
        await self._archive.store_record(bundle, record.kind, content, record.sentence, reports)

    async def _keep_tests(
        self,
        repository: str,
        report: UnitTestReport,
        files: dict[str, bytes],
        sentence: str,
    ) -> RecordReference:
        """Store the reports before there is a bundle to attach them to."""
        layers = tuple(_report_file(name, content) for name, content in files.items())
        kept = KeptTests(
            report=report,
            files={name: digest_of(content) for name, content in files.items()},
        )
        first = ArtifactLayer(TESTS_TYPE, canonical_json(kept))
        await self._registry.push_artifact(
            repository, Artifact(artifact_type=TESTS_TYPE, layers=(first, *layers))
        )
        return RecordReference(
            kind="unit-tests", digest=first.descriptor["digest"], sentence=sentence
        )


def _report_file(name: str, content: bytes) -> ArtifactLayer:
    return ArtifactLayer("application/xml", content, {"org.opencontainers.image.title": name})


def _test_environment(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """What the service's tests are shown: nothing of the worker's tokens, kubeconfig or home."""
    home.mkdir()
    kept = processes.child_environment(environment, lambda name: name in KEPT_VARIABLES)
    interpreter = str(Path(sys.executable).parent)
    path = os.pathsep.join((interpreter, kept.get("PATH", os.defpath)))
    return {**kept, "PATH": path, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
