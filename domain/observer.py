"""Does the observer see exactly each arm's pods? The words of the question and of its answer.

Asked by `tidegate judge check`, and by every release before its first shift; the rules are in
`observer_rules.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from domain.metrics.plan import MetricsPlan
from domain.metrics.source import Survey
from domain.records import Record
from domain.samples import Arm
from domain.scrapes import Series
from domain.steps import RevisionRequest

CANARY, STABLE = "canary", "stable"


class Fault(StrEnum):
    """What can be wrong with what the observer sees."""

    no_pods = "no pods"
    empty = "empty"
    not_scraped = "not scraped"
    overlapping = "overlapping"
    all_pods = "all pods"
    no_pod_label = "no pod label"
    wrong_namespace = "wrong namespace"
    twice = "scraped twice"
    no_count = "no count"
    stale = "stale"
    stale_source = "stale source"
    no_edge = "no bucket edge"
    quiet_pods = "quiet pods"
    clocks = "clocks differ"
    no_restarts = "no restarts metric"
    refused_query = "refused query"
    no_access = "no access"


# The source tells nothing new: nothing else can be told by it.
SILENCES = frozenset({Fault.stale_source, Fault.no_access})
# Of these a person should know; the judge can work with them.
WARNINGS = frozenset({Fault.quiet_pods, Fault.clocks, Fault.no_restarts})


class Fitness(StrEnum):
    """Whether the observer may judge; `silent`: its source tells nothing new just now."""

    fit = "fit"
    unfit = "unfit"
    silent = "silent"


class Finding(Record):
    """One thing that is wrong: of which arm, what, and what to do about it."""

    fault: Fault
    arm: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}: {self.remedy}"

    @property
    def refuses(self) -> bool:
        """Whether the observer would judge wrongly."""
        return self.fault not in WARNINGS | SILENCES


class ArmSummary(Record):
    """What was seen of one arm."""

    name: str
    selector: str
    pods: int
    pods_with_series: int
    series: int
    latest: datetime | None


class Inspection(Record):
    """Both arms as the observer sees them, and everything that is wrong with that."""

    arms: tuple[ArmSummary, ...]
    edge: float | None
    findings: tuple[Finding, ...]

    @property
    def fitness(self) -> Fitness:
        """What silences the whole source comes first: nothing else can be told by it."""
        if any(finding.fault in SILENCES for finding in self.findings):
            return Fitness.silent
        refused = any(finding.refuses for finding in self.findings)
        return Fitness.unfit if refused else Fitness.fit

    @property
    def sentence(self) -> str:
        """The whole answer in one line."""
        if self.fitness is Fitness.fit:
            arms = ", ".join(f"{arm.name} {arm.pods_with_series}/{arm.pods}" for arm in self.arms)
            return f"the observer sees exactly each arm's pods (with series: {arms})"
        told = "; ".join(str(one) for one in self.findings if one.fault not in WARNINGS)
        return f"the observer cannot judge this canary: {told}"


class VerifyObserver(Record):
    """Look whether the canary's and stable's series are theirs; wait for silence until `ends_at`.

    `quiet_allowed`: stable may have had no request yet, since the plan sends its own load.
    """

    target: RevisionRequest
    slow_above: timedelta
    ends_at: datetime
    metrics: MetricsPlan = MetricsPlan()
    quiet_allowed: bool = False


class ObserverReport(Record):
    """The activity's answer to the workflow."""

    fitness: Fitness
    sentence: str


@dataclass(frozen=True, slots=True)
class ArmView:
    """One arm: its ready pods and when they were created, and what its queries gave.

    `arm.started` names every pod of the arm, also those that are not ready or on their way out.
    """

    name: str
    selector: str
    pods: Mapping[str, datetime]
    arm: Arm

    @property
    def requests(self) -> tuple[Series, ...]:
        """Its series of requests that have a sample."""
        return tuple(item for item in self.arm.requests if item.points)

    @property
    def is_of_proxies(self) -> bool:
        """Whether proxies count its requests: then no series is of its own pods."""
        return self.arm.measure.arm is not None

    @property
    def seen(self) -> frozenset[str]:
        """The pods that its series are of."""
        return frozenset(item.pod for item in self.requests)

    @property
    def unseen(self) -> list[str]:
        """Its ready pods without a series; of proxies' series all of them or none."""
        if self.is_of_proxies:
            return [] if self.requests else sorted(self.pods)
        return sorted(self.pods.keys() - self.seen)

    @property
    def with_series(self) -> int:
        """How many of its ready pods have series."""
        return len(self.pods) - len(self.unseen)

    @property
    def up(self) -> frozenset[str]:
        """The pods whose last scrape was answered."""
        told = [item for item in self.arm.up if item.points]
        return frozenset(item.pod for item in told if item.points[-1][1] == 1)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where and when it is looked, and what else the source says.

    `survey`: where else it has the metric; needed only where an arm has pods without series.
    """

    namespace: str
    metric: str
    now: datetime
    scrape: timedelta
    survey: Survey = field(default_factory=Survey)
    quiet_allowed: bool = False
