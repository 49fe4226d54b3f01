"""What happened in the histories: one story per ending and per way there, on real workflows.

Stories on skipped time have the plan's real durations; those that need updates, cancellation,
termination or several releases run on the dev server with a rehearsal clock.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError

from domain.commands import CommandName
from domain.judge.verdict import Reason, Verdict
from domain.observer import Fitness, ObserverReport
from domain.phases import Outcome
from domain.soak import SoakWindow
from tests.support.conditions import eventually
from tests.support.release_records import plan, request
from tests.support.release_world import PRODUCTION, STAGING, Reaction, Release, World, running
from tests.support.temporal import dev_server, skipping_server
from tests.workflows.conftest import SHORT
from workflows.resolving import Resolution

Happening = Callable[[World], Awaitable[None]]
WORSE = (Verdict.ROLL_BACK, Reason.worse)
BOTH_BAD = (Verdict.HOLD, Reason.both_bad)
NO_DATA, OVER = (Verdict.HOLD, Reason.no_data), (Verdict.HOLD, Reason.gathering)
STABLE_BAD = (Verdict.HOLD, Reason.stable_bad)


@dataclass(frozen=True)
class Story:
    """One story: what happens, and whether it needs the wall clock."""

    happen: Happening
    live: bool


STORIES: dict[str, Story] = {}


def skipping(happen: Happening) -> Happening:
    """A story of real days, on skipped time."""
    STORIES[happen.__name__.replace("_", "-")] = Story(happen, live=False)
    return happen


def live(happen: Happening) -> Happening:
    """A story on the wall clock, with a short plan."""
    STORIES[happen.__name__.replace("_", "-")] = Story(happen, live=True)
    return happen


@asynccontextmanager
async def world_of(story: Story) -> AsyncIterator[World]:
    """A world in which a story can happen."""
    if not story.live:
        async with skipping_server() as server, running(server) as world:
            yield world
        return
    poll = timedelta(milliseconds=200)
    async with dev_server() as server, running(server, lane_poll=poll) as world:
        world.request = request(plan=plan(**SHORT))
        yield world


async def ends(world: World, outcome: Outcome) -> None:
    """Run the release; a story that ends otherwise than it says is not worth recording."""
    state = await world.release()
    assert state.outcome is outcome, f"{state.outcome}: {state.sentence}"


def saying(world: World, name: CommandName, actor: str, by: str = "signal") -> Reaction:
    """Somebody's reaction: a command by signal, as the Temporal UI sends it, or by update."""

    async def react() -> None:
        await (world.signal(name, actor) if by == "signal" else world.update(name, actor))

    return react


def breaking(world: World, activity: str) -> Reaction:
    """The next call of an activity fails for good."""

    async def react() -> None:
        world.breaks(activity)

    return react


@skipping
async def promoted(world: World) -> None:
    world.approves()
    await ends(world, Outcome.RELEASED)


@skipping
async def first_release(world: World) -> None:
    world.first_release()
    world.approves()
    await ends(world, Outcome.RELEASED)


@skipping
async def rolled_back_at_10(world: World) -> None:
    world.approves()
    world.canary_at(10).says(WORSE)
    await ends(world, Outcome.ROLLED_BACK)


@skipping
async def rolled_back_at_100(world: World) -> None:
    world.approves()
    world.canary_at(100).says(WORSE)
    await ends(world, Outcome.ROLLED_BACK)


@skipping
async def rolled_back_by_the_watch(world: World) -> None:
    world.approves()
    world.canary_at(100, watch=True).says(WORSE)
    await ends(world, Outcome.ROLLED_BACK)


@skipping
async def rejected(world: World) -> None:
    world.when_told("approval needed", saying(world, CommandName.REJECT, "paul"))
    await ends(world, Outcome.REJECTED)


@skipping
async def approval_expired(world: World) -> None:
    await ends(world, Outcome.EXPIRED)


@skipping
async def approval_void(world: World) -> None:
    world.script("confirm_approval", "the stable revision changed")
    world.approves()
    await ends(world, Outcome.RELEASED)


@skipping
async def soak_reset(world: World) -> None:
    world.soak_windows(True, True, True, False)
    world.approves()
    world.request = request(plan=plan(soak={"on_unhealthy": "reset"}))
    await ends(world, Outcome.RELEASED)


@skipping
async def soak_skipped(world: World) -> None:
    world.when("earn_window", saying(world, CommandName.SKIP_SOAK, "rita"))
    world.approves()
    await ends(world, Outcome.RELEASED)


@skipping
async def soak_paused_and_resumed(world: World) -> None:
    async def pause() -> None:
        await world.signal(CommandName.PAUSE, "otto")
        world.when("await_release_end", saying(world, CommandName.RESUME, "otto"))

    world.when("earn_window", pause)
    world.approves()
    await ends(world, Outcome.RELEASED)


@skipping
async def canary_paused_and_resumed(world: World) -> None:
    async def pause() -> None:
        await world.signal(CommandName.PAUSE, "otto")
        world.when("observe_step", look_once, lambda asked: asked.watch)

    async def look_once() -> None:
        world.when("observe_step", saying(world, CommandName.RESUME, "otto"))

    world.when("observe_step", pause)
    world.approves()
    await ends(world, Outcome.RELEASED)


@skipping
async def both_bad_held(world: World) -> None:
    world.approves()
    world.canary_at(10).says(BOTH_BAD, BOTH_BAD)
    await ends(world, Outcome.RELEASED)


@skipping
async def without_data_then_promoted(world: World) -> None:
    world.approves()
    world.canary_at(10).says(NO_DATA, OVER)
    await ends(world, Outcome.RELEASED)


@skipping
async def promoted_by_a_person(world: World) -> None:
    world.approves()
    world.canary_at(10).says(*[STABLE_BAD] * 40)
    world.when_told("holding: ", world.promotes)
    await ends(world, Outcome.RELEASED)


@skipping
async def gates_only_observe(world: World) -> None:
    world.request = request(plan=plan(gates={"canary": "observe", "watch": "observe"}))
    world.canary_at(10, watch=True).says(WORSE)
    world.approves()
    await ends(world, Outcome.RELEASED)


@skipping
async def gate_asks_a_person(world: World) -> None:
    async def promote() -> None:
        world.when_told("asking: ", promote)
        await world.promotes()

    world.request = request(plan=plan(gates={"canary": "ask"}))
    world.when_told("asking: ", promote)
    world.approves()
    await ends(world, Outcome.RELEASED)


@skipping
async def quiet_then_loaded(world: World) -> None:
    load = {"on_quiet": "synthetic", "load": {"path": "/api/v1/albums", "rate": 5}}
    world.request = request(plan=plan(canary=load))
    world.canary_at(10).says((Verdict.HOLD, Reason.needs_load))
    world.approves()
    await ends(world, Outcome.RELEASED)


@skipping
async def drifted_in_soak(world: World) -> None:
    told = "Deployment album-1: spec.replicas is 3, the bundle says 2"
    length = timedelta(minutes=30)
    drifted = SoakWindow(length=length, healthy=False, sentence=f"drift: {told}", drift=told)
    world.script("earn_window", *[None] * 4, drifted)
    await ends(world, Outcome.FAILED)


@skipping
async def observer_silent_then_fit(world: World) -> None:
    silent = ObserverReport(fitness=Fitness.silent, sentence="Prometheus did not answer")
    world.script("verify_observer", silent, silent)
    world.approves()
    await ends(world, Outcome.RELEASED)


@skipping
async def observer_unfit(world: World) -> None:
    unfit = ObserverReport(fitness=Fitness.unfit, sentence="canary's query gives stable's pods")
    world.script("verify_observer", unfit)
    world.approves()
    await ends(world, Outcome.ROLLED_BACK)


@skipping
async def build_failed(world: World) -> None:
    world.script("run_unit_tests", "2 of 12 unit tests failed: test_list, test_create")
    await ends(world, Outcome.FAILED)


@skipping
async def scan_held_then_found(world: World) -> None:
    world.script("judge_report", *["no report"] * 4)
    world.approves()
    await ends(world, Outcome.RELEASED)


@skipping
async def settle_halted_then_resumed(world: World) -> None:
    world.breaks("settle_release")
    world.when_told("halted, nothing is changed", saying(world, CommandName.RESUME, "otto"))
    world.approves()
    await ends(world, Outcome.RELEASED)


@live
async def approved_by_update(world: World) -> None:
    world.when_told("tidegate approve", saying(world, CommandName.APPROVE, "ann", by="update"))
    await ends(world, Outcome.RELEASED)


@live
async def aborted_mid_canary(world: World) -> None:
    world.when("observe_step", saying(world, CommandName.ABORT, "otto", by="update"))
    world.approves()
    await ends(world, Outcome.ABORTED)


@live
async def cancelled_in_soak(world: World) -> None:
    async def cancel() -> None:
        await world.handle().cancel()

    world.when("earn_window begins", cancel)
    release = await world.starts()
    await closes_as(release, WorkflowExecutionStatus.CANCELED)


@live
async def cancelled_during_its_rollback(world: World) -> None:
    async def cancel() -> None:
        await world.handle().cancel()

    world.when("undo", cancel)
    world.canary_at(10).says(WORSE)
    world.approves()
    await ends(world, Outcome.ROLLED_BACK)


@live
async def superseded(world: World) -> None:
    older, newer = world.also("a" * 40), world.also("b" * 40)
    world.approves(release=newer.release_id)
    waiting, younger = await world.starts_in_order(older, newer)
    assert (await younger.result()).outcome is Outcome.RELEASED
    assert (await waiting.result()).outcome is Outcome.SUPERSEDED


@live
async def rollback_stuck_then_retried(world: World) -> None:
    await stuck_then(world, Resolution.RETRY, Outcome.ROLLED_BACK)


@live
async def rollback_given_up(world: World) -> None:
    await stuck_then(world, Resolution.GIVE_UP, Outcome.ROLLBACK_INCOMPLETE)


@live
async def terminated_then_rolled_back(world: World) -> None:
    async def terminate() -> None:
        await world.handle().terminate("somebody clicked terminate")

    world.when("observe_step", terminate)
    world.approves()
    release = await world.starts()
    await closes_as(release, WorkflowExecutionStatus.TERMINATED)
    await world.lane(PRODUCTION).result()
    assert (await world.rollback().result()).is_complete


@live
async def lane_with_a_queue(world: World) -> None:
    first, second = world.also("a" * 40), world.also("b" * 40)

    async def queued() -> bool:
        lane = await world.lane_state(STAGING)
        return [ticket.release_id for ticket in lane.queue] == [second.release_id]

    world.when("check_revision", lambda: eventually(queued))
    for one in (first, second):
        world.approves(release=one.release_id)
    for release in await world.starts_in_order(first, second):
        assert (await release.result()).outcome is Outcome.RELEASED


async def stuck_then(world: World, resolution: Resolution, outcome: Outcome) -> None:
    """Traffic cannot return after a bad canary, until a person says what to do."""
    world.when(
        "undo",
        breaking(world, "undo"),
        lambda asked: asked.compensation.kind == "restore-traffic",
    )
    world.canary_at(10).says(WORSE)
    world.approves()
    release = await world.starts()
    await world.is_told("Say: tidegate resolve")
    await world.resolve(resolution)
    assert (await release.result()).outcome is outcome


async def closes_as(release: Release, status: WorkflowExecutionStatus) -> None:
    """Wait for a release that has no result."""
    with pytest.raises(WorkflowFailureError):
        await release.result()
    assert (await release.describe()).status is status
