"""Workers that forget, stop, and come back: the release ends in the same state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import CancelledError
from temporalio.testing import WorkflowEnvironment

from domain.commands import CommandName
from domain.environments import BUILD_QUEUE, CONTROL_QUEUE, cluster_queue
from domain.phases import Outcome
from tests.support.conditions import eventually
from tests.support.release_records import plan, request
from tests.support.release_world import PRODUCTION, STAGING, World, running, working
from tests.support.temporal import dev_server
from tests.workflows.conftest import SHORT

CLUSTERS = (BUILD_QUEUE, cluster_queue(STAGING), cluster_queue(PRODUCTION))


@pytest.fixture
async def server() -> AsyncIterator[WorkflowEnvironment]:
    async with dev_server() as server:
        yield server


@pytest.fixture
async def unhurried() -> AsyncIterator[WorkflowEnvironment]:
    async with dev_server(hasty=False) as server:
        yield server


def short(world: World) -> World:
    world.request = request(plan=plan(**SHORT))
    world.lane_poll = timedelta(milliseconds=200)
    return world


@pytest.mark.parametrize("cached", [0, 1])
async def test_a_release_survives_that_its_workflow_is_forgotten_all_the_time(
    server: WorkflowEnvironment, cached: int
) -> None:
    async with running(server, cached_workflows=cached) as world:
        short(world).approves()
        state = await world.release()
        assert state.outcome is Outcome.RELEASED
        assert world.weights == [10, 50, 100]
        await world.lane(PRODUCTION).result()


@pytest.mark.parametrize("cached", [0, 1])
async def test_a_cancel_during_the_rollback_is_survived_without_a_cache(
    server: WorkflowEnvironment, cached: int
) -> None:
    async with running(server, cached_workflows=cached) as world:

        async def abort() -> None:
            await world.signal(CommandName.ABORT, "otto")

        async def cancel() -> None:
            await world.handle().cancel()

        short(world).approves()
        world.when("observe_step", abort)
        world.when("undo", cancel)
        state = await world.release()
        assert state.outcome is Outcome.ABORTED
        assert world.is_restored


@pytest.mark.parametrize("during", ["earn_window", "observe_step", "shift_traffic", "undo"])
async def test_a_stopped_worker_is_replaced_by_another_and_nothing_is_done_twice(
    unhurried: WorkflowEnvironment, during: str
) -> None:
    world = short(World(unhurried))
    stopping = asyncio.Event()

    async def stop() -> None:
        stopping.set()

    if during == "undo":
        world.breaks("check_revision")
    world.approves()
    world.when(during, stop)
    async with working(world):
        release = await world.starts()
        await stopping.wait()
    async with working(world):
        state = await release.result()
    assert state.outcome is (Outcome.FAILED if during == "undo" else Outcome.RELEASED)
    assert world.weights == ([] if during == "undo" else [10, 50, 100])
    assert [a for cluster in world.clusters.values() for a in cluster.accidents] == []


@pytest.mark.parametrize("write", ["create_revision", "shift_traffic", "point_entry"])
async def test_a_cancel_that_arrives_together_with_the_end_of_a_write_still_rolls_back(
    server: WorkflowEnvironment, write: str
) -> None:
    world = short(World(server))
    begun, finish = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        begun.set()
        await finish.wait()

    world.approves()
    world.when(write, hold)
    async with working(world, queues=CLUSTERS):
        async with working(world, queues=[CONTROL_QUEUE]):
            release = await world.starts()
            await begun.wait()
        await release.cancel()
        finish.set()
        await eventually(lambda: _ends_with_a_result(world))
        async with working(world, queues=[CONTROL_QUEUE]):
            with pytest.raises(WorkflowFailureError) as ended:
                await release.result()
            assert isinstance(ended.value.cause, CancelledError)
    assert world.is_restored


async def _ends_with_a_result(world: World) -> bool:
    history = await world.handle().fetch_history()
    kinds = [event.event_type for event in history.events]
    cancelled = kinds.index(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    return EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED in kinds[cancelled:]
