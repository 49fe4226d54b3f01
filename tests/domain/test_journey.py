from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from domain.journey import (
    BUILD_LIMIT,
    QUICK_LIMIT,
    ROLLOUT_LIMIT,
    JourneyStep,
    journey,
    total,
)
from domain.phases import Phase
from domain.plan import HOUR, MINUTE
from tests.support.release_records import change, plan, policy
from workflows import options


def steps_of(**sections: Any) -> dict[str, JourneyStep]:
    return {step.title: step for step in journey(plan(**sections), policy(), change())}


def test_the_journey_has_every_phase_in_the_order_in_which_a_release_passes_them() -> None:
    phases = [step.phase for step in journey(plan(), policy(), change())]
    travelled = [phase for phase in Phase if phase not in (Phase.ROLLBACK, Phase.DONE)]
    assert list(dict.fromkeys(phases)) == travelled


def test_the_waits_are_those_of_the_plan() -> None:
    steps = steps_of()
    assert (steps["soak"].expected, steps["soak"].worst) == (24 * HOUR, 72 * HOUR)
    assert (steps["canary 10 %"].expected, steps["canary 10 %"].worst) == (3 * MINUTE, 40 * MINUTE)
    assert (steps["watch"].expected, steps["watch"].worst) == (30 * MINUTE, 30 * MINUTE)
    assert (steps["approval"].expected, steps["approval"].worst) == (timedelta(0), 24 * HOUR)


def test_every_step_of_traffic_is_a_step_of_the_journey() -> None:
    titles = list(steps_of(canary={"steps": [5, 25, 75, 100]}))
    assert [title for title in titles if title.startswith("canary ") and "%" in title] == [
        "canary 5 %",
        "canary 25 %",
        "canary 75 %",
        "canary 100 %",
    ]


def test_a_rehearsal_clock_is_shown_with_every_duration_it_shortens_and_with_no_other() -> None:
    steps = steps_of(rehearsal={"soak": "1h = 1s", "canary": "1m = 1s"})
    assert (steps["soak"].expected, steps["soak"].clock) == (timedelta(seconds=24), "1h = 1s")
    assert (steps["watch"].expected, steps["watch"].clock) == (timedelta(seconds=30), "1m = 1s")
    assert steps["canary 50 %"].clock == "1m = 1s"
    unscaled = ("prepare", "build", "scan", "staging", "approval", "canary pods", "settle")
    assert {title for title, step in steps.items() if step.clock is None} == set(unscaled)
    assert steps["approval"].worst == 24 * HOUR


def test_only_people_who_did_not_write_or_start_the_change_are_eligible() -> None:
    written = change(authors=("Paul@home.example",))
    found = {step.title: step for step in journey(plan(), policy(), written)}
    assert found["approval"].people == ("ann",)
    assert found["approval"].needs == "1 of 1 eligible"
    started = change(started_by="ann")
    found = {step.title: step for step in journey(plan(), policy(), started)}
    assert found["approval"].people == ("paul",)


def test_authors_that_are_not_known_yet_exclude_nobody() -> None:
    found = {step.title: step for step in journey(plan(), policy(), None)}
    assert found["approval"].people == ("ann", "paul")


def test_a_quorum_that_cannot_be_reached_is_said_beforehand() -> None:
    quorum = steps_of(approval={"quorum": 3})["approval"]
    assert quorum.needs == "3 of 2 eligible: it cannot be approved"


def test_the_quorum_is_the_policys_floor_when_that_is_higher() -> None:
    strict = policy(floors={"quorum": 2})
    found = {step.title: step for step in journey(plan(), strict, change())}
    assert found["approval"].needs == "2 of 2 eligible"


def test_without_a_quorum_nobody_is_asked_and_nothing_is_waited_for() -> None:
    lenient = policy(floors={"quorum": 0})
    found = {step.title: step for step in journey(plan(approval={"quorum": 0}), lenient, change())}
    approval = found["approval"]
    assert (approval.people, approval.needs, approval.worst) == ((), "", timedelta(0))


def test_the_point_of_no_return_is_settling_and_nothing_before_it() -> None:
    reversible = [step.reversible for step in journey(plan(), policy(), change())]
    assert reversible == [True] * (len(reversible) - 1) + [False]


def test_the_total_is_the_sum_of_the_steps() -> None:
    steps = journey(plan(), policy(), change())
    whole = total(steps)
    assert whole.expected == sum((step.expected for step in steps), timedelta(0))
    assert whole.worst == sum((step.worst for step in steps), timedelta(0))
    assert all(step.worst >= step.expected for step in steps)


@pytest.mark.parametrize(
    ("limit", "config"),
    [
        (QUICK_LIMIT, options.QUICK),
        (ROLLOUT_LIMIT, options.ROLLOUT),
        (BUILD_LIMIT, options.BUILD),
    ],
    ids=("quick", "rollout", "build"),
)
def test_the_machines_limits_are_those_of_the_table_of_timeouts(
    limit: timedelta, config: dict[str, Any]
) -> None:
    assert config["schedule_to_close_timeout"] == limit
