"""The journey of a release before anything runs: times, people, and what cannot be undone."""

from __future__ import annotations

from datetime import timedelta

from domain.commands import Change, eligible
from domain.gates import Gate, GateMode
from domain.phases import Phase
from domain.plan import HOUR, MINUTE, Factor, ServicePlan
from domain.policy import Policy, Role
from domain.quantities import format_duration
from domain.records import Record
from domain.soak_plan import SoakPlan

SECOND = timedelta(seconds=1)

# Longest that one piece of machine work may take, outages included, before its stage counts as
# broken; the same as in `workflows/options.py` (a test compares them). Never scaled.
QUICK_LIMIT, ROLLOUT_LIMIT, BUILD_LIMIT = HOUR, 2 * HOUR, 3 * HOUR
MACHINE_LIMITS: dict[Phase, timedelta] = {
    Phase.PREPARE: QUICK_LIMIT,
    Phase.BUILD: 3 * BUILD_LIMIT,
    Phase.SCAN: HOUR,
    Phase.STAGING: 6 * QUICK_LIMIT + 3 * ROLLOUT_LIMIT,
    Phase.CANARY: 2 * QUICK_LIMIT + ROLLOUT_LIMIT,
    Phase.SETTLE: ROLLOUT_LIMIT,
}
# What the same work takes when nothing is in the way.
USUAL: dict[Phase, timedelta] = {
    Phase.PREPARE: SECOND,
    Phase.BUILD: 2 * MINUTE,
    Phase.SCAN: SECOND,
    Phase.STAGING: MINUTE,
    Phase.CANARY: MINUTE,
    Phase.SETTLE: MINUTE,
}
NOTHING = timedelta(0)
_GATES = {
    "build": Gate.TESTS,
    "scan": Gate.SCAN,
    "staging": Gate.TESTS,
    "soak": Gate.SOAK,
    "watch": Gate.WATCH,
}


class JourneyStep(Record):
    """One step: how long, who is waited for, and what undoing it means.

    `worst` is when the step gives up (or holds and asks people); `clock` names the rehearsal clock
    that shortened its times; `reversible` is false from the point of no return on. `gate` says
    where a gate does not act by itself.
    """

    phase: Phase
    title: str
    does: str
    expected: timedelta
    worst: timedelta
    at_worst: str
    clock: str | None = None
    people: tuple[str, ...] = ()
    needs: str = ""
    undo: str
    reversible: bool = True
    gate: str = ""


class JourneyTotal(Record):
    """The whole way: machine and waits as expected, and at worst if every step takes its limit."""

    expected: timedelta
    worst: timedelta


def journey(plan: ServicePlan, policy: Policy, change: Change | None) -> tuple[JourneyStep, ...]:
    """Every step of a release by this plan, in order.

    `change` None means that the authors are not known yet; then nobody is excluded.
    """
    steps = (
        *_before_staging(plan),
        _staging(plan),
        _soak(plan),
        _approval(plan, policy, change),
        _canary_pods(),
        *(_canary(plan, weight) for weight in plan.canary.steps),
        _watch(plan),
        _settle(plan),
    )
    return tuple(_by_mode(plan, step) for step in steps)


def _by_mode(plan: ServicePlan, step: JourneyStep) -> JourneyStep:
    """What changes at a step whose gate does not act; the pods before users come are no gate's."""
    gate = _GATES.get(step.title)
    if step.title.startswith("canary ") and step.title.endswith("%"):
        gate = Gate.CANARY
    if gate is None:
        return step
    step = step.with_(gate=plan.gates.words_of(gate))
    if plan.gates.mode_of(gate) is not GateMode.OBSERVE or gate in (Gate.TESTS, Gate.SCAN):
        return step
    if gate is Gate.CANARY:
        deadline = plan.pace.step_deadline
        step = step.with_(expected=deadline, worst=deadline)
    return step.with_(at_worst="goes on: its gate only observes")


def total(steps: tuple[JourneyStep, ...]) -> JourneyTotal:
    """Sum of the steps; people are counted as answering at once, lanes as free."""
    return JourneyTotal(
        expected=sum((step.expected for step in steps), NOTHING),
        worst=sum((step.worst for step in steps), NOTHING),
    )


def _machine(phase: Phase, title: str, does: str, undo: str, at_worst: str) -> JourneyStep:
    return JourneyStep(
        phase=phase,
        title=title,
        does=does,
        expected=USUAL[phase],
        worst=MACHINE_LIMITS[phase],
        at_worst=at_worst,
        undo=undo,
    )


def _before_staging(plan: ServicePlan) -> tuple[JourneyStep, ...]:
    nothing = "nothing to undo"
    tests = f"run {plan.tests.unit}, " if plan.tests.unit else "no unit tests in the plan, "
    return (
        _machine(
            Phase.PREPARE, "prepare", "read what serves in production", nothing, "fails, no trace"
        ),
        _machine(
            Phase.BUILD,
            "build",
            f"{tests}build with {plan.build.builder}, render, store the bundle",
            nothing,
            "fails, no trace",
        ),
        _machine(
            Phase.SCAN,
            "scan",
            f"read the vulnerability report; {plan.scan.block} findings stop it",
            nothing,
            "holds until there is a report",
        ),
    )


def _staging(plan: ServicePlan) -> JourneyStep:
    checks = len(plan.tests.smoke) + len(plan.tests.critical)
    return _machine(
        Phase.STAGING,
        "staging",
        f"create the revision, {checks} smoke and critical checks, shift, rehearse the rollback",
        "staging's traffic goes back to the old revision",
        "rolls back",
    )


def _soak(plan: ServicePlan) -> JourneyStep:
    soak, pace = plan.soak, plan.pace
    rules = {
        "pause": "does not count",
        "reset": "starts the soak again",
        "credit": "is taken off what was earned",
    }
    return JourneyStep(
        phase=Phase.SOAK,
        title="soak",
        does=f"earn {format_duration(soak.duration)} of healthy time in windows of "
        f"{format_duration(soak.window)}; an unhealthy window {rules[soak.on_unhealthy]}"
        f"{_quiet_windows(soak)}",
        expected=pace.soak,
        worst=pace.soak_deadline,
        at_worst="rolls staging back",
        clock=_clock(plan.rehearsal.soak),
        undo="staging's traffic goes back to the old revision",
    )


def _quiet_windows(soak: SoakPlan) -> str:
    """What becomes of windows with too few requests."""
    if not soak.least_requests:
        return ""
    told = f"; one with fewer than {soak.least_requests} requests earns nothing"
    if soak.probe is None:
        return told
    return f"{told}: what is missing is sent, GET {soak.probe.path}"


def _approval(plan: ServicePlan, policy: Policy, change: Change | None) -> JourneyStep:
    quorum = max(plan.approval.quorum, policy.floors.quorum)
    if change is None:
        people = tuple(person.principal for person in policy.holders(Role.APPROVER))
    else:
        people = eligible(policy, Role.APPROVER, change)
    return JourneyStep(
        phase=Phase.APPROVAL,
        title="approval",
        does="freeze the evidence, wait for signatures over it"
        if quorum
        else "freeze the evidence; the plan asks nobody",
        expected=NOTHING,
        worst=plan.approval.expires if quorum else NOTHING,
        at_worst="expires; staging is rolled back" if quorum else "nobody is asked",
        people=people if quorum else (),
        needs=_needs(quorum, len(people)) if quorum else "",
        undo="staging's traffic goes back to the old revision",
    )


def _needs(quorum: int, eligible_people: int) -> str:
    said = f"{quorum} of {eligible_people} eligible"
    return said if quorum <= eligible_people else f"{said}: it cannot be approved"


def _canary_pods() -> JourneyStep:
    return _machine(
        Phase.CANARY,
        "canary pods",
        "create the revision in production without users, keep stable's pods, check it",
        "the new pods are scaled to zero",
        "rolls back",
    )


def _canary(plan: ServicePlan, weight: int) -> JourneyStep:
    pace, canary = plan.pace, plan.canary
    return JourneyStep(
        phase=Phase.CANARY,
        title=f"canary {weight} %",
        does=f"shift {weight} % of production's traffic, judge it for "
        f"{format_duration(canary.min_bake)} at least",
        expected=pace.min_bake,
        worst=pace.step_deadline * (1 + canary.extensions),
        at_worst="holds at this weight without evidence",
        clock=_clock(plan.rehearsal.canary),
        undo="one route change: the old revision keeps its pods",
    )


def _watch(plan: ServicePlan) -> JourneyStep:
    return JourneyStep(
        phase=Phase.WATCH,
        title="watch",
        does="serve everybody and keep judging; the old revision stays armed",
        expected=plan.pace.watch,
        worst=plan.pace.watch,
        at_worst="holds and looks again without evidence",
        clock=_clock(plan.rehearsal.canary),
        undo="one route change: the old revision keeps its pods",
    )


def _settle(plan: ServicePlan) -> JourneyStep:
    step = _machine(
        Phase.SETTLE,
        "settle",
        f"drain and retire the old revision; the last {plan.retain} are kept without pods",
        "point of no return: from here the way back is a new release",
        "halts for an operator",
    )
    return step.with_(reversible=False)


def _clock(clock: Factor) -> str | None:
    return None if clock.planned == clock.real else str(clock)
