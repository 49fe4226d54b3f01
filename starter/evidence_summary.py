"""The frozen evidence in a person's words: what is asked to be approved."""

from __future__ import annotations

from domain.evidence import Evidence
from domain.quantities import format_duration
from domain.release import ReleaseState

SHOWN_DIFF_LINES = 40


def summary(evidence: Evidence, state: ReleaseState) -> str:
    """Change, authors, configuration, tests, scan, soak, rehearsal, digests; one fact per line."""
    change, stable = evidence.change, evidence.stable
    facts = [
        ("release", evidence.release_id),
        ("change", f"{(change.base or 'nothing')[:10]} -> {change.commit[:10]}"),
        ("authors", _authors(evidence)),
        ("started by", change.started_by),
        ("replaces", stable.revision if stable else "nothing: a first release"),
        *((record.kind, record.sentence) for record in evidence.records),
        ("soak", _soak(evidence)),
        *(("gate", told) for told in evidence.gates.told),
        *(("gate", note.words) for note in evidence.gate_notes),
        ("rehearsal", evidence.rehearsal.sentence),
        ("configuration", _diff(evidence)),
        ("image", evidence.image),
        ("bundle", str(evidence.bundle)),
        ("plan", evidence.plan_hash),
        ("policy", evidence.policy_version),
        ("evidence", state.evidence.digest if state.evidence else "-"),
        ("good until", f"{evidence.expires_at:%Y-%m-%d %H:%M:%S %Z}"),
    ]
    width = max(len(name) for name, _ in facts)
    indent = "\n" + " " * (width + 2)
    return "\n".join(f"{name:<{width}}  {text.replace(chr(10), indent)}" for name, text in facts)


def _authors(evidence: Evidence) -> str:
    told = ", ".join(evidence.change.authors)
    if evidence.unknown_authors:
        unknown = ", ".join(evidence.unknown_authors)
        told += f"\nthe policy does not know {unknown}: if that is you, do not approve"
    return told


def _soak(evidence: Evidence) -> str:
    soak = evidence.soak
    told = soak.progress.sentence
    if soak.skipped_by is not None:
        told += f"; skipped by {soak.skipped_by}: {soak.skip_reason}"
    planned = soak.plan.duration
    if soak.progress.goal != planned:
        told += f" (rehearsal clock: the plan says {format_duration(planned)})"
    return told


def _diff(evidence: Evidence) -> str:
    lines = evidence.config_diff
    if not lines:
        return "unchanged" if evidence.stable else "all of it is new"
    more = len(lines) - SHOWN_DIFF_LINES
    return "\n".join([*lines[:SHOWN_DIFF_LINES], *([f"... {more} more lines"] if more > 0 else [])])
