"""Vulnerability reports: what grype and trivy write, reduced to what a gate needs."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

from domain.errors import PermanentFailure
from domain.records import Record

SEVERITIES = ("critical", "high", "medium", "low", "negligible", "unknown")


class ScanSummary(Record):
    """Counts by severity, and the findings that block."""

    scanner: str
    target: str
    target_digest: str | None
    counts: dict[str, int]
    blocking: tuple[str, ...]
    report: str

    @property
    def sentence(self) -> str:
        """Say it to a person."""
        found = ", ".join(f"{self.counts[s]} {s}" for s in SEVERITIES if self.counts.get(s))
        told = f"{self.scanner} found {found or 'nothing'} in {self.target}"
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
    if isinstance(report.get("matches"), list):
        scanner, (target, target_digest), findings = "grype", _grype_target(report), _grype(report)
    elif isinstance(report.get("Results"), list) or report.get("SchemaVersion") == 2:
        scanner, (target, target_digest), findings = "trivy", _trivy_target(report), _trivy(report)
    else:
        raise PermanentFailure(
            f"scan report {digest} is neither grype's nor trivy's JSON; "
            "write it with `grype -o json` or `trivy image --format json`"
        )
    stopping = SEVERITIES[: SEVERITIES.index(block) + 1]
    return ScanSummary(
        scanner=scanner,
        target=target,
        target_digest=target_digest,
        counts=dict(Counter(severity for _, severity in findings)),
        blocking=tuple(sorted({name for name, severity in findings if severity in stopping})),
        report=digest,
    )


def _severity(text: object) -> str:
    name = str(text).lower()
    return name if name in SEVERITIES else "unknown"


def _grype(report: dict[str, Any]) -> list[tuple[str, str]]:
    found = [match["vulnerability"] for match in report["matches"]]
    return [(item["id"], _severity(item.get("severity"))) for item in found]


def _grype_target(report: dict[str, Any]) -> tuple[str, str | None]:
    target = report.get("source", {}).get("target", {})
    if isinstance(target, str):
        return target, None
    digests = target.get("repoDigests") or []
    digest = digests[0].partition("@")[2] if digests else target.get("manifestDigest")
    return target.get("userInput", "an unnamed target"), digest or None


def _trivy(report: dict[str, Any]) -> list[tuple[str, str]]:
    found = [
        item
        for result in report.get("Results") or []
        for item in result.get("Vulnerabilities") or []
    ]
    return [(item["VulnerabilityID"], _severity(item.get("Severity"))) for item in found]


def _trivy_target(report: dict[str, Any]) -> tuple[str, str | None]:
    digests = report.get("Metadata", {}).get("RepoDigests") or []
    digest = digests[0].partition("@")[2] if digests else None
    return report.get("ArtifactName", "an unnamed target"), digest
