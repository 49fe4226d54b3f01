"""Faults added to running versions by the control port, beside those their templates declare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from domain.faults import parse_all
from sandbox.kubernetes.behaviour import Behaviour, parse_faults
from sandbox.pod_metrics import service_of, workload_of

Pod = dict[str, Any]
WHOLE = 100.0


@dataclass(frozen=True)
class LiveFault:
    """A fault of a service, or of one of its revisions, in one environment.

    `spared` is a revision of the service that does not have it: all but what serves now.
    """

    environment: str
    fault: str
    service: str = ""
    revision: str = ""
    spared: str = ""

    def hits(self, pod: Pod, environment: str) -> bool:
        """True when the pod is of the version meant (a revision is named as its Deployment)."""
        if environment != self.environment:
            return False
        workload = workload_of(pod)
        if self.revision:
            return workload == self.revision
        return service_of(pod) == self.service and workload != self.spared

    @property
    def begins_with_a_start(self) -> bool:
        """True when only a pod that starts can take it on or put it off (crash, leak, ...)."""
        return any(fault.begins_with_a_start for fault in parse_all(self.fault))

    @property
    def depends_on_weight(self) -> bool:
        """True when it begins at a share of the users."""
        return any(fault.from_weight for fault in parse_all(self.fault))


class LiveFaults:
    """All faults that hold now."""

    def __init__(self) -> None:
        self._faults: list[LiveFault] = []

    def add(self, fault: LiveFault) -> None:
        """Let a fault begin; FaultError (a ValueError) when its text cannot be read."""
        parse_faults(fault.fault, fault.environment)
        self._faults.append(fault)

    def clear(self, environment: str = "", name: str = "") -> list[LiveFault]:
        """End the faults of an environment and of a service or revision, and return them."""
        kept = [
            one
            for one in self._faults
            if (environment and one.environment != environment)
            or (name and name not in (one.service, one.revision))
        ]
        ended = [one for one in self._faults if one not in kept]
        self._faults = kept
        return ended

    def records(self) -> list[dict[str, str]]:
        """The faults as plain records."""
        return [asdict(one) for one in self._faults]

    def applied(
        self, declared: Behaviour, pod: Pod, environment: str, weight: Callable[[], float]
    ) -> Behaviour:
        """What a pod does when the live faults are added to what its template declares.

        `weight` tells the share of the users (in percent) that its version has; it is asked only
        where a fault begins at one.
        """
        for one in self._faults:
            if one.hits(pod, environment):
                share = weight() if one.depends_on_weight else WHOLE
                declared = _both(declared, parse_faults(one.fault, environment, share))
        return declared


def _both(first: Behaviour, second: Behaviour) -> Behaviour:
    return replace(
        first,
        error_share=1 - (1 - first.error_share) * (1 - second.error_share),
        latency_factor=first.latency_factor * second.latency_factor,
        crash=first.crash or second.crash,
        unready=first.unready or second.unready,
        oom=first.oom or second.oom,
        slow_start_seconds=max(first.slow_start_seconds, second.slow_start_seconds),
        leak_seconds=min(filter(None, (first.leak_seconds, second.leak_seconds)), default=0.0),
    )
