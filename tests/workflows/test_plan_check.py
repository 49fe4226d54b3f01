"""Production's worker does not find the plan's rules in what it is asked: how the release ends."""

from __future__ import annotations

from domain.commands import CommandName
from domain.errors import PermanentFailure
from domain.judge.rules import OnQuiet
from domain.judge.verdict import Reason, Verdict
from domain.phases import Outcome, Phase
from domain.plan import CanaryPlan, ServicePlan
from domain.plan_rules import unheard_of, unplanned
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


async def test_what_a_release_asks_is_what_its_plan_says_step_by_step_and_under_load(
    world: World,
) -> None:
    plan = world.request.plan
    declared = {"on_quiet": "synthetic", "load": {"path": "/", "rate": 1}}
    loaded = plan.with_(canary=CanaryPlan.model_validate(declared))
    world.request = world.request.with_(plan=loaded)
    world.approves()
    world.canary_at(10).says((Verdict.HOLD, Reason.needs_load), (Verdict.HOLD, Reason.stable_bad))
    await world.release()
    asked = [call.asked for call in world.calls if call.name == "observe_step"]
    assert OnQuiet.advance in [one.rules.on_quiet for one in asked]
    assert [one.weight for one in asked][-1] == 100
    assert asked[-1].watch
    stored = ServicePlan.model_validate_json(loaded.model_dump_json())
    for number, one in enumerate(asked):
        assert unplanned(one, stored) == ()
        assert unheard_of(one, asked[:number]) == ()
