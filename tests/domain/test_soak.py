"""The soak: only healthy time counts."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.judge.counts import Block, Counts
from domain.plan import Limits
from domain.soak import (
    SoakProgress,
    SoakRecord,
    SoakWindow,
    exceeds,
    known_time,
    problem_in,
    requests_in,
)
from domain.soak_plan import SoakPlan
from domain.soak_windows import NOTHING, counted
from tests.support.release_records import NOON

HOUR = timedelta(hours=1)
WINDOW = timedelta(minutes=30)
healths = st.lists(st.booleans(), max_size=80)
rules = st.sampled_from(["pause", "reset", "credit"])
lengths = st.timedeltas(min_value=timedelta(milliseconds=1), max_value=timedelta(days=3))


def window(*, healthy: bool, length: timedelta = WINDOW) -> SoakWindow:
    return SoakWindow(length=length, healthy=healthy, sentence="healthy" if healthy else "crashed")


def earn(
    goal: timedelta, longest: timedelta, seen: list[bool], on_unhealthy: str
) -> list[SoakProgress]:
    """Every progress on the way, as the workflow makes it; stops when the goal is earned."""
    story = [SoakProgress(goal=goal)]
    for healthy in seen:
        if story[-1].is_earned:
            break
        length = story[-1].next_window(longest)
        story.append(story[-1].add(window(healthy=healthy, length=length), on_unhealthy))
    return story


@given(lengths, lengths, healths, rules)
def test_no_more_is_earned_than_has_passed_and_never_more_than_the_goal(
    goal: timedelta, longest: timedelta, seen: list[bool], on_unhealthy: str
) -> None:
    for progress in earn(goal, longest, seen, on_unhealthy):
        assert NOTHING <= progress.earned <= min(progress.elapsed, goal)


@given(lengths, lengths, rules)
def test_healthy_windows_alone_earn_exactly_the_goal_in_exactly_its_time(
    goal: timedelta, longest: timedelta, on_unhealthy: str
) -> None:
    progress = SoakProgress(goal=goal)
    for _ in range(200):
        if progress.is_earned:
            assert progress.earned == progress.elapsed == goal
            break
        length = progress.next_window(max(longest, goal / 100))
        progress = progress.add(window(healthy=True, length=length), on_unhealthy)
    else:
        pytest.fail(f"never earned: {progress}")


@given(healths)
def test_paused_unhealthy_time_neither_earns_nor_costs(seen: list[bool]) -> None:
    last = earn(24 * HOUR, WINDOW, seen, "pause")[-1]
    assert last.earned == (last.windows - last.unhealthy) * WINDOW
    assert last.resets == 0


@given(healths)
def test_a_reset_leaves_only_the_healthy_time_since_the_last_unhealthy_window(
    seen: list[bool],
) -> None:
    last = earn(24 * HOUR, WINDOW, seen, "reset")[-1]
    lived = seen[: last.windows]
    since = lived[::-1].index(False) if False in lived else len(lived)
    assert last.earned == since * WINDOW
    assert last.resets == last.unhealthy == lived.count(False)


def test_credit_takes_back_as_much_as_was_unhealthy_but_never_below_nothing() -> None:
    story = earn(24 * HOUR, WINDOW, [False, True, True, False, False, False], "credit")
    assert [p.earned / WINDOW for p in story] == [0, 0, 1, 2, 1, 0, 0]


def test_credit_takes_nothing_back_for_time_that_nobody_saw() -> None:
    soaked = SoakProgress(goal=24 * HOUR, earned=10 * HOUR)
    bad = SoakWindow(length=3 * HOUR, healthy=False, sentence="crashed", unknown=2 * HOUR)
    assert soaked.add(bad, "credit").earned == 9 * HOUR


def test_the_last_window_is_as_short_as_what_is_left() -> None:
    progress = SoakProgress(goal=HOUR, earned=timedelta(minutes=50))
    assert progress.next_window(WINDOW) == timedelta(minutes=10)


def test_the_sentence_tells_what_is_earned_what_was_unhealthy_and_how_often_it_began_again() -> (
    None
):
    last = earn(24 * HOUR, WINDOW, [True, False, True], "reset")[-1]
    assert last.sentence == (
        "30m of 1d healthy time earned, 1 of 3 windows unhealthy, started again 1 times"
    )


@pytest.mark.parametrize("rule", ["pause", "reset", "credit"])
def test_what_is_not_known_earns_nothing_and_costs_nothing(rule: str) -> None:
    earned = SoakProgress(goal=24 * HOUR, earned=10 * HOUR)
    blind = SoakWindow(length=HOUR, healthy=False, unknown=HOUR, sentence="no metrics")
    after = earned.add(blind, rule)
    assert (after.earned, after.unhealthy, after.resets) == (10 * HOUR, 0, 0)
    assert (after.elapsed, after.unknown) == (HOUR, HOUR)
    assert after.sentence == "10h of 1d healthy time earned, 1h not known"
    partly = SoakWindow(length=HOUR, healthy=True, unknown=HOUR / 4, sentence="healthy")
    assert after.add(partly, rule).earned == 10.75 * HOUR


def test_a_window_that_lasted_longer_earns_no_more_than_the_goal() -> None:
    nearly = SoakProgress(goal=HOUR, earned=0.9 * HOUR)
    assert nearly.add(window(healthy=True, length=HOUR), "pause").earned == HOUR


def test_a_window_of_another_bundle_counts_for_nothing() -> None:
    progress = SoakProgress(goal=24 * HOUR, earned=23 * HOUR, bundle="album@sha256:1")
    own = window(healthy=True).with_(bundle="album@sha256:1")
    assert progress.add(own, "pause").earned == 23.5 * HOUR
    foreign = progress.add(own.with_(bundle="album@sha256:2"), "pause")
    assert foreign.earned == NOTHING
    assert foreign.drift == "the window is of album@sha256:2"


def test_a_record_says_whose_soak_it_is() -> None:
    progress = SoakProgress(goal=HOUR, earned=HOUR, bundle="album@sha256:1")
    record = SoakRecord(plan=SoakPlan(), progress=progress)
    assert record.is_of("album@sha256:1")
    assert not record.is_of("album@sha256:2")


def block(minutes: float, after: float = 0, **counts: Counts) -> Block:
    start = NOON + timedelta(minutes=after)
    return Block(start=start, end=start + timedelta(minutes=minutes), counts=dict(counts))


def test_an_outage_of_the_source_is_not_known_time_but_what_it_bridges_is_judged() -> None:
    bad = Counts(canary_requests=100, canary_bad=50, stable_requests=0, stable_bad=0)
    fine = Counts(canary_requests=100, canary_bad=0, stable_requests=0, stable_bad=0)
    blocks = [block(1, errors=fine), block(60, 1, errors=fine), block(1, 61, errors=fine)]
    assert known_time(blocks) == timedelta(minutes=2)
    assert requests_in(blocks) == 300
    assert problem_in(counted(blocks), Limits()) is None
    blocks[1] = block(60, 1, errors=bad)
    assert problem_in(counted(blocks), Limits()) == "50 of 300 requests errors (16.67%, limit 1%)"
    assert problem_in(counted([block(1, restarts=bad)]), Limits()) == "50 container restarts"
    assert (
        problem_in(counted([block(1, slow=bad)]), Limits())
        == "50 of 100 requests slow (50%, limit 5%)"
    )


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_at_a_limit_of_zero_any_bad_request_exceeds_it_and_at_one_none(
    requests: int, bad: int
) -> None:
    bad = min(bad, requests)
    assert exceeds(requests, bad, 0.0) == (bad > 0)
    assert not exceeds(requests, bad, 1.0)


@given(st.integers(1, 2000), st.integers(1, 2000), st.floats(1e-12, 0.999))
def test_more_bad_requests_never_look_better(requests: int, bad: int, limit: float) -> None:
    bad = min(bad, requests)
    assert exceeds(requests, bad, limit) >= exceeds(requests, bad - 1, limit)
