"""A bad release is undone: traffic first, everything back, and nothing stops it."""

from __future__ import annotations

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from domain.journal import UndoOutcome
from domain.judge.verdict import Reason, Verdict
from domain.phases import Outcome, Phase
from domain.traffic import TrafficSplit
from tests.support.conditions import eventually
from tests.support.release_records import plan, request, stable
from tests.support.release_world import PRODUCTION, STAGING, World
from workflows.resolving import Resolution
from workflows.rollback import RollbackWorkflow

WORSE = (Verdict.ROLL_BACK, Reason.worse)
UNDONE = [
    "undo restore-traffic in production",
    "undo retire-revision in production",
    "undo restore-capacity in production",
    "undo restore-entry in staging",
    "undo restore-traffic in staging",
    "undo retire-revision in staging",
]


def undone(world: World) -> list[str]:
    return [step for step in world.steps if step.startswith("undo")]


@pytest.mark.parametrize(
    ("weight", "given"), [(10, [10, 0]), (50, [10, 50, 0]), (100, [10, 50, 100, 0])]
)
async def test_a_canary_that_is_worse_gives_all_its_traffic_back_before_it_is_retired(
    world: World, weight: int, given: list[int]
) -> None:
    world.approves()
    world.canary_at(weight).says(WORSE)
    state = await world.release()
    assert state.outcome is Outcome.ROLLED_BACK
    assert state.verdicts[-1].verdict == "ROLL_BACK"
    assert world.weights == given
    assert undone(world) == UNDONE
    assert world.is_restored


async def test_what_turns_bad_after_promotion_is_rolled_back_by_the_watch(world: World) -> None:
    world.approves()
    world.canary_at(100, watch=True).says(WORSE)
    state = await world.release()
    assert state.outcome is Outcome.ROLLED_BACK
    assert world.weights == [10, 50, 100, 0]
    assert undone(world) == ["undo restore-entry in production", *UNDONE]
    assert world.is_restored


async def test_a_first_release_that_is_bad_leaves_nobody_with_it(world: World) -> None:
    world.first_release()
    world.approves()
    world.canary_at(100).says((Verdict.ROLL_BACK, Reason.over_limit))
    state = await world.release()
    assert state.outcome is Outcome.ROLLED_BACK
    assert world.clusters[PRODUCTION].split == TrafficSplit()
    assert world.is_restored


async def test_the_rollback_is_a_workflow_of_its_own_and_part_of_the_story(world: World) -> None:
    world.approves()
    world.canary_at(10).says(WORSE)
    state = await world.release()
    assert state.rollback == world.rollback().id
    assert state.stages[-1].phase is Phase.ROLLBACK
    report = await world.rollback().result()
    assert report.is_complete
    assert [r.compensation for r in report.results] == list(state.journal.undo_order())


@pytest.mark.parametrize("broken", ["create_revision", "shift_traffic", "observe_step"])
async def test_a_broken_machine_before_the_end_of_the_canary_rolls_back(
    world: World, broken: str
) -> None:
    world.approves()

    async def break_production() -> None:
        world.breaks(broken)

    world.when("confirm_approval", break_production)
    state = await world.release()
    assert state.outcome is Outcome.ROLLED_BACK
    assert state.sentence == f"{broken} is forbidden"
    assert world.is_restored


async def test_a_machine_that_breaks_while_settling_halts_on_the_new_revision_until_resumed(
    world: World,
) -> None:
    world.approves()
    world.breaks("settle_release")
    at_halt: list[int] = []

    async def resume() -> None:
        at_halt.append(world.clusters[PRODUCTION].split.weight_of("album-" + new))
        await world.signal_resume("otto")

    new = world.revision.removeprefix("album-")
    world.when_told("halted, nothing is changed: settle_release is forbidden", resume)
    state = await world.release()
    assert state.outcome is Outcome.RELEASED
    assert at_halt == [100]
    assert world.weights == [10, 50, 100]
    assert undone(world) == []


async def test_an_older_stable_is_brought_back_with_its_capacity(world: World) -> None:
    world.clusters[PRODUCTION].serve(stable(PRODUCTION, pods=7))
    world.approves()
    world.canary_at(10).says(WORSE)
    held: list[int] = []
    old = world.clusters[PRODUCTION].stable()
    assert old is not None

    async def look() -> None:
        held.append(world.clusters[PRODUCTION].minimums[old.revision])

    world.when("shift_traffic", look, lambda asked: asked.target.environment is PRODUCTION)
    await world.release()
    assert held == [7]
    assert world.clusters[PRODUCTION].minimums[old.revision] == old.min_replicas


class TestStuck:
    """Traffic cannot return: a person decides, and every pod stays alive until then."""

    @pytest.fixture(autouse=True)
    def _stuck_in_production(self, live: World) -> None:
        live.approves()
        live.canary_at(10).says(WORSE)

        async def break_it() -> None:
            live.breaks("undo")

        live.when("undo", break_it, lambda asked: asked.compensation.kind == "restore-traffic")

    async def paged(self, live: World) -> None:
        release = await live.starts()
        await eventually(lambda: any("tidegate resolve" in text for text in live.told))
        assert (await release.describe()).status is not None
        assert live.clusters[PRODUCTION].pods[live.revision] > 0
        assert undone(live) == UNDONE[:1]

    async def test_retry_goes_on_where_it_stood(self, live: World) -> None:
        await self.paged(live)
        answer = await live.resolve(Resolution.RETRY)
        assert answer.accepted
        assert answer.sentence.startswith(
            "retry by otto: otto says so; it was stuck at: return production traffic"
        )
        state = await live.handle().result()
        assert state.outcome is Outcome.ROLLED_BACK
        assert undone(live) == [UNDONE[0], *UNDONE]
        assert live.is_restored

    async def test_skip_leaves_it_open_and_undoes_the_rest(self, live: World) -> None:
        await self.paged(live)
        live.clusters[PRODUCTION].split = TrafficSplit.all_to(live.old_revision)
        await live.resolve(Resolution.SKIP)
        state = await live.handle().result()
        assert state.outcome is Outcome.ROLLBACK_INCOMPLETE
        assert undone(live) == UNDONE
        report = await live.rollback().result()
        assert report.results[0].outcome is UndoOutcome.SKIPPED

    async def test_give_up_destroys_nothing(self, live: World) -> None:
        await self.paged(live)
        await live.resolve(Resolution.GIVE_UP)
        state = await live.handle().result()
        assert state.outcome is Outcome.ROLLBACK_INCOMPLETE
        assert "still open: return production traffic" in state.stages[-1].sentence
        assert state.weight == 10
        assert undone(live) == UNDONE[:1]
        assert live.clusters[PRODUCTION].pods[live.revision] > 0

    async def test_somebody_who_may_not_resolves_nothing(self, live: World) -> None:
        await self.paged(live)
        live.refused_actors.add("mallory")
        answer = await live.resolve(Resolution.SKIP, "mallory")
        assert (answer.accepted, answer.sentence) == (
            False,
            "resolve-skip refused: mallory may not",
        )
        assert undone(live) == UNDONE[:1]
        stuck = (await live.rollback().query(RollbackWorkflow.state)).stuck
        assert stuck is not None
        assert stuck.compensation.kind == "restore-traffic"
        await live.resolve(Resolution.RETRY)
        assert (await live.handle().result()).outcome is Outcome.ROLLED_BACK

    async def test_the_page_says_the_command_that_goes_on(self, live: World) -> None:
        await self.paged(live)
        said = f"Say: tidegate resolve {live.request.release_id} retry|skip|give-up --reason TEXT"
        assert any(text.endswith(said) for text in live.told)
        await live.resolve(Resolution.RETRY)
        await live.handle().result()
        assert "retry by otto: otto says so" in live.told

    async def test_a_cancel_of_the_rollback_does_not_stop_it(self, live: World) -> None:
        await self.paged(live)
        await live.rollback().cancel()
        await live.resolve(Resolution.RETRY)
        assert (await live.handle().result()).outcome is Outcome.ROLLED_BACK
        assert live.is_restored


async def test_there_is_nothing_to_resolve_while_a_rollback_runs_by_itself(live: World) -> None:
    live.approves()
    live.canary_at(10).says(WORSE)
    refusals: list[str] = []

    async def resolve() -> None:
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await live.resolve(Resolution.SKIP)
        cause = refused.value.cause
        assert isinstance(cause, ApplicationError)
        refusals.append(cause.message)

    live.when("undo", resolve)
    state = await live.release()
    assert refusals == ["nothing to skip: the rollback is not stuck"]
    assert state.outcome is Outcome.ROLLED_BACK


async def test_an_undo_that_destroys_nobody_does_not_stop_the_rest(world: World) -> None:
    world.approves()
    world.canary_at(10).says(WORSE)

    async def break_it() -> None:
        world.breaks("undo")

    world.when("undo", break_it, lambda asked: asked.compensation.kind == "restore-capacity")
    state = await world.release()
    assert state.outcome is Outcome.ROLLBACK_INCOMPLETE
    assert undone(world) == UNDONE
    assert world.clusters[PRODUCTION].split == TrafficSplit.all_to(world.old_revision)
    report = await world.rollback().query(RollbackWorkflow.state)
    assert not report.is_complete
    assert "still open: set the autoscaler minimum" in report.sentence
    assert state.weight == 0


async def test_pods_that_cannot_be_retired_are_paged_and_stop_nothing(world: World) -> None:
    world.approves()
    world.canary_at(10).says(WORSE)

    async def break_it() -> None:
        world.breaks("undo")

    world.when("undo", break_it, lambda asked: asked.compensation.kind == "retire-revision")
    state = await world.release()
    assert state.outcome is Outcome.ROLLBACK_INCOMPLETE
    assert undone(world) == UNDONE
    paged = f"rollback of {world.request.release_id} goes on, but could not scale {world.revision}"
    assert any(text.startswith(paged) for text in world.told)


async def test_staging_is_undone_after_production(world: World) -> None:
    world.approves()
    world.canary_at(50).says(WORSE)
    await world.release()
    environments = [step.split()[-1] for step in undone(world)]
    assert environments == [str(PRODUCTION)] * 3 + [str(STAGING)] * 3


async def test_without_an_autoscaler_no_minimum_is_touched(world: World) -> None:
    bare = stable(PRODUCTION).with_(min_replicas=None)
    world.clusters[PRODUCTION].known[bare.revision] = bare
    world.request = request(plan=plan())
    world.approves()
    world.canary_at(10).says(WORSE)
    await world.release()
    assert "hold_capacity" not in {call.name for call in world.calls}
    assert "undo restore-capacity in production" not in undone(world)
