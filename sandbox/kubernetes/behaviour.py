"""What a version does in an environment: the faults that its pod template declares."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from sandbox.kubernetes.status import Manifest

FAULTS = "sandbox.tidegate.dev/faults"


@dataclass(frozen=True)
class Behaviour:
    """How pods of one version answer and live; the default is a healthy one.

    `error_share` is a share of requests in [0, 1]; `latency_factor` multiplies the base latency.
    """

    error_share: float = 0.0
    latency_factor: float = 1.0
    crash: bool = False
    unready: bool = False
    oom: bool = False
    slow_start_seconds: float = 0.0


class FaultError(ValueError):
    """The faults annotation cannot be read; the message names the part and the known kinds."""


@lru_cache(maxsize=256)
def parse_faults(text: str, environment: str) -> Behaviour:
    """Read `"production:errors=5%,staging:crash"`; parts of other environments are left out.

    A part without an environment holds in every one. Raises FaultError for what it cannot read.
    """
    behaviour = Behaviour()
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        where, colon, fault = part.rpartition(":")
        parsed = _with_fault(behaviour, fault.strip(), part)
        if not colon or where.strip() == environment:
            behaviour = parsed
    return behaviour


def behaviour_of(pod: Manifest, environment: str) -> Behaviour:
    """The behaviour that a pod's annotations declare for this environment."""
    annotations = pod.get("metadata", {}).get("annotations") or {}
    return parse_faults(annotations.get(FAULTS, ""), environment)


def _with_fault(behaviour: Behaviour, fault: str, part: str) -> Behaviour:
    kind, _, value = fault.partition("=")
    if fault in ("crash", "unready", "oom"):
        return replace(behaviour, **{fault: True})
    if kind == "errors" and (match := re.fullmatch(r"(\d+(?:\.\d+)?)%", value)):
        share = float(match[1]) / 100
        if share <= 1:
            return replace(behaviour, error_share=share)
    if kind == "latency" and (match := re.fullmatch(r"(\d+(?:\.\d+)?)x", value)):
        return replace(behaviour, latency_factor=float(match[1]))
    if kind == "slow-start" and (match := re.fullmatch(r"(\d+(?:\.\d+)?)s", value)):
        return replace(behaviour, slow_start_seconds=float(match[1]))
    raise FaultError(
        f"cannot read the fault {part!r} of {FAULTS}; known: errors=5%, latency=3x, crash, "
        "unready, oom, slow-start=5s, each after an environment's name and a colon"
    )
