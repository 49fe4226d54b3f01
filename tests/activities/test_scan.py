from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from activities.failures import NotYet
from clients.artifacts import Artifact, ArtifactLayer
from domain.bundle import BundleReference
from domain.errors import PermanentFailure
from domain.scan import ScanSummary
from domain.steps import ScanOutcome, ScanRequest
from tests.support.world import World

HOUR = timedelta(hours=1)
GRYPE, TRIVY = (
    "application/vnd.anchore.grype.report.v1+json",
    "application/vnd.aquasec.trivy.report+json",
)


def grype(digest: str, *findings: tuple[str, str]) -> dict[str, Any]:
    """What `grype -o json` writes."""
    target = {"userInput": "isa/album", "repoDigests": [f"isa/album@{digest}"]}
    matches = [{"vulnerability": {"id": name, "severity": level}} for name, level in findings]
    return {"matches": matches, "source": {"type": "image", "target": target}}


def trivy(digest: str, *findings: tuple[str, str]) -> dict[str, Any]:
    """What `trivy image --format json` writes."""
    found = [{"VulnerabilityID": name, "Severity": level} for name, level in findings]
    return {
        "SchemaVersion": 2,
        "ArtifactName": "isa/album",
        "Metadata": {"RepoDigests": [f"isa/album@{digest}"]},
        "Results": [{"Target": "debian", "Vulnerabilities": found}, {"Target": "python"}],
    }


def grype_folder(path: str, *findings: tuple[str, str]) -> dict[str, Any]:
    """What `grype dir:... -o json` writes."""
    return {**grype("", *findings), "source": {"type": "directory", "target": path}}


def trivy_folder(path: str, *findings: tuple[str, str]) -> dict[str, Any]:
    """What `trivy fs --format json` writes."""
    changes = {"ArtifactName": path, "ArtifactType": "filesystem", "Metadata": {}}
    return {**trivy("", *findings), **changes}


class Scanned:
    """A stored bundle whose image may be scanned."""

    def __init__(self, world: World, bundle: BundleReference, image: str) -> None:
        self.world = world
        self.bundle = bundle
        self.image = image
        self.repository, _, self.digest = image.partition("@")

    async def hand_in(self, report: object) -> str:
        """CI stores the report and names its digest."""
        body = report if isinstance(report, bytes) else json.dumps(report).encode()
        return await self.world.registry.put_blob(self.repository, body)

    async def attach(self, report: object, kind: str, created: str | None = None) -> None:
        """A scanner attaches the report to the image."""
        layer = ArtifactLayer(kind, json.dumps(report).encode())
        artifact = Artifact(
            artifact_type=kind,
            layers=(layer,),
            subject=self.digest,
            annotations={"org.opencontainers.image.created": created} if created else {},
        )
        await self.world.registry.push_artifact(self.repository, artifact)

    async def judged(
        self, report: str | None = None, *, waited: timedelta | None = None, **changes: Any
    ) -> ScanOutcome:
        request = ScanRequest.model_validate(
            {
                "bundle": self.bundle,
                "image": self.image,
                "report": report,
                "block": "critical",
                "give_up_after": timedelta(hours=1),
                **changes,
            }
        )
        scheduled = datetime.now(UTC) - (waited or timedelta(0))
        answer = await self.world.control.do("judge_report", request, scheduled=scheduled)
        return cast(ScanOutcome, answer)


@pytest.fixture
async def scanned(world: World) -> Scanned:
    bundle = await world.bundle("v1")
    return Scanned(world, bundle, await world.image("v1"))


@pytest.mark.parametrize("scanner", [grype, trivy])
async def test_a_report_handed_in_is_read_and_kept_with_the_bundle(
    scanned: Scanned, scanner: Any
) -> None:
    report = scanner(scanned.digest, ("CVE-1", "HIGH"), ("CVE-2", "Low"), ("CVE-3", "weird"))
    handed = await scanned.hand_in(report)
    outcome = await scanned.judged(handed)
    assert outcome.summary is not None
    assert outcome.summary.counts == {"high": 1, "low": 1, "unknown": 1}
    assert (outcome.summary.blocking, outcome.summary.report) == ((), handed)
    assert outcome.record is not None
    archive = scanned.world.archive
    assert await archive.load_record(scanned.bundle, outcome.record, ScanSummary) == outcome.summary
    found = await scanned.world.registry.referrers(
        scanned.bundle.repository, scanned.bundle.digest, "application/vnd.tidegate.scan.v1+json"
    )
    assert len(found) == 1


@pytest.mark.parametrize(("scanner", "kind"), [(grype, GRYPE), (trivy, TRIVY)])
async def test_a_report_attached_to_the_image_is_found(
    scanned: Scanned, scanner: Any, kind: str
) -> None:
    await scanned.attach(scanner(scanned.digest), kind)
    outcome = await scanned.judged()
    assert outcome.summary is not None
    assert outcome.summary.sentence.endswith("found nothing in isa/album")


async def test_other_things_attached_to_the_image_are_no_report(scanned: Scanned) -> None:
    await scanned.attach({"sbom": True}, "application/spdx+json")
    with pytest.raises(NotYet):
        await scanned.judged()


@pytest.mark.parametrize("scanner", [grype, trivy])
@pytest.mark.parametrize(
    ("block", "blocking"), [("critical", ("CVE-9",)), ("high", ("CVE-5", "CVE-9"))]
)
async def test_what_the_plan_blocks_is_named(
    scanned: Scanned, scanner: Any, block: str, blocking: tuple[str, ...]
) -> None:
    findings = (("CVE-9", "Critical"), ("CVE-5", "High"), ("CVE-5", "High"), ("CVE-1", "Medium"))
    report = await scanned.hand_in(scanner(scanned.digest, *findings))
    outcome = await scanned.judged(report, block=block)
    assert outcome.summary is not None
    assert outcome.summary.blocking == blocking
    assert f"blocked by {', '.join(blocking)}" in outcome.summary.sentence


async def test_without_a_report_it_is_asked_again_and_given_up_in_the_end(
    scanned: Scanned,
) -> None:
    with pytest.raises(NotYet, match="no scan report for") as later:
        await scanned.judged(waited=timedelta(minutes=59))
    assert later.value.delay == timedelta(seconds=30)
    assert await scanned.judged(waited=timedelta(hours=1)) == ScanOutcome(summary=None, record=None)


async def test_a_report_that_comes_late_is_found_when_it_is_asked_again(scanned: Scanned) -> None:
    with pytest.raises(NotYet):
        await scanned.judged()
    await scanned.attach(grype(scanned.digest), GRYPE)
    assert (await scanned.judged(waited=timedelta(hours=2))).summary is not None


@pytest.mark.parametrize("scanner", [grype, trivy])
async def test_a_report_about_another_image_is_refused(scanned: Scanned, scanner: Any) -> None:
    other = "sha256:" + "a" * 64
    handed = await scanned.hand_in(scanner(other))
    await scanned.attach(scanner(other), GRYPE)
    refused = f"scan report {handed} is about {other}, the image is {scanned.digest}"
    for built in (True, False):
        outcome = await scanned.judged(handed, built_from_commit=built)
        assert outcome == ScanOutcome(summary=None, record=None, refused=(refused, refused))


@pytest.mark.parametrize("folder", [grype_folder, trivy_folder])
@pytest.mark.parametrize("path", ["microservices/album", "/builds/7/isa_user/microservices/album/"])
async def test_a_scan_of_the_source_directory_counts_for_a_built_commit_and_says_who_handed_it_in(
    scanned: Scanned, folder: Any, path: str
) -> None:
    handed = await scanned.hand_in(folder(path, ("CVE-1", "HIGH")))
    outcome = await scanned.judged(handed, built_from_commit=True, handed_in_by="dana@isa.example")
    assert outcome.summary is not None
    assert outcome.summary.target_digest is None
    said = "(scan of the source directory, handed in by dana@isa.example)"
    assert outcome.summary.sentence.endswith(f"found 1 high in {path} {said}")
    assert outcome.record is not None
    assert said in outcome.record.sentence


@pytest.mark.parametrize("folder", [grype_folder, trivy_folder])
@pytest.mark.parametrize("path", ["/some/other/service", "microservices/user", "album", ".", ""])
async def test_a_scan_of_another_directory_is_no_evidence(
    scanned: Scanned, folder: Any, path: str
) -> None:
    handed = await scanned.hand_in(folder(path))
    outcome = await scanned.judged(handed, built_from_commit=True)
    assert outcome.summary is None
    (refused,) = outcome.refused
    assert refused.startswith(f"scan report {handed} is about ")


@pytest.mark.parametrize("folder", [grype_folder, trivy_folder])
async def test_a_scan_of_a_directory_is_no_evidence_about_an_image_that_somebody_else_built(
    scanned: Scanned, folder: Any
) -> None:
    report = folder("microservices/album")
    handed = await scanned.hand_in(report)
    await scanned.attach(report, TRIVY)
    outcome = await scanned.judged(handed)
    assert outcome.summary is None
    assert len(outcome.refused) == 2
    assert all(one.endswith("names no image by its digest") for one in outcome.refused)


async def test_what_was_refused_is_told_once_and_a_better_report_is_waited_for(
    scanned: Scanned,
) -> None:
    handed = await scanned.hand_in(grype("sha256:" + "a" * 64))
    known = (await scanned.judged(handed)).refused
    with pytest.raises(NotYet):
        await scanned.judged(handed, known_refused=known)
    assert (await scanned.judged(handed, known_refused=known, waited=HOUR)).refused == known
    await scanned.attach(grype(scanned.digest), GRYPE)
    assert (await scanned.judged(handed, known_refused=known)).summary is not None


@pytest.mark.parametrize("kind", ["application/json", "application/vnd.oci.image.manifest.v1+json"])
async def test_json_of_no_scanners_type_is_no_report(scanned: Scanned, kind: str) -> None:
    await scanned.attach(grype(scanned.digest), kind)
    with pytest.raises(NotYet):
        await scanned.judged()


async def test_of_several_reports_the_newest_counts(scanned: Scanned) -> None:
    bad, good = grype(scanned.digest, ("CVE-9", "Critical")), trivy(scanned.digest)
    await scanned.attach(bad, GRYPE, "2026-03-01T10:00:00Z")
    await scanned.attach(good, TRIVY, "2026-03-01T12:00:00+01:00")
    newest = (await scanned.judged()).summary
    assert newest is not None
    assert newest.scanner == "trivy"
    await scanned.attach({**bad, "again": True}, GRYPE, "2026-03-01T11:00:01Z")
    newest = (await scanned.judged()).summary
    assert newest is not None
    assert newest.blocking == ("CVE-9",)


async def test_of_reports_without_a_time_the_one_that_blocks_counts(scanned: Scanned) -> None:
    for report in (grype(scanned.digest), grype(scanned.digest, ("CVE-9", "Critical"))):
        await scanned.attach(report, GRYPE)
    await scanned.attach(trivy(scanned.digest), TRIVY)
    summary = (await scanned.judged()).summary
    assert summary is not None
    assert summary.blocking == ("CVE-9",)


async def test_an_attached_report_that_cannot_be_read_is_named_and_passed_over(
    scanned: Scanned,
) -> None:
    odd = {**grype(scanned.digest), "matches": [{"odd": 1}]}
    await scanned.attach(odd, GRYPE, "2026-03-02T00:00:00Z")
    (refused,) = (await scanned.judged()).refused
    assert "neither grype's nor trivy's" in refused
    await scanned.attach(grype(scanned.digest), GRYPE, "2026-03-01T00:00:00Z")
    assert (await scanned.judged()).summary is not None


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"not json", "is not JSON"),
        (b"[]", "is not a JSON object"),
        (b'{"vulnerabilities": []}', "neither grype's nor trivy's"),
    ],
)
async def test_a_report_that_cannot_be_read_is_no_evidence(
    scanned: Scanned, body: bytes, why: str
) -> None:
    with pytest.raises(PermanentFailure, match=why):
        await scanned.judged(await scanned.hand_in(body))


async def test_a_report_that_is_not_there_is_refused(scanned: Scanned) -> None:
    with pytest.raises(PermanentFailure, match="is not in"):
        await scanned.judged("sha256:" + "b" * 64)
