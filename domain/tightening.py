"""A past plan under another policy: every floor it fell below, raised to that floor."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from domain.gates import Gates
from domain.plan import ApprovalPlan, CanaryPlan, Limits, ScanPlan, ServicePlan, TestPlan
from domain.policy import SCAN_STRICTNESS, Floors, Policy, Violation, violations
from domain.soak_plan import SoakPlan


class Tightened(NamedTuple):
    """The plan, what was raised in it, and what no number can raise (a step that was not taken)."""

    plan: ServicePlan
    raised: tuple[Violation, ...]
    left: tuple[Violation, ...]


def tightened(plan: ServicePlan, policy: Policy) -> Tightened:
    """The loosest plan that the policy accepts and that is nowhere looser than `plan`.

    A floor only tightens, so that a policy whose floors lie lower changes nothing. The policy's
    `defaults` are not applied: they hold where a plan says nothing, and a stored plan says all.
    """
    floors = policy.floors
    strict = plan.with_(
        tests=_tests(plan.tests, floors),
        scan=_scan(plan.scan, floors),
        limits=_limits(plan.limits, floors),
        soak=_soak(plan.soak, floors),
        approval=_approval(plan.approval, floors),
        canary=_canary(plan.canary, floors),
        gates=_gates(plan.gates, floors.gates),
    )
    left = tuple(violations(strict, policy))
    places = {violation.where for violation in left}
    raised = tuple(one for one in violations(plan, policy) if one.where not in places)
    return Tightened(strict, raised, left)


def _tests(tests: TestPlan, floors: Floors) -> TestPlan:
    return tests.with_(coverage=max(tests.coverage, floors.coverage))


def _scan(scan: ScanPlan, floors: Floors) -> ScanPlan:
    return scan.with_(block=max(scan.block, floors.scan, key=SCAN_STRICTNESS.__getitem__))


def _limits(limits: Limits, floors: Floors) -> Limits:
    return limits.with_(errors=min(limits.errors, floors.errors), p95=min(limits.p95, floors.p95))


def _soak(soak: SoakPlan, floors: Floors) -> SoakPlan:
    duration = max(soak.duration, floors.soak)
    return soak.with_(
        duration=duration,
        deadline=max(soak.deadline, duration),
        window=min(soak.window, floors.soak_window),
    )


def _gates(gates: Gates, weakest: Gates) -> Gates:
    weaker = gates.weaker_than(weakest)
    return gates.with_(**{gate.value: weakest.mode_of(gate) for gate in weaker})


def _approval(approval: ApprovalPlan, floors: Floors) -> ApprovalPlan:
    return approval.with_(
        quorum=max(approval.quorum, floors.quorum),
        expires=min(approval.expires, floors.approval_expires),
    )


def _canary(canary: CanaryPlan, floors: Floors) -> CanaryPlan:
    bake: timedelta = max(canary.min_bake, floors.min_bake)
    return canary.with_(
        min_bake=bake,
        deadline=max(canary.deadline, floors.deadline, bake),
        min_requests=max(canary.min_requests, floors.min_requests),
        alpha=max(canary.alpha, floors.alpha),
        beta=min(canary.beta, floors.beta),
        tolerance=min(canary.tolerance, floors.tolerance),
        warm_up=min(canary.warm_up, floors.warm_up),
        floors={name: min(share, floors.ignored) for name, share in canary.floors.items()},
        watch=max(canary.watch, floors.watch),
    )
