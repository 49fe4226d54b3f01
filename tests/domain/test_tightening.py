"""A past plan under a policy: raised to every floor, never made looser."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain.gates import Gate, GateMode
from domain.policy import Policy, violations
from domain.tightening import tightened
from tests.support.release_records import plan

NOT_A_NUMBER = {("rehearsal",), ("canary", "steps"), ("tests", "unit")}
# What can be looser than a floor is in it.
WRITTEN = plan(canary={"warm_up": "2m", "floors": {"errors": "1%"}})
hours = st.integers(1, 100).map(lambda count: timedelta(hours=count))
minutes = st.integers(1, 100).map(lambda count: timedelta(minutes=count))
FLOORS = st.fixed_dictionaries(
    {
        "soak": hours,
        "soak_window": minutes,
        "gates": st.fixed_dictionaries({gate.value: st.sampled_from(GateMode) for gate in Gate}),
        "quorum": st.integers(0, 5),
        "first_step": st.integers(1, 100),
        "steps": st.integers(1, 5),
        "min_bake": minutes,
        "deadline": minutes,
        "min_requests": st.integers(1, 1000),
        "watch": minutes,
        "coverage": st.floats(0, 1),
        "errors": st.floats(0.0001, 0.5),
        "p95": st.integers(1, 5000).map(lambda count: timedelta(milliseconds=count)),
        "scan": st.sampled_from(["critical", "high"]),
        "approval_expires": hours,
        "alpha": st.floats(0.0001, 0.2),
        "beta": st.floats(0.0001, 0.2),
        "tolerance": st.floats(1, 1.5),
        "warm_up": minutes,
        "ignored": st.floats(0.0001, 0.2),
    }
)


@given(floors=FLOORS)
def test_a_tightened_plan_is_under_no_floor_that_a_number_can_reach(floors: dict[str, Any]) -> None:
    policy, old = Policy(floors=floors), WRITTEN
    strict = tightened(old, policy)
    assert {one.where for one in violations(strict.plan, policy)} <= NOT_A_NUMBER
    assert {one.where for one in strict.left} <= NOT_A_NUMBER
    assert not {one.where for one in strict.raised} & NOT_A_NUMBER
    # Its own rules hold as well, for example that a deadline leaves time to bake.
    type(strict.plan).model_validate_json(strict.plan.model_dump_json())


@given(floors=FLOORS)
def test_a_tightened_plan_is_nowhere_looser_than_it_was(floors: dict[str, Any]) -> None:
    old = WRITTEN
    new = tightened(old, Policy(floors=floors)).plan
    # What the old plan promised is a policy that the new plan keeps.
    kept = {
        "soak": old.soak.duration,
        "soak_window": old.soak.window,
        "gates": old.gates.model_dump(),
        "quorum": old.approval.quorum,
        "min_bake": old.canary.min_bake,
        "deadline": old.canary.deadline,
        "min_requests": old.canary.min_requests,
        "watch": old.canary.watch,
        "coverage": old.tests.coverage,
        "errors": old.limits.errors,
        "p95": old.limits.p95,
        "scan": old.scan.block,
        "approval_expires": old.approval.expires,
        "alpha": old.canary.alpha,
        "beta": old.canary.beta,
        "tolerance": old.canary.tolerance,
        "ignored": 0.01,
    }
    assert {one.where for one in violations(new, Policy(floors=kept))} <= NOT_A_NUMBER


def test_a_looser_policy_changes_nothing() -> None:
    loose = Policy(floors={"soak": "1h", "min_bake": "1m", "watch": "1m", "deadline": "1m"})
    strict = tightened(plan(tests={"unit": "make test"}), loose)
    assert strict.plan == plan(tests={"unit": "make test"})
    assert (strict.raised, strict.left) == ((), ())
