"""Production's worker does not find the plan's rules in what it is asked: how the release ends."""

from __future__ import annotations

from domain.commands import CommandName
from domain.errors import PermanentFailure
from domain.judge.verdict import Reason, Verdict
from domain.phases import Outcome, Phase
from tests.support.release_world import World

OTHERWISE = PermanentFailure("to be judged otherwise than the plan says: alpha: given 1e-300")


async def test_a_canary_that_was_to_be_judged_otherwise_than_planned_is_rolled_back(
    world: World,
) -> None:
    world.approves()
    world.script("observe_step", OTHERWISE)
    state = await world.release()
    assert state.outcome is Outcome.ROLLED_BACK
    assert "alpha: given 1e-300" in state.sentence
    assert world.weights == [10, 0]
    assert world.is_restored


async def test_a_watch_that_was_to_be_judged_otherwise_halts_until_a_person_says_what_to_do(
    live: World,
) -> None:
    async def abort() -> None:
        await live.signal(CommandName.ABORT, "otto")

    live.approves()
    live.script("observe_step", None, None, None, OTHERWISE)
    live.when_told("halted, nothing is changed: to be judged otherwise", abort)
    state = await live.release()
    assert state.outcome is Outcome.ABORTED
    assert Phase.WATCH in [one.phase for one in state.stages]
    assert live.is_restored


async def test_a_plan_that_cannot_be_verified_holds_is_told_and_moves_nothing(
    world: World,
) -> None:
    world.approves()
    world.canary_at(10).says((Verdict.HOLD, Reason.plan_unverified))
    state = await world.release()
    assert any("holding: HOLD because plan_unverified" in text for text in world.told)
    assert state.outcome is Outcome.RELEASED
    assert world.weights == [10, 50, 100]
