"""Vulnerability reports in the shapes that grype and trivy write."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import PermanentFailure
from domain.records import digest_of
from domain.scan import SEVERITIES, ScanTarget, objection, summarise, target_of

DIGEST = digest_of("report")
IMAGE = "registry.example/album@sha256:" + "a" * 64


def grype(*severities: str, target: Any = None) -> dict[str, Any]:
    """As `grype -o json` 0.8x writes it, reduced to the keys around those that count."""
    return {
        "matches": [
            {
                "vulnerability": {"id": f"CVE-2026-{n}", "severity": s, "fix": {"state": "fixed"}},
                "artifact": {"name": "openssl", "version": "3.0.1", "type": "deb"},
            }
            for n, s in enumerate(severities)
        ],
        "source": {
            "type": "image",
            "target": {
                "userInput": IMAGE,
                "imageID": "sha256:" + "1" * 64,
                "manifestDigest": "sha256:" + "b" * 64,
                "repoDigests": [IMAGE],
            }
            if target is None
            else target,
        },
        "distro": {"name": "debian", "version": "12"},
        "descriptor": {"name": "grype", "version": "0.87.0"},
    }


def trivy(*severities: str) -> dict[str, Any]:
    """As `trivy image --format json` writes it, reduced likewise."""
    return {
        "SchemaVersion": 2,
        "ArtifactName": IMAGE,
        "ArtifactType": "container_image",
        "Metadata": {"ImageID": "sha256:" + "1" * 64, "RepoDigests": [IMAGE]},
        "Results": [
            {"Target": "app (debian 12)", "Class": "os-pkgs", "Type": "debian"},
            {
                "Target": "requirements.txt",
                "Class": "lang-pkgs",
                "Vulnerabilities": [
                    {"VulnerabilityID": f"CVE-2026-{n}", "Severity": s, "PkgName": "requests"}
                    for n, s in enumerate(severities)
                ],
            },
        ],
    }


@pytest.mark.parametrize(
    ("scanner", "report"),
    [
        ("grype", grype("Critical", "High", "Negligible")),
        ("trivy", trivy("CRITICAL", "HIGH", "UNKNOWN")),
    ],
)
def test_either_report_is_counted_and_its_criticals_block(
    scanner: str, report: dict[str, Any]
) -> None:
    summary = summarise(report, DIGEST, "critical")
    assert summary.scanner == scanner
    assert (summary.target, summary.target_digest) == (IMAGE, "sha256:" + "a" * 64)
    assert summary.counts["critical"] == summary.counts["high"] == 1
    assert summary.blocking == ("CVE-2026-0",)
    assert summary.report == DIGEST


@pytest.mark.parametrize("report", [grype("Critical", "High"), trivy("CRITICAL", "HIGH")])
def test_a_stricter_plan_blocks_highs_too(report: dict[str, Any]) -> None:
    assert summarise(report, DIGEST, "high").blocking == ("CVE-2026-0", "CVE-2026-1")


@pytest.mark.parametrize("report", [grype(), trivy(), {"SchemaVersion": 2, "ArtifactName": IMAGE}])
def test_a_clean_report_blocks_nothing(report: dict[str, Any]) -> None:
    summary = summarise(report, DIGEST, "high")
    assert summary.blocking == ()
    assert summary.sentence == f"{summary.scanner} found nothing in {IMAGE}"


@given(st.lists(st.sampled_from([*SEVERITIES, "Defcon-1"])))
def test_no_finding_is_dropped_whatever_its_severity_is_called(severities: list[str]) -> None:
    for report in (grype(*severities), trivy(*(s.upper() for s in severities))):
        counts = summarise(report, DIGEST, "critical").counts
        assert sum(counts.values()) == len(severities)
        assert set(counts) <= set(SEVERITIES)


def test_a_report_of_a_folder_or_without_repository_digest_names_what_it_can() -> None:
    folder = summarise(grype(target="/src"), DIGEST, "critical")
    assert (folder.target, folder.target_digest) == ("/src", None)
    local = grype(target={"userInput": "album:dev", "manifestDigest": "sha256:" + "b" * 64})
    assert summarise(local, DIGEST, "critical").target_digest == "sha256:" + "b" * 64


@pytest.mark.parametrize("report", [{}, {"matches": "none"}, {"runs": []}, {"Results": None}])
def test_what_is_neither_is_no_evidence(report: dict[str, Any]) -> None:
    with pytest.raises(PermanentFailure, match=rf"{DIGEST} is neither grype's nor trivy's JSON"):
        summarise(report, DIGEST, "critical")


def test_the_sentence_names_five_blocking_findings_and_says_that_there_are_more() -> None:
    told = summarise(grype(*["Critical"] * 7), DIGEST, "critical").sentence
    assert told.startswith(f"grype found 7 critical in {IMAGE}; blocked by CVE-2026-0, CVE-2026-1")
    assert told.endswith("CVE-2026-4 and more")


def test_the_same_finding_in_two_packages_blocks_once() -> None:
    report = grype("Critical", "Critical")
    for match in report["matches"]:
        match["vulnerability"]["id"] = "CVE-2026-9"
    summary = summarise(report, DIGEST, "critical")
    assert (summary.counts, summary.blocking) == ({"critical": 2}, ("CVE-2026-9",))


OURS, OTHERS = "sha256:" + "a" * 64, "sha256:" + "b" * 64
FOLDER = ScanTarget("directory", "/builds/7/microservices/album")


@pytest.mark.parametrize(
    ("target", "image", "directory", "why"),
    [
        (ScanTarget("image", IMAGE, (OTHERS, OURS)), OURS, None, None),
        (ScanTarget("image", IMAGE, (OTHERS,)), OURS, None, f"is about {OTHERS}, the image is"),
        (ScanTarget("image", IMAGE, (OTHERS,)), OURS, ".", f"is about {OTHERS}, the image is"),
        (ScanTarget("image", IMAGE), OURS, None, "names no image by its digest"),
        (ScanTarget("unknown", "album.sbom"), OURS, "album", "names no image by its digest"),
        (ScanTarget("image", IMAGE), None, "album", "names no image by its digest"),
        # Which image it will be is not known before it is built; it is asked again then.
        (ScanTarget("image", IMAGE, (OTHERS,)), None, "album", None),
        (FOLDER, OURS, "microservices/album", None),
        (FOLDER, OURS, "./microservices/album/", None),
        (FOLDER, None, "microservices/album", None),
        (FOLDER, OURS, None, "names no image by its digest"),
        (FOLDER, OURS, "microservices/user", "not about microservices/user"),
        (FOLDER, OURS, "services/album", "not about services/album"),
        (FOLDER, OURS, "a/b/c/d/e/f/microservices/album", "not about a/b/c/d/e/f/"),
        (FOLDER, OURS, ".", "not about ."),
        (ScanTarget("directory", "."), OURS, ".", None),
        (ScanTarget("directory", "dir:microservices/album"), OURS, "microservices/album", None),
    ],
)
def test_a_report_counts_only_for_what_it_names(
    target: ScanTarget, image: str | None, directory: str | None, why: str | None
) -> None:
    said = objection(target, image, directory)
    assert (said is None) if why is None else (why in (said or "nothing"))


def test_every_digest_of_a_report_names_its_image() -> None:
    image = {"manifestDigest": OURS, "repoDigests": [f"isa/album@{OTHERS}"]}
    assert target_of(grype(target=image), DIGEST).digests == (OTHERS, OURS)
    assert target_of(trivy(), DIGEST) == ScanTarget("image", IMAGE, (OURS,))


@pytest.mark.parametrize(
    "report",
    [
        {"matches": [{}]},
        {"matches": [None]},
        {"matches": [], "source": ["odd"]},
        {"Results": [{"Vulnerabilities": [{}]}]},
        {"Results": ["text"]},
        {"Results": [], "Metadata": "none"},
    ],
)
def test_a_report_of_another_shape_is_refused_by_name(report: dict[str, Any]) -> None:
    with pytest.raises(PermanentFailure, match=rf"{DIGEST} is neither grype's nor trivy's JSON"):
        summarise(report, DIGEST, "critical")
