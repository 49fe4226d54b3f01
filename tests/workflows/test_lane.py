"""Lanes: one release of a service at a time; what a terminated one left is undone first."""

from __future__ import annotations

from datetime import timedelta

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import TerminatedError

from domain.commands import CommandName
from domain.judge.verdict import Reason, Verdict
from domain.lane import Ticket
from domain.phases import Outcome
from domain.traffic import TrafficSplit
from tests.support.conditions import eventually
from tests.support.release_records import plan, request
from tests.support.release_world import PRODUCTION, STAGING, World, running
from tests.support.temporal import own_dev_server
from tests.workflows.conftest import SHORT

POLL = timedelta(milliseconds=200)
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
    again = ["create in production", "settle in production"]
    assert production == ["create in production", *UNDONE, *again]
    assert live.weights == [10, 0, 10, 50, 100]


@pytest.mark.parametrize("halted", [True, False])
async def test_a_release_terminated_while_settling_keeps_its_users_and_a_person_is_told(
    live: World, halted: bool
) -> None:
    async def terminate() -> None:
        await live.handle().terminate("somebody clicked terminate")

    live.approves()
    if halted:
        live.breaks("settle_release")
        live.when_told("halted, nothing is changed", terminate)
    else:
        live.when("settle_release", terminate)
    release = await live.starts()
    with pytest.raises(WorkflowFailureError):
        await release.result()
    await live.is_told("closed without settling (terminated) in settle: nothing is changed")
    await live.lane(PRODUCTION).result()
    assert live.weights == [10, 50, 100]
    assert not await live.has_rolled_back()
    production = live.clusters[PRODUCTION]
    assert production.split == TrafficSplit.all_to(live.revision)
    assert production.entry == live.revision


async def test_a_release_terminated_during_the_watch_is_rolled_back_and_its_thread_is_told(
    live: World,
) -> None:
    async def terminate() -> None:
        await live.handle().terminate("somebody clicked terminate")

    live.approves()
    live.when("observe_step", terminate, lambda asked: asked.watch)
    release = await live.starts()
    with pytest.raises(WorkflowFailureError):
        await release.result()
    await live.lane(PRODUCTION).result()
    assert live.weights == [10, 50, 100, 0]
    assert live.is_restored
    said = f"{live.request.release_id} was closed without settling (terminated)"
    assert f"rolling back: {said}" in live.told
    assert live.told[-1].startswith("rolled back: 7 of 7 steps undone")


async def test_a_terminated_rollback_is_not_taken_for_a_finished_one(live: World) -> None:
    async def terminate_both() -> None:
        await live.handle().terminate("somebody clicked terminate")
        await live.rollback().terminate("and again")

    live.approves()
    live.canary_at(10).says((Verdict.ROLL_BACK, Reason.worse))
    live.when("undo", terminate_both)
    release = await live.starts()
    with pytest.raises(WorkflowFailureError):
        await release.result()
    await live.is_told(
        f"the rollback of {live.request.release_id} was closed before its end (terminated)"
    )
    await live.lane(PRODUCTION).result()


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


async def test_who_is_superseded_just_before_the_lane_starts_anew_is_told_all_the_same() -> None:
    async with (
        own_dev_server(longest_history=30) as server,
        running(server, lane_poll=POLL) as world,
    ):
        world.request = request(plan=plan(**SHORT))
        first, second = world.also("a" * 40), world.also("b" * 40)
        newer = Ticket(release_id="release-album-newer", service="album", commit="d" * 40)
        runs: list[str] = []

        async def stay_in_production() -> None:
            await world.signal(CommandName.PAUSE, "otto", release=first.release_id)
            await world.starts(second)

        async def terminate_the_first() -> None:
            await world.handle(first.release_id).terminate("somebody clicked terminate")

        async def announce_while_the_lane_clears_up() -> None:
            lane = world.lane(PRODUCTION)
            for _ in range(30):
                await lane.signal("leave", "nobody")
            runs.append((await lane.describe()).run_id or "")
            await lane.signal("announce", newer)

        world.approves(release=first.release_id)
        world.when("observe_step", stay_in_production)
        world.when_told(f"tidegate approve {second.release_id}", terminate_the_first)
        world.when("undo", announce_while_the_lane_clears_up)
        await world.starts(first)
        await eventually(lambda: len(runs) == 1)
        assert (await world.handle(second.release_id).result()).outcome is Outcome.SUPERSEDED
        assert (await world.lane(PRODUCTION).describe()).run_id != runs[0]


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
