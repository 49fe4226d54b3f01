"""The soak: only healthy time counts."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.soak import NOTHING, SoakProgress, SoakWindow, exceeds

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
