"""A good release reaches everybody, with the plan's real durations."""

from __future__ import annotations

from datetime import timedelta

from temporalio.client import WorkflowExecutionStatus

from domain.judge.known import LastKnown
from domain.phases import Outcome, Phase
from domain.plan import HOUR
from domain.release import ReleaseState
from tests.support.release_records import plan, request
from tests.support.release_world import PRODUCTION, STAGING, World

LONGEST_HISTORY = 600


def elapsed(state: ReleaseState) -> timedelta:
    assert state.ended_at is not None
    return state.ended_at - state.started_at


async def test_a_good_release_takes_every_step_in_order_and_serves_everybody(world: World) -> None:
    world.approves()
    state = await world.release()
    assert state.outcome is Outcome.RELEASED
    assert world.steps == [
        "run unit tests",
        "judge report",
        "create in staging",
        "staging 100 %",
        "freeze evidence",
        "create in production",
        "production 10 %",
        "judge 10 %",
        "production 50 %",
        "judge 50 %",
        "production 100 %",
        "judge 100 %",
        "watch 100 %",
        "settle in production",
        "settle in staging",
    ]
    for cluster in world.clusters.values():
        assert cluster.split.weight_of(state.revision) == 100
        assert cluster.entry == state.revision


async def test_the_plans_durations_really_pass(world: World) -> None:
    world.approves()
    state = await world.release()
    stages = {stage.phase: stage for stage in state.stages}
    took = {p: s.ended_at - s.started_at for p, s in stages.items() if s.ended_at is not None}
    assert took[Phase.SOAK] >= 24 * HOUR
    assert took[Phase.CANARY] >= 3 * timedelta(minutes=3)
    assert took[Phase.WATCH] >= timedelta(minutes=30)
    assert elapsed(state) < 26 * HOUR


async def test_the_story_is_told_stage_by_stage_with_its_verdicts(world: World) -> None:
    world.approves()
    state = await world.release()
    phases = [stage.phase for stage in state.stages]
    assert phases == [p for p in Phase if p not in (Phase.ROLLBACK, Phase.DONE)]
    assert all(stage.ok and stage.sentence for stage in state.stages)
    assert [(v.weight, v.verdict) for v in state.verdicts] == [
        (weight, "PROMOTE") for weight in (10, 50, 100, 100)
    ]
    assert world.told[0] == "release of album cccccccccc started"
    assert world.told[-1] == "RELEASED: album serves everybody"
    assert state.thread == f"thread of {state.request.release_id}"


async def test_a_first_release_goes_to_everybody_at_once_and_says_so(world: World) -> None:
    world.first_release()
    world.approves()
    state = await world.release()
    assert state.outcome is Outcome.RELEASED
    assert state.stages[0].sentence == "first release: nothing of album serves in production yet"
    assert [s for s in world.steps if s.startswith("production")] == ["production 100 %"]
    judged = [call.asked for call in world.calls if call.name == "observe_step"]
    assert not any(asked.rules.control_arm for asked in judged)
    assert state.rehearsal is not None
    assert not state.rehearsal.tried


async def test_the_old_revision_keeps_its_pods_until_the_release_has_settled(world: World) -> None:
    production = world.clusters[PRODUCTION]
    old = production.stable()
    assert old is not None
    seen: list[int] = []

    async def look() -> None:
        seen.append(production.pods[old.revision])

    world.when("settle_release", look)
    world.approves()
    await world.release()
    assert seen == [old.ready_pods]
    assert production.pods[old.revision] == 0


async def test_a_quorum_of_two_takes_two_people(world: World) -> None:
    world.request = request(plan=plan(approval={"quorum": 2}))
    world.approves("ann", "ann", "paul")
    state = await world.release()
    assert state.outcome is Outcome.RELEASED
    assert [a.principal for a in state.approvals] == ["ann", "paul"]


async def test_the_bundle_that_serves_already_is_not_released_again(world: World) -> None:
    world.request = request("0" * 40)
    state = await world.release()
    assert state.outcome is Outcome.FAILED
    assert state.sentence.startswith("this very bundle serves production already")
    assert world.is_restored


async def test_the_lanes_are_closed_when_nobody_uses_them(world: World) -> None:
    world.approves()
    await world.release()
    for environment in (STAGING, PRODUCTION):
        await world.lane(environment).result()
        description = await world.lane(environment).describe()
        assert description.status is WorkflowExecutionStatus.COMPLETED


async def test_a_release_of_a_day_fits_its_history(world: World) -> None:
    world.approves()
    await world.release()
    history = await world.handle().fetch_history()
    print(f"history of a 24 h release: {len(history.events)} events")  # noqa: T201
    assert len(history.events) <= LONGEST_HISTORY


TEMPORALS_OWN = ("BuildIds", "TemporalChangeVersion")


async def test_lists_can_be_filtered_by_what_people_ask_for(live: World) -> None:
    live.approves()
    await live.release()
    found = (await live.handle().describe()).typed_search_attributes
    assert {pair.key.name: pair.value for pair in found} == {
        "TidegateService": "album",
        "TidegateCommit": "c" * 10,
        "TidegatePhase": "done",
        "TidegateOutcome": "RELEASED",
        "TidegateWeight": 100,
    } | {pair.key.name: pair.value for pair in found if pair.key.name in TEMPORALS_OWN}


async def test_what_cannot_be_settled_in_staging_is_told_and_keeps_nobody_waiting(
    world: World,
) -> None:
    world.approves()

    async def breaks() -> None:
        world.breaks("settle_release")

    world.when("settle_release", breaks, lambda asked: asked.target.environment is STAGING)
    state = await world.release()
    assert state.outcome is Outcome.RELEASED
    assert any("left in staging: settle_release is forbidden" in text for text in world.told)


async def test_where_the_old_revision_serves_no_more_it_is_judged_by_what_it_was_known_like(
    world: World,
) -> None:
    world.approves()
    await world.release()
    asked = [call.asked for call in world.calls if call.name == "observe_step"]
    known = {"errors": LastKnown(requests=8000, bad=4)}
    told = [(one.weight, one.watch, one.rules.last_known) for one in asked]
    assert told == [(10, False, {}), (50, False, {}), (100, False, known), (100, True, known)]
