"""Lanes: one release of a service at a time; what a terminated one left is undone first."""

from __future__ import annotations

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import TerminatedError

from domain.commands import CommandName
from domain.judge.verdict import Reason, Verdict
from domain.phases import Outcome
from domain.traffic import TrafficSplit
from tests.support.conditions import eventually
from tests.support.release_records import plan, request
from tests.support.release_world import PRODUCTION, STAGING, World
from tests.workflows.conftest import SHORT

UNDONE = [
    f"undo {kind} in production"
    for kind in ("restore-traffic", "retire-revision", "restore-capacity")
]


async def test_the_second_release_gets_into_staging_only_after_the_first_has_soaked(
    live: World,
) -> None:
    first, second = live.also("a" * 40), live.also("b" * 40)
    waiting: list[str] = []

    async def look() -> None:
        await eventually(lambda: _queued(live, second.release_id))
        waiting.append((await live.lane_state(STAGING)).queue[0].release_id)

    live.when("check_revision", look)
    for one in (first, second):
        live.approves(release=one.release_id)
    ahead, behind = await live.starts_in_order(first, second)
    done = [await release.result() for release in (ahead, behind)]
    assert [state.outcome for state in done] == [Outcome.RELEASED] * 2
    assert waiting == [second.release_id]
    in_staging = [
        (call.name, call.asked.target.release_id)
        for call in live.calls
        if call.name in ("create_revision", "earn_window")
        and call.asked.target.environment is STAGING
    ]
    ends, begins = ("earn_window", first.release_id), ("create_revision", second.release_id)
    assert in_staging.count(ends) == 2
    assert in_staging.index(begins) == 3
    await live.lane(STAGING).result()


async def _queued(live: World, release_id: str) -> bool:
    lane = await live.lane_state(STAGING)
    return [ticket.release_id for ticket in lane.queue] == [release_id]


async def test_a_release_that_fails_lets_the_next_one_in(live: World) -> None:
    first, second = live.also("a" * 40), live.also("b" * 40)
    live.script("create_revision", "pod album-1 crashed 3 times")
    live.approves(release=second.release_id)
    failed, released = await live.starts_in_order(first, second)
    assert {(await failed.result()).outcome, (await released.result()).outcome} == {
        Outcome.FAILED,
        Outcome.RELEASED,
    }


async def test_what_a_terminated_canary_left_is_rolled_back_before_the_next_is_admitted(
    live: World,
) -> None:
    first, second = live.also("a" * 40), live.also("b" * 40)

    async def terminate() -> None:
        await live.handle(first.release_id).terminate("somebody clicked terminate")

    live.when("observe_step", terminate)
    for one in (first, second):
        live.approves(release=one.release_id)
    ahead, behind = await live.starts_in_order(first, second)
    with pytest.raises(WorkflowFailureError) as ended:
        await ahead.result()
    assert isinstance(ended.value.cause, TerminatedError)
    released = await behind.result()
    rollback = await live.rollback(first.release_id).describe()
    assert rollback.status is WorkflowExecutionStatus.COMPLETED
    assert (await live.rollback(first.release_id).result()).is_complete
    assert released.outcome is Outcome.RELEASED
    production = [step for step in live.steps if step.endswith("in production")]
    assert production == ["create in production", *UNDONE, "create in production"]
    assert live.weights == [10, 0, 10, 50, 100]


async def test_a_terminated_soak_is_rolled_back_by_stagings_lane(live: World) -> None:
    async def terminate() -> None:
        await live.handle().terminate("somebody clicked terminate")

    live.when("earn_window", terminate)
    release = await live.starts()
    with pytest.raises(WorkflowFailureError):
        await release.result()
    await live.lane(STAGING).result()
    assert (await live.rollback().result()).is_complete
    assert live.is_restored


async def test_a_release_terminated_during_its_own_rollback_keeps_the_lane_until_it_is_done(
    live: World,
) -> None:
    async def terminate() -> None:
        await live.handle().terminate("somebody clicked terminate")

    live.approves()
    live.canary_at(10).says((Verdict.ROLL_BACK, Reason.worse))
    live.when("undo", terminate)
    release = await live.starts()
    with pytest.raises(WorkflowFailureError):
        await release.result()
    await live.lane(PRODUCTION).result()
    assert (await live.rollback().describe()).status is WorkflowExecutionStatus.COMPLETED
    assert live.is_restored


async def test_a_newer_bundle_that_has_soaked_supersedes_the_one_that_waits(live: World) -> None:
    older, newer = live.also("a" * 40), live.also("b" * 40)
    live.approves("ann", release=newer.release_id)
    waiting, younger = await live.starts_in_order(older, newer)
    released = await younger.result()
    superseded = await waiting.result()
    assert released.outcome is Outcome.RELEASED
    assert superseded.outcome is Outcome.SUPERSEDED
    assert superseded.sentence == f"superseded by {newer.release_id} (bbbbbbbbbb)"
    for environment in (STAGING, PRODUCTION):
        assert live.clusters[environment].split == TrafficSplit.all_to(released.revision)


async def test_a_plan_that_keeps_waits_on_although_something_newer_has_soaked(
    live: World,
) -> None:
    keep = plan(**SHORT, approval={"on_newer": "keep"})
    older, newer = request("a" * 40, plan=keep), request("b" * 40, plan=keep)

    async def approve_the_older() -> None:
        await live.signal(CommandName.APPROVE, "ann", release=older.release_id)

    live.when_told(f"tidegate approve {newer.release_id}", approve_the_older)
    waiting, younger = await live.starts_in_order(older, newer)
    assert (await waiting.result()).outcome is Outcome.RELEASED
    await younger.terminate("the test is over")


async def test_a_rejection_counts_while_an_approved_release_waits_for_the_lane(
    live: World,
) -> None:
    first = live.also("a" * 40)
    second = live.also("b" * 40)

    async def keep_the_first_in_production() -> None:
        await live.signal(CommandName.PAUSE, "otto", release=first.release_id)

    async def reject() -> None:
        await live.signal(CommandName.REJECT, "paul", release=second.release_id)

    async def resume() -> None:
        await live.signal(CommandName.RESUME, "otto", release=first.release_id)

    live.approves("ann", release=first.release_id)
    live.approves("ann", release=second.release_id)
    live.when("observe_step", keep_the_first_in_production)
    live.when(
        "enter_lane",
        reject,
        lambda asked: (asked.environment, asked.ticket.commit) == (PRODUCTION, second.commit),
    )
    ahead, behind = await live.starts_in_order(first, second)
    rejected = await behind.result()
    assert rejected.outcome is Outcome.REJECTED
    await resume()
    assert (await ahead.result()).outcome is Outcome.RELEASED
