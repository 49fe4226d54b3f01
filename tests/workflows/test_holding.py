"""No verdict without evidence; a pause keeps watching: what a release does while it waits."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from domain.commands import CommandName
from domain.judge.verdict import Reason, Verdict
from domain.phases import Outcome, Phase
from domain.plan import HOUR
from domain.release import ReleaseState
from tests.support.release_world import World

HOLD, BACK, GOOD = Verdict.HOLD, Verdict.ROLL_BACK, Verdict.PROMOTE
STEP = timedelta(minutes=10)


def length_of(state: ReleaseState, phase: Phase) -> timedelta:
    stage = next(stage for stage in state.stages if stage.phase is phase)
    assert stage.ended_at is not None
    return stage.ended_at - stage.started_at


@pytest.mark.parametrize("reason", [Reason.both_bad, Reason.no_traffic, Reason.no_data])
async def test_a_canary_without_a_verdict_holds_at_its_weight_and_goes_on_when_there_is_one(
    world: World, reason: Reason
) -> None:
    world.approves()
    world.canary_at(10).says((HOLD, reason), (HOLD, reason), (HOLD, reason))
    state = await world.release()
    assert state.outcome is Outcome.RELEASED
    assert world.weights == [10, 50, 100]
    # The first look ends when people must hear of it; then the step with its three extensions.
    assert length_of(state, Phase.CANARY) >= (4 + 1) * STEP
    assert len([text for text in world.told if f"holding: HOLD because {reason}" in text]) == 1


async def test_after_the_last_deadline_a_look_lasts_an_hour_unless_there_is_news(
    world: World,
) -> None:
    """Every look carries the judge's state into the history: a weekend's hold must be few."""
    world.approves()
    world.canary_at(10).says(*[(HOLD, Reason.both_bad)] * 5)
    world.canary_at(100, watch=True).says(*[(HOLD, Reason.no_data)] * 3)
    await world.release()
    looks = [call.asked for call in world.calls if call.name == "observe_step"]
    begun = [one for one in looks if one.weight == 10]
    ends = [one.ends_at - begun[0].since for one in begun]
    assert all(end > 4 * STEP for end in ends[2:])
    late = [later.ends_at - one.ends_at for one, later in pairwise(begun[2:])]
    assert late
    assert all(length >= HOUR for length in late)
    after = [one for one in looks if one.weight == 100 and not one.watch][1:]
    assert all(one.tells for one in (*begun, *after))
    assert all(one.ends_at - one.since >= 3 * STEP + HOUR for one in after)


async def test_a_hold_ends_in_a_rollback_when_the_canary_turns_out_worse(world: World) -> None:
    world.approves()
    world.canary_at(50).says((HOLD, Reason.both_bad), (BACK, Reason.worse))
    state = await world.release()
    assert state.outcome is Outcome.ROLLED_BACK
    assert world.weights == [10, 50, 0]
    assert world.is_restored


async def test_a_watch_without_evidence_goes_on_until_there_is_some(world: World) -> None:
    world.approves()
    world.canary_at(100, watch=True).says((HOLD, Reason.no_data), (HOLD, Reason.no_data))
    world.canary_at(100).says((GOOD, Reason.within_limit), (HOLD, Reason.no_data))
    state = await world.release()
    assert state.outcome is Outcome.RELEASED
    assert length_of(state, Phase.WATCH) >= 3 * STEP + STEP
    looks = [call.asked.watch for call in world.calls if call.name == "observe_step"]
    assert looks == [False, False, False, True, True, False, False]


class TestPaused:
    """Paused at 10 %: nobody more gets the canary, and it is watched all the time."""

    @pytest.fixture(autouse=True)
    def _paused_at_10(self, world: World) -> None:
        async def pause() -> None:
            await world.signal(CommandName.PAUSE, "otto")

        world.approves()
        world.when("observe_step", pause)

    def resumes_at_guard(self, world: World, number: int) -> None:
        async def resume() -> None:
            await world.signal(CommandName.RESUME, "otto")

        async def count() -> None:
            self.resumes_at_guard(world, number - 1)

        world.when(
            "observe_step", resume if number == 1 else count, lambda asked: asked.weight == 10
        )

    async def test_it_goes_on_after_resume(self, world: World) -> None:
        self.resumes_at_guard(world, 4)
        state = await world.release()
        assert state.outcome is Outcome.RELEASED
        assert world.weights == [10, 50, 100]
        assert length_of(state, Phase.CANARY) >= 2 * 4 * STEP

    async def test_it_is_watched_while_it_is_paused(self, world: World) -> None:
        self.resumes_at_guard(world, 4)
        await world.release()
        at_10 = [s for s in world.steps if s.endswith(" 10 %")]
        judged_anew = "judge 10 %"
        assert at_10 == ["production 10 %", "judge 10 %", *["watch 10 %"] * 3, judged_anew]

    async def test_after_resume_it_is_judged_anew_before_anybody_more_gets_it(
        self, world: World
    ) -> None:
        self.resumes_at_guard(world, 2)
        world.canary_at(10).says((GOOD, Reason.relative), (BACK, Reason.worse))
        state = await world.release()
        assert state.outcome is Outcome.ROLLED_BACK
        assert world.weights == [10, 0]

    async def test_it_is_rolled_back_if_the_canary_gets_worse(self, world: World) -> None:
        world.canary_at(10, watch=True).says((GOOD, Reason.relative), (BACK, Reason.worse))
        state = await world.release()
        assert state.outcome is Outcome.ROLLED_BACK
        assert world.weights == [10, 0]
        assert world.is_restored

    async def test_it_is_watched_even_when_there_is_no_verdict_yet(self, world: World) -> None:
        world.canary_at(10).says((HOLD, Reason.no_traffic), (BACK, Reason.worse))
        state = await world.release()
        assert state.outcome is Outcome.ROLLED_BACK
        assert world.weights == [10, 0]


async def test_a_pause_before_the_canary_creates_nothing_in_production(world: World) -> None:
    seen: list[str] = []

    async def resume() -> None:
        seen.extend(world.steps)
        await world.signal(CommandName.RESUME, "otto")

    async def pause() -> None:
        await world.signal(CommandName.PAUSE, "otto")
        world.when("await_release_end", resume)

    async def approve() -> None:
        await world.signal(CommandName.APPROVE, "ann")

    world.when_told("approval needed", pause)
    world.when_told("pause by otto", approve)
    state = await world.release()
    assert state.outcome is Outcome.RELEASED
    assert seen
    assert "create in production" not in seen
