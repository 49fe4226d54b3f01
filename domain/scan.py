"""Vulnerability reports: what grype and trivy write, reduced to what a gate needs."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath
from typing import Any, Literal, NamedTuple

from domain.errors import PermanentFailure
from domain.records import Record

SEVERITIES = ("critical", "high", "medium", "low", "negligible", "unknown")
UNNAMED = "an unnamed target"


class ScanTarget(NamedTuple):
    """What a report says it is about; `digests` are of images, by manifest or by index."""

    kind: Literal["image", "directory", "unknown"]
    name: str
    digests: tuple[str, ...] = ()


class ScanSummary(Record):
    """Counts by severity, and the findings that block.

    `handed_in_by` is set for a scan of the source directory: nothing but that person's word binds
    it to the commit.
    """

    scanner: str
    target: str
    target_digest: str | None
    counts: dict[str, int]
    blocking: tuple[str, ...]
    report: str
    handed_in_by: str | None = None

    @property
    def sentence(self) -> str:
        """Say it to a person."""
        found = ", ".join(f"{self.counts[s]} {s}" for s in SEVERITIES if self.counts.get(s))
        told = f"{self.scanner} found {found or 'nothing'} in {self.target}"
        if self.handed_in_by is not None:
            told += f" (scan of the source directory, handed in by {self.handed_in_by})"
        if self.blocking:
            listed = ", ".join(self.blocking[:5])
            told += f"; blocked by {listed}" + (" and more" if len(self.blocking) > 5 else "")
        return told


def summarise(
    report: dict[str, Any], digest: str, block: Literal["critical", "high"]
) -> ScanSummary:
    """Read a grype JSON report (`matches`) or a trivy one (`Results`), schema version 2.

    Raises PermanentFailure when it is neither: an unknown report is no evidence.
    """
    scanner, target = _scanner(report, digest), target_of(report, digest)
    try:
        findings = _grype(report) if scanner == "grype" else _trivy(report)
    except (KeyError, TypeError, AttributeError) as error:
        raise _unreadable(digest) from error
    stopping = SEVERITIES[: SEVERITIES.index(block) + 1]
    return ScanSummary(
        scanner=scanner,
        target=target.name,
        target_digest=target.digests[0] if target.digests else None,
        counts=dict(Counter(severity for _, severity in findings)),
        blocking=tuple(sorted({name for name, severity in findings if severity in stopping})),
        report=digest,
    )


def target_of(report: dict[str, Any], digest: str) -> ScanTarget:
    """What was scanned; raises PermanentFailure like `summarise`.

    grype writes `source.type` and `source.target`, a string for a directory; trivy `ArtifactType`
    and `ArtifactName`, `filesystem` for a directory and `repository` for a checkout.
    """
    try:
        if _scanner(report, digest) == "grype":
            return _grype_target(report)
        return _trivy_target(report)
    except (TypeError, AttributeError) as error:
        raise _unreadable(digest) from error


def objection(target: ScanTarget, image_digest: str | None, directory: str | None) -> str | None:
    """Why a report about this is no evidence for a release, or None when it is.

    The image's digest always is; `directory` is the service's folder where a scan of the source
    counts as well. `image_digest` None: there is no image yet, so any image's may be its.
    """
    if image_digest is None and target.digests:
        return None
    if image_digest is not None and image_digest in target.digests:
        return None
    if target.kind == "directory" and directory is not None:
        if _ends_with(target.name, directory):
            return None
        return f"is about the directory {target.name}, not about {directory}"
    if target.digests:
        return f"is about {target.digests[0]}, the image is {image_digest}"
    named = f"the directory {target.name}" if target.kind == "directory" else target.name
    return f"is about {named} and names no image by its digest"


def _ends_with(path: str, folder: str) -> bool:
    """`/builds/7/isa_user/microservices/album` ends with `microservices/album`."""
    whole = PurePosixPath(path.removeprefix("dir:")).parts
    end = PurePosixPath(folder).parts
    return whole[len(whole) - len(end) :] == end if end else not whole


def _scanner(report: dict[str, Any], digest: str) -> Literal["grype", "trivy"]:
    if isinstance(report.get("matches"), list):
        return "grype"
    if isinstance(report.get("Results"), list) or report.get("SchemaVersion") == 2:
        return "trivy"
    raise _unreadable(digest)


def _unreadable(digest: str) -> PermanentFailure:
    return PermanentFailure(
        f"scan report {digest} is neither grype's nor trivy's JSON; "
        "write it with `grype -o json` or `trivy image --format json`"
    )


def _severity(text: object) -> str:
    name = str(text).lower()
    return name if name in SEVERITIES else "unknown"


def _grype(report: dict[str, Any]) -> list[tuple[str, str]]:
    found = [match["vulnerability"] for match in report["matches"]]
    return [(item["id"], _severity(item.get("severity"))) for item in found]


def _grype_target(report: dict[str, Any]) -> ScanTarget:
    source = report.get("source") or {}
    target = source.get("target") or {}
    if isinstance(target, str):
        return ScanTarget("directory" if source.get("type") == "directory" else "unknown", target)
    digests = [*_digests(target.get("repoDigests")), target.get("manifestDigest")]
    name = target.get("userInput") or UNNAMED
    return ScanTarget("image", name, tuple(one for one in digests if one))


def _trivy(report: dict[str, Any]) -> list[tuple[str, str]]:
    found = [
        item
        for result in report.get("Results") or []
        for item in result.get("Vulnerabilities") or []
    ]
    return [(item["VulnerabilityID"], _severity(item.get("Severity"))) for item in found]


def _trivy_target(report: dict[str, Any]) -> ScanTarget:
    name = report.get("ArtifactName") or UNNAMED
    if report.get("ArtifactType") in ("filesystem", "repository"):
        return ScanTarget("directory", name)
    metadata = report.get("Metadata") or {}
    return ScanTarget("image", name, tuple(_digests(metadata.get("RepoDigests"))))


def _digests(references: list[str] | None) -> list[str]:
    return [one.partition("@")[2] for one in references or [] if "@" in one]
