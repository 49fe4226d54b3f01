"""A hold is told within one stale period, once per reason, and when it is over; and bounded."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.holds import MOST_TELLINGS
from domain.judge.verdict import Reason, Verdict
from domain.phases import Outcome
from tests.support.release_world import World

HOLD, BACK, GOOD = Verdict.HOLD, Verdict.ROLL_BACK, Verdict.PROMOTE
STALE, SOON = timedelta(minutes=2), timedelta(seconds=10)
NO_DATA, OVER = (HOLD, Reason.no_data), (HOLD, Reason.gathering)
BOTH_BAD = (HOLD, Reason.both_bad)


def told_of_holds(world: World) -> list[str]:
    texts = [line for text in world.told for line in text.splitlines()]
    return [text for text in texts if "holding: " in text or "no longer held" in text]


async def test_ten_minutes_without_data_move_nothing_and_the_release_then_finishes_by_itself(
    world: World,
) -> None:
    """The source dies in the first step and answers again; people hear both, and do nothing."""
    world.approves()
    world.canary_at(10).says(NO_DATA, OVER)
    state = await world.release()
    assert state.outcome is Outcome.RELEASED
    assert world.weights == [10, 50, 100]
    first = state.verdicts[0]
    assert (first.weight, first.verdict, first.by) == (10, "PROMOTE", None)
    began, over = told_of_holds(world)
    assert began.startswith("alert: nobody sees the new revision at 10 %, which it keeps. holding:")
    assert over.startswith("no longer held for no data at 10 %: ")
    assert state.held is None


async def test_a_hold_is_told_within_one_stale_period_and_the_step_is_observed_on(
    world: World,
) -> None:
    world.approves()
    world.canary_at(10).says(BOTH_BAD, BOTH_BAD)
    world.when_told("holding: ", world.looks_at_the_hold)
    await world.release()
    first, second, third = [c.asked for c in world.calls if c.name == "observe_step"][:3]
    assert world.held is not None
    assert world.held.since - first.since < STALE + SOON
    # The rest of the same step with the same evidence: no look is longer for having been told.
    assert first.since == second.since == third.since
    assert first.ends_at - first.since == timedelta(minutes=40)
    assert second.ends_at - first.ends_at < SOON
    assert second.state is not None
    assert (first.told, second.told, third.told) == (None, Reason.both_bad, Reason.both_bad)


async def test_another_reason_is_told_anew_and_the_same_one_never_twice(world: World) -> None:
    world.approves()
    world.canary_at(10).says(NO_DATA, NO_DATA, BOTH_BAD, BOTH_BAD, NO_DATA)
    state = await world.release()
    assert state.outcome is Outcome.RELEASED
    reasons = [text.split("HOLD because ")[1].split(".")[0] for text in told_of_holds(world)]
    assert reasons == ["no_data", "both_bad", "no_data"]


async def test_a_source_that_comes_and_goes_is_told_so_often_and_then_at_deadlines_only(
    world: World,
) -> None:
    world.approves()
    world.canary_at(10).says(*[NO_DATA, OVER] * 12)
    state = await world.release()
    assert state.outcome is Outcome.RELEASED
    asked = [c.asked for c in world.calls if c.name == "observe_step" and c.asked.weight == 10]
    assert [one.tells for one in asked[: MOST_TELLINGS + 1]] == [True] * MOST_TELLINGS + [False]
    assert not any(one.tells for one in asked[MOST_TELLINGS:])
    told = told_of_holds(world)
    assert "It changes often: from now on told at deadlines only" in told[MOST_TELLINGS - 1]
    history = await world.handle().fetch_history()
    assert len(history.events) < 1000


async def test_the_next_step_may_be_told_again(world: World) -> None:
    world.approves()
    world.canary_at(10).says(*[NO_DATA, OVER] * 5)
    world.canary_at(50).says(NO_DATA)
    await world.release()
    at_50 = [c.asked for c in world.calls if c.name == "observe_step" and c.asked.weight == 50]
    assert at_50[0].tells
    assert at_50[0].told is None


async def test_a_watch_is_not_over_because_a_hold_in_it_is(world: World) -> None:
    """The judge finds the watched revision good again: that is told, and the watch goes on."""
    world.approves()
    world.canary_at(100, watch=True).says(NO_DATA, (GOOD, Reason.within_limit))
    state = await world.release()
    assert state.outcome is Outcome.RELEASED
    watches = [c.asked for c in world.calls if c.name == "observe_step" and c.asked.watch]
    assert [one.told for one in watches] == [None, Reason.no_data, None]
    assert len({one.ends_at.replace(second=0, microsecond=0) for one in watches}) <= 2


@pytest.mark.parametrize("reason", [Reason.no_data, Reason.both_bad, Reason.stable_bad])
async def test_a_held_canary_that_turns_out_worse_is_rolled_back(
    world: World, reason: Reason
) -> None:
    world.approves()
    world.canary_at(10).says((HOLD, reason), (BACK, Reason.worse))
    state = await world.release()
    assert state.outcome is Outcome.ROLLED_BACK
    assert world.weights == [10, 0]
    assert world.is_restored
    assert state.held is None
