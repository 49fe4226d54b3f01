"""A service's plan on a clock that lets days pass in a minute, with the statistics of the plan."""

from __future__ import annotations

import re
from datetime import timedelta

from domain.checks import HttpCheck
from domain.errors import PermanentFailure
from domain.gates import Gate, GateMode
from domain.judge.rules import JudgeRules
from domain.metrics.plan import MetricsPlan
from domain.plan import ApprovalPlan, CanaryPlan, Factor, Rehearsal, ServicePlan, TestPlan
from domain.quantities import format_duration
from domain.records import Record
from domain.soak_plan import SoakPlan

SECOND = timedelta(seconds=1)
# The sandbox's users are scraped every 10 planned seconds, and not more often than 20 times a
# real second: a faster clock would give the judge fewer and larger blocks than the plan's.
FASTEST = 200.0
PLANNED_SCRAPE = timedelta(seconds=10)
# What the canary's deadlines and the watch shall take together at the default speed.
AIM = timedelta(seconds=60)
# A soak is watched in at most so many windows, each long enough for some scrapes.
WINDOWS = 12
SCRAPES_PER_WINDOW = 4
SHORTEST_WINDOW = timedelta(seconds=0.4)
# Of production's users.
STAGING_SHARE = 0.1
# Of the histograms of the sandbox's versions: nothing of theirs is slower.
SLOWEST_EDGE = timedelta(seconds=10)
# Machines (a sandbox's start, pods, Temporal) are never on the clock.
MACHINE_LIMIT = timedelta(minutes=3)
LOOSEST = {
    "soak": "1s",
    "soak_window": "366d",
    "gates": dict.fromkeys((gate.value for gate in Gate), GateMode.OBSERVE.value),
    "quorum": 0,
    "first_step": 100,
    "steps": 1,
    "min_bake": "1s",
    "deadline": "1s",
    "min_requests": 1,
    "watch": "1s",
    "coverage": "0%",
    "errors": "99%",
    "p95": "366d",
    "scan": "critical",
    "approval_expires": "366d",
    "alpha": "0.0001%",
    "beta": "20%",
    "tolerance": 1.5,
    "warm_up": "366d",
    "ignored": "99%",
}


# An hour's canary still meets somebody; every simulated request costs this machine its time.
LEAST_RATE, MOST_RATE = 0.001, 10_000.0


class Rates(Record):
    """Users' requests per simulated second, as the sandbox is told them."""

    production: float
    staging: float


def parse_rate(text: str) -> float:
    """Read `5rps`, requests per second of plan time; PermanentFailure for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*rps", text.strip())
    if match is None:
        raise PermanentFailure(
            f"{text!r} is no traffic; write production's requests per second, for example 5rps"
        )
    rate = float(match[1])
    if not LEAST_RATE <= rate <= MOST_RATE:
        raise PermanentFailure(
            f"--traffic {text.strip()} must be from {LEAST_RATE:g}rps to {MOST_RATE:g}rps: a"
            " rehearsal with fewer users tells nothing, more are not simulated"
        )
    return rate


def default_speed(plan: ServicePlan) -> float:
    """Planned seconds per real one, so that every step's deadline and the watch take a minute."""
    planned = plan.canary.deadline * len(plan.canary.steps) + plan.canary.watch
    return float(min(max(round(planned / AIM), 1), FASTEST))


def check_speed(speed: float) -> float:
    """The speed; PermanentFailure where the judge would see other blocks than the plan's."""
    if not 1 <= speed <= FASTEST:
        raise PermanentFailure(
            f"--speed {speed:g} must be from 1 to {FASTEST:g}: the sandbox is scraped at most 20 "
            "times a second, and a faster clock would give the judge fewer blocks than the plan"
        )
    return speed


def rehearsed(plan: ServicePlan, speed: float) -> ServicePlan:
    """The plan on the rehearsal clock; what would need the service's code is left out.

    The code is not run: no unit tests, and checks ask whether the version answers at all.
    """
    soak = _in_few_windows(plan.soak)
    real = max(SHORTEST_WINDOW, SCRAPES_PER_WINDOW * PLANNED_SCRAPE / speed)
    return plan.with_(
        tests=_answering(plan.tests),
        # The sandbox's versions count by the default convention, whatever the service does.
        metrics=MetricsPlan(),
        soak=soak,
        rehearsal=Rehearsal(
            soak=Factor(planned=max(soak.window, real), real=real),
            canary=Factor(planned=speed * SECOND, real=SECOND),
        ),
    )


def stand_in(plan: ServicePlan, speed: float) -> ServicePlan:
    """How the version that serves already is brought there: the same commit, in a moment."""
    quick = rehearsed(plan, speed)
    instant = PLANNED_SCRAPE * 3
    return quick.with_(
        limits=plan.limits.with_(errors=0.99, p95=SLOWEST_EDGE),
        soak=SoakPlan(duration=quick.soak.window, window=quick.soak.window),
        approval=ApprovalPlan(quorum=0),
        canary=CanaryPlan(min_bake=instant, watch=instant, min_requests=1),
    )


def rates(plan: ServicePlan, users: float) -> Rates:
    """Requests per simulated second, so that a planned hour has as many in either environment.

    The soak's clock is faster than the simulated users: staging's come so much more often.
    """
    soak, canary = plan.rehearsal.soak, plan.rehearsal.canary
    faster = (soak.planned / soak.real) / (canary.planned / canary.real)
    return Rates(production=users, staging=STAGING_SHARE * users * faster)


def longest(plan: ServicePlan) -> timedelta:
    """When a rehearsal of this plan (on its clock) is given up."""
    pace = plan.pace
    steps = pace.step_deadline * (1 + plan.canary.extensions) * len(plan.canary.steps)
    return pace.soak_deadline + steps + pace.watch + MACHINE_LIMIT


def in_plan_time(rules: JudgeRules, plan: ServicePlan) -> JudgeRules:
    """Rules that a rehearsal clock shortened, as long as the plan means them."""
    clock = plan.rehearsal.canary
    factor = clock.planned / clock.real
    times = {name: getattr(rules, name) * factor for name in ("min_bake", "deadline", "warm_up")}
    if rules.stale_after is not None:
        times["stale_after"] = rules.stale_after * factor
    return rules.model_copy(update=times)


def not_simulated(plan: ServicePlan, asked: ServicePlan, speed: float) -> tuple[str, ...]:
    """What a rehearsal does not tell, for a person."""
    told = [
        "the service's code: without a fault every version fails 0.1 % of requests, more in shocks "
        "that hit both arms, and answers 95 % of them within 137 ms; unit tests and what a check's "
        "body contains are left out",
        f"people and machines: approvals come at once, and a second of this machine's own work "
        f"is {speed:g} planned ones",
    ]
    if plan.metrics != asked.metrics:
        told.append("the plan's metrics: versions count requests by the default template")
    if plan.soak.window != asked.soak.window:
        told.append(
            f"the soak's windows: {format_duration(asked.soak.window)} each in place of "
            f"{format_duration(plan.soak.window)}"
        )
    soak = asked.rehearsal.soak.planned / asked.rehearsal.soak.real
    if soak > speed:
        told.append(
            f"pods in staging: while the soak's clock is {soak / speed:.0f} times faster than "
            "theirs, they restart so much more seldom in its hours"
        )
    return tuple(told)


def _in_few_windows(soak: SoakPlan) -> SoakPlan:
    """As many requests per window as the plan's windows together, where nothing sends them."""
    merged = soak.duration / soak.window / WINDOWS
    if merged <= 1:
        return soak
    least = soak.min_requests
    if soak.probe is None and least is not None:
        least = round(least * merged)
    return soak.with_(window=soak.duration / WINDOWS, min_requests=least)


def _answering(tests: TestPlan) -> TestPlan:
    def answering(check: HttpCheck) -> HttpCheck:
        return check.with_(status=200, contains=None)

    return tests.with_(
        unit=None,
        coverage=0.0,
        smoke=tuple(answering(check) for check in tests.smoke),
        critical=tuple(answering(check) for check in tests.critical),
    )
