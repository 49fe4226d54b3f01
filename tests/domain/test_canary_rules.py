"""Each of the plan's words for the judge reaches its rules, and nonsense is named."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from domain.canary import judge_rules
from domain.judge import JudgeRules, Stakes
from tests.support.release_records import plan


def rules(weight: int = 10, *, has_stable: bool = True, **canary: Any) -> JudgeRules:
    return judge_rules(plan(canary=canary), weight, has_stable=has_stable)


@pytest.mark.parametrize(
    ("written", "knob", "value"),
    [
        ({"alpha": "5%"}, "alpha", 0.05),
        ({"beta": "1%"}, "beta", 0.01),
        ({"tolerance": 1.0}, "rho0", 1.0),
        ({"tolerance": 1}, "rho0", 1.0),
        ({"warm_up": "2m"}, "warm_up", timedelta(minutes=2)),
        ({"pod_votes": False}, "pod_votes", False),
        ({"floors": {"errors": "0.05%"}}, "floors", {"errors": 0.0005}),
        (
            {"floors": {"slow": "0.1%", "errors": "0.1%"}},
            "floors",
            {"errors": 0.001, "slow": 0.001},
        ),
    ],
)
def test_a_word_of_the_plan_is_a_knob_of_the_judge(
    written: dict[str, Any], knob: str, value: object
) -> None:
    assert getattr(rules(**written), knob) == value
    assert getattr(rules(), knob) != value


def test_without_a_word_the_judge_has_its_defaults() -> None:
    given = rules()
    assert (given.alpha, given.beta, given.rho0) == (0.01, 0.05, 1.1)
    assert given.warm_up == timedelta(0)
    assert given.floors == {}
    assert given.pod_votes


def test_a_new_rollout_stakes_by_count_and_warms_up_what_is_slow_alone() -> None:
    given = rules()
    assert given.stakes is Stakes.counted
    assert (given.warm_up_blocks, given.warmed) == (1, ("slow",))
    assert (given.min_blocks, given.min_voted_blocks, given.suspect_blocks) == (3, 2, 2)
    assert given.excused == 10.0


def test_a_record_without_the_new_knobs_is_judged_as_it_was() -> None:
    older = JudgeRules.model_validate({"limits": {"errors": 0.01}})
    assert older.stakes is Stakes.fixed
    assert older.warmed is None
    assert older.min_voted_blocks is None
    assert older.suspect_blocks == 1
    assert older.excused is None


def test_a_rehearsal_clock_shortens_the_warm_up_too() -> None:
    short = plan(canary={"warm_up": "2m"}, rehearsal={"canary": "1m = 1s"})
    assert judge_rules(short, 10, has_stable=True).warm_up == timedelta(seconds=2)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({"alpha": "0%"}, "must be above 0%"),
        ({"alpha": "21%"}, "must be at most 20%, not 21%"),
        ({"beta": "50%"}, "must be at most 20%, not 50%"),
        ({"alpha": 0.01}, None),
        ({"alpha": 1}, "write a percentage"),
        ({"tolerance": 0.9}, "greater than or equal to 1"),
        ({"tolerance": 2}, "less than or equal to 1.5"),
        ({"tolerance": True}, "valid number"),
        ({"pod_votes": "yes"}, "valid boolean"),
        ({"warm_up": "10m"}, "leaves nothing of the deadline"),
        ({"warm_up": "-1s"}, "warm"),
        ({"floors": {"restarts": "1%"}}, "'errors' or 'slow'"),
        ({"floors": {"errors": "0%"}}, "must be above 0%"),
    ],
)
def test_what_the_judge_cannot_use_is_refused_by_name(
    written: dict[str, Any], told: str | None
) -> None:
    if told is None:
        assert rules(**written).alpha == 0.01
        return
    with pytest.raises(ValidationError, match=told):
        rules(**written)
