"""A plan on the rehearsal clock keeps the statistics of the plan, and its words keep plan time."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from domain.errors import PermanentFailure
from domain.judge import judge, observe
from domain.observed import ObservedBlocks, begin
from domain.plan import ServicePlan
from domain.plan_time import told_in_plan_time
from domain.policy import Policy, violations
from domain.rehearsal import (
    LOOSEST,
    check_speed,
    default_speed,
    in_plan_time,
    longest,
    not_simulated,
    parse_rate,
    rates,
    rehearsed,
    stand_in,
)
from domain.rejudge import StoredVerdict
from tests.support.release_records import plan
from tests.support.stored_verdicts import PastRelease

# It divides every time of the plan into whole microseconds.
SPEED = 50.0
WRITTEN = plan(
    tests={"unit": "make test", "critical": [{"path": "/albums", "contains": "x", "status": 201}]}
)


def test_a_planned_minute_has_as_many_requests_as_the_real_one_in_either_environment() -> None:
    on_clock = rehearsed(WRITTEN, SPEED)
    users = rates(on_clock, 5)
    canary, soak = on_clock.rehearsal.canary, on_clock.rehearsal.soak
    minute = timedelta(minutes=1)
    for rate, clock, per_second in ((users.production, canary, 5), (users.staging, soak, 0.5)):
        real = clock.scale(minute).total_seconds()
        assert rate * SPEED * real == pytest.approx(per_second * 60, rel=1e-3)


def test_the_clock_scales_what_people_wait_for_and_the_judge_sees_the_plans_blocks() -> None:
    on_clock = rehearsed(WRITTEN, SPEED)
    pace = on_clock.pace
    assert pace.block * SPEED == WRITTEN.canary.block
    assert pace.step_deadline * SPEED == WRITTEN.canary.deadline
    assert on_clock.canary == WRITTEN.canary
    assert on_clock.limits == WRITTEN.limits
    assert on_clock.soak.duration == WRITTEN.soak.duration


def test_what_needs_the_services_code_is_left_out() -> None:
    tests = rehearsed(WRITTEN, SPEED).tests
    assert (tests.unit, tests.coverage) == (None, 0.0)
    assert [(check.path, check.contains, check.status) for check in tests.critical] == [
        ("/albums", None, 200)
    ]


def test_the_soak_is_watched_in_few_windows_with_some_scrapes_each() -> None:
    on_clock = rehearsed(WRITTEN, SPEED)
    assert on_clock.soak.window == timedelta(hours=2)
    assert on_clock.pace.soak_window >= 4 * timedelta(seconds=10) / SPEED
    assert on_clock.pace.soak <= timedelta(seconds=10)
    told = not_simulated(WRITTEN, on_clock, SPEED)
    assert any("2h each in place of 30m" in one for one in told)
    least = plan(soak={"min_requests": 20})
    assert rehearsed(least, SPEED).soak.min_requests == 80
    few = plan(soak={"duration": "2h", "window": "30m"})
    assert rehearsed(few, SPEED).soak.window == timedelta(minutes=30)


@pytest.mark.parametrize("written", [WRITTEN, plan(soak={"duration": "10s", "window": "5s"})])
def test_the_rehearsals_own_policy_accepts_every_plan_of_it(written: ServicePlan) -> None:
    policy = Policy.model_validate({"rehearsal": True, "floors": LOOSEST})
    for on_clock in (rehearsed(written, SPEED), stand_in(written, SPEED)):
        assert list(violations(on_clock, policy)) == []
        # Its own rules hold as well: no wait is too short or too long to be waited.
        type(on_clock).model_validate_json(on_clock.model_dump_json())


def test_metrics_of_its_own_are_not_asked_of_the_sandbox_and_that_is_said() -> None:
    written = plan(metrics={"template": "istio"})
    on_clock = rehearsed(written, SPEED)
    assert on_clock.metrics == WRITTEN.metrics
    assert any("the plan's metrics" in one for one in not_simulated(written, on_clock, SPEED))


def test_the_default_speed_lets_the_example_pass_in_a_minute_and_is_bounded() -> None:
    assert default_speed(WRITTEN) == 60
    assert default_speed(plan(canary={"watch": "24h"})) == 200
    quick = plan(canary={"min_bake": "1s", "deadline": "1s", "watch": "1s"})
    assert default_speed(quick) == 1
    assert longest(rehearsed(WRITTEN, SPEED)) < timedelta(minutes=8)


@pytest.mark.parametrize("speed", [0, 0.5, 200.1, float("nan"), float("inf")])
def test_a_speed_that_would_change_the_judges_blocks_is_refused(speed: float) -> None:
    with pytest.raises(PermanentFailure, match="must be from 1 to 200"):
        check_speed(speed)
    assert check_speed(200) == 200


def test_traffic_is_requests_per_second() -> None:
    assert (parse_rate("5rps"), parse_rate(" 0.5 rps ")) == (5, 0.5)
    for text in ("5", "5/s", "-1rps", "rps", "1e3rps", "nan rps"):
        with pytest.raises(PermanentFailure, match="for example 5rps"):
            parse_rate(text)


@pytest.mark.parametrize("text", ["0rps", "0.0000000001rps", "10001rps", "9" * 400 + "rps"])
def test_traffic_that_tells_nothing_or_cannot_be_simulated_is_refused(text: str) -> None:
    with pytest.raises(PermanentFailure, match=r"must be from 0.001rps to 10000rps"):
        parse_rate(text)


def test_verdicts_of_a_rehearsal_are_told_in_plan_time_word_for_word() -> None:
    """The same blocks, in real time and fifty times as fast, give the same sentences."""
    real = PastRelease()
    for weight in (10, 50, 100):
        real.take(weight, canary_bad=(0, 1))
    clock = plan(rehearsal={"canary": "50s = 1s"})
    told = told_in_plan_time(quickened(real.stored, clock), clock)
    for stored, step in zip(real.stored, told, strict=True):
        judgement = stored.record.judgement
        assert step.spoken.judgement.sentence == judgement.sentence
        assert step.spoken.judgement.verdict == judgement.verdict
        assert step.spoken.judgement.elapsed == judgement.elapsed


def quickened(stored: list[StoredVerdict], clock: ServicePlan) -> list[StoredVerdict]:
    """The release as it goes on a clock fifty times as fast, judged there."""
    origin, state, done = stored[0].record.step.since, None, []
    for one in stored:
        step = one.record.step

        rules = in_plan_time(step.rules, plan(rehearsal={"canary": "1s = 50s"}))
        request = step.with_(
            rules=rules,
            since=at(origin, step.since),
            ends_at=at(origin, step.ends_at),
            block=step.block / SPEED,
            state=state,
        )
        blocks = tuple(
            block.model_copy(
                update={"start": at(origin, block.start), "end": at(origin, block.end)}
            )
            for block in one.blocks
        )
        state = begin(request)
        for block in blocks:
            state = observe(state, rules, block)
        judgement = judge(state, rules, blocks[-1].end - request.since)
        record = ObservedBlocks(step=request, earlier=(), blocks=blocks, judgement=judgement)
        done.append(StoredVerdict(record, blocks))
    return done


def at(origin: datetime, moment: datetime) -> datetime:
    return origin + (moment - origin) / SPEED
