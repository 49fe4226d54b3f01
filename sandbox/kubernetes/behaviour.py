"""What a version does in an environment: the faults that its pod template declares."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from domain.faults import Fault, FaultError, FaultKind, parse_all
from sandbox.kubernetes.status import Manifest

__all__ = ["FAULTS", "Behaviour", "FaultError", "behaviour_of", "parse_faults"]
FAULTS = "sandbox.tidegate.dev/faults"


@dataclass(frozen=True)
class Behaviour:
    """How pods of one version answer and live; the default is a healthy one.

    `error_share` is a share of requests in [0, 1]; `latency_factor` multiplies the base latency;
    a container that leaks is out of memory after `leak_seconds`, again and again.
    """

    error_share: float = 0.0
    latency_factor: float = 1.0
    crash: bool = False
    unready: bool = False
    oom: bool = False
    slow_start_seconds: float = 0.0
    leak_seconds: float = 0.0


@lru_cache(maxsize=256)
def parse_faults(text: str, environment: str, weight: float = 100.0) -> Behaviour:
    """Read `"production:errors=5%,staging:crash"`; parts of other environments are left out.

    A part without an environment holds in every one, a part with `@50%` only where the version has
    that share of the users (`weight`, in percent). Raises FaultError for what it cannot read.
    """
    behaviour = Behaviour()
    for fault in parse_all(text):
        if fault.environment in ("", environment) and weight >= fault.from_weight:
            behaviour = _with_fault(behaviour, fault)
    return behaviour


def behaviour_of(pod: Manifest, environment: str, weight: float = 100.0) -> Behaviour:
    """The behaviour that a pod's annotations declare for this environment at this weight."""
    return parse_faults(declared_faults(pod), environment, weight)


def declared_faults(pod: Manifest) -> str:
    """The text in which a pod's annotations declare its faults."""
    annotations = pod.get("metadata", {}).get("annotations") or {}
    return str(annotations.get(FAULTS, ""))


def _with_fault(behaviour: Behaviour, fault: Fault) -> Behaviour:
    match fault.kind:
        case FaultKind.ERRORS:
            return replace(behaviour, error_share=fault.value)
        case FaultKind.LATENCY:
            return replace(behaviour, latency_factor=fault.value)
        case FaultKind.LEAK:
            return replace(behaviour, leak_seconds=fault.value)
        case FaultKind.SLOW_START:
            return replace(behaviour, slow_start_seconds=fault.value)
        case _:
            return replace(behaviour, **{fault.kind.value: True})
