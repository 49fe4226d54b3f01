"""Whole rollouts: each rule chooses its own weights and times on the same day of traffic."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from statistics import fmean, median

from benchmarks.judge.alarms import mean_error, median_error, proportion_error
from benchmarks.judge.peers import Argo, Flagger
from benchmarks.judge.streams import BLOCK, Service, Tally, Traffic, merged
from benchmarks.judge.twin import Twin
from domain.canary import judge_rules
from domain.judge import JudgeRules, Verdict
from domain.plan import CanaryPlan, ServicePlan

STEPS = (10, 25, 50)
LIMIT = 0.01

OURS, TOLERANT = "ours, rho0=1.0", "ours, rho0=1.1"
WARMED = "ours, rho0=1.1, first block skipped"
ARGO_DOCS, ARGO_TWICE = "Argo docs (20-80 %, 10 min)", "Argo 2x base, 60 s, fl 3"
FLAGGER_DOCS, FLAGGER_TWICE = "Flagger docs", "Flagger 2x base"


class End(StrEnum):
    """How a rollout ended; a person is asked where the rule says neither."""

    promoted = "promoted"
    rolled_back = "rolled back"
    person = "person"


@dataclass(frozen=True)
class Rollout:
    """One ended rollout: seconds, the canary's bad requests until then, reasons of the steps."""

    end: End
    seconds: float
    bad: int
    reasons: tuple[str, ...] = ()


@dataclass
class Rollouts:
    """Many rollouts of one rule in one cell."""

    ended: list[Rollout] = field(default_factory=list)

    def share(self, end: End) -> float:
        """Share that ended so."""
        return sum(one.end is end for one in self.ended) / len(self.ended)

    def error(self, end: End) -> float:
        """Its standard error."""
        return proportion_error(self.share(end), len(self.ended))

    def seconds(self, end: End) -> float:
        """Median duration of those; infinite without any."""
        chosen = [one.seconds for one in self.ended if one.end is end]
        return median(chosen) if chosen else math.inf

    def seconds_error(self, end: End) -> float:
        """Its standard error."""
        return median_error([one.seconds for one in self.ended if one.end is end])

    def bad(self) -> float:
        """Mean bad requests from the canary, whatever the end."""
        return fmean(one.bad for one in self.ended)

    def bad_error(self) -> float:
        """Its standard error."""
        return mean_error([one.bad for one in self.ended])

    def first_reasons(self) -> dict[str, float]:
        """How the first step was decided, as shares."""
        counted = Counter(one.reasons[0] for one in self.ended if one.reasons)
        return {reason: count / len(self.ended) for reason, count in sorted(counted.items())}


class Course:
    """Counts time and harm of one rollout on its traffic."""

    def __init__(self, service: Service, seed: str) -> None:
        self._traffic = Traffic(service, seed)
        self.seconds = 0.0
        self.bad = 0

    def block(self, weight: int) -> Tally:
        """The next block at this weight in percent."""
        tally = self._traffic.block(weight / 100)
        self.seconds += BLOCK
        self.bad += tally.canary_bad
        return tally

    def minute(self, weight: int, minutes: int = 1) -> Tally:
        """The next minutes as one value."""
        return merged([self.block(weight) for _ in range(round(60 * minutes / BLOCK))])

    def ends(self, end: End, *reasons: str) -> Rollout:
        """The rollout, ended now."""
        return Rollout(end, self.seconds, self.bad, reasons)


@lru_cache
def shipped_rules(
    weight: int, rho0: float, limit: float | None, *, skip_first: bool = False
) -> JudgeRules:
    """The plan's defaults for one step, with the tolerance and the limit on errors of the cell."""
    canary = CanaryPlan(steps=(*STEPS, 100), tolerance=rho0)
    plan = ServicePlan(path=".", port=80, image="a/b", manifests=".", canary=canary)
    changed: dict[str, object] = {"limits": {} if limit is None else {Twin.METRIC: limit}}
    if skip_first:
        changed["warmed"] = None
    return judge_rules(plan, weight, has_stable=True).model_copy(update=changed)


def ours(course: Course, rho0: float, limit: float | None, *, skip_first: bool = False) -> Rollout:
    """10 -> 25 -> 50 -> 100 %, by the shipped rule with its defaults (extensions too); held at the
    last deadline means that a person is asked. `skip_first`: no errors of a step's first block."""
    twin = Twin(shipped_rules(STEPS[0], rho0, limit, skip_first=skip_first))
    reasons: list[str] = []
    for weight in STEPS:
        rules = shipped_rules(weight, rho0, limit, skip_first=skip_first)
        twin.take_step(rules)
        elapsed, last = 0.0, rules.last_deadline.total_seconds()
        verdict, reason = twin.judge(elapsed)
        while verdict is Verdict.HOLD and elapsed < last:
            twin.observe(course.block(weight), BLOCK)
            elapsed += BLOCK
            verdict, reason = twin.judge(elapsed)
        reasons.append(reason.value)
        if verdict is Verdict.ROLL_BACK:
            return course.ends(End.rolled_back, *reasons)
        if verdict is Verdict.HOLD:
            return course.ends(End.person, *reasons)
    return course.ends(End.promoted, *reasons)


def argo(course: Course, steps: tuple[int, ...], rule: Argo, minutes: int) -> Rollout:
    """Ten minutes a step, one measurement every so many minutes over the whole rollout."""
    for weight in steps:
        for _ in range(10 // minutes):
            tally = course.minute(weight, minutes)
            if rule.measure(tally.canary, tally.canary_bad):
                return course.ends(End.rolled_back)
    return course.ends(End.promoted)


def flagger(course: Course, rule: Flagger) -> Rollout:
    """10 % more after each check of a minute that succeeds, promoted after the one at 50 %."""
    weight = 10
    while weight <= 50:
        tally = course.minute(weight)
        advances, rolls_back = rule.check(tally.canary, tally.canary_bad)
        if rolls_back:
            return course.ends(End.rolled_back)
        weight += 10 * advances
    return course.ends(End.promoted)


def rules_of(service: Service) -> dict[str, Callable[[Course], Rollout]]:
    """Every rule of table 4.3 for this cell; ours without a limit, as the incumbents' 2x base."""
    twice = 2 * service.bad_rate
    return {
        OURS: lambda course: ours(course, 1.0, None),
        TOLERANT: lambda course: ours(course, 1.1, None),
        WARMED: lambda course: ours(course, 1.1, None, skip_first=True),
        ARGO_DOCS: lambda course: argo(course, (20, 40, 60, 80), Argo(0.05, 3), 5),
        ARGO_TWICE: lambda course: argo(course, STEPS, Argo(twice, 3), 1),
        FLAGGER_DOCS: lambda course: flagger(course, Flagger(0.01)),
        FLAGGER_TWICE: lambda course: flagger(course, Flagger(twice)),
    }


def compare(service: Service, seed: str) -> dict[str, Rollout]:
    """One day, one rollout by each rule."""
    return {name: rule(Course(service, seed)) for name, rule in rules_of(service).items()}


def quiet(service: Service, seed: str) -> dict[str, Rollout]:
    """One rollout under the default limit (table 3b), by both tolerances."""
    return {
        OURS: ours(Course(service, seed), 1.0, LIMIT),
        TOLERANT: ours(Course(service, seed), 1.1, LIMIT),
    }
