"""A worker may die at any point; whoever takes over finds what was done and does the rest."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from domain.errors import TransientFailure
from domain.journal import (
    Compensation,
    RestoreCapacity,
    RestoreEntry,
    RestoreTraffic,
    RetireRevision,
)
from domain.steps import CreateRevision, RevisionRequest, Settle, Undo
from domain.traffic import TrafficSplit
from tests.support.site import SERVICE, Site, shift_request
from tests.support.world import PRODUCTION, World

Activity = Callable[[], Awaitable[object]]
Step = Callable[[World], Awaitable[Activity]]
DRAIN = timedelta(seconds=1)


async def beside(world: World) -> RevisionRequest:
    """v2's target beside v1, which serves production."""
    stable = await world.serving(world.production)
    return await world.target(world.production, await world.bundle("v2"), stable)


async def creating_the_first(world: World) -> Activity:
    target = await world.target(world.production, await world.bundle("v1"))
    return lambda: world.production.do("create_revision", CreateRevision(target=target, weight=100))


async def opening_the_route(world: World) -> Activity:
    target = await world.target(world.production, await world.bundle("v1"))
    await world.production.create(target)
    return lambda: world.production.shift(target)


async def creating_the_entry(world: World) -> Activity:
    target = await world.target(world.production, await world.bundle("v1"))
    await world.production.create(target)
    await world.production.shift(target)
    return lambda: world.production.do("point_entry", target)


async def shifting(world: World) -> Activity:
    """Two more pods (Deployment, then autoscaler), then the route."""
    target = await beside(world)
    await world.production.create(target, weight=10)
    return lambda: world.production.do("shift_traffic", shift_request(target, 50))


async def pointing_the_entry(world: World) -> Activity:
    target = await beside(world)
    await world.production.create(target, weight=100)
    await world.production.shift(target)
    return lambda: world.production.do("point_entry", target)


async def holding_capacity(world: World) -> Activity:
    target = await beside(world)
    assert target.stable is not None
    busy = target.with_(stable=target.stable.with_(ready_pods=5))
    return lambda: world.production.do("hold_capacity", busy)


async def settling(world: World) -> Activity:
    """The new one's autoscaler, the old one's pods."""
    target = await beside(world)
    await world.production.serve(target)
    request = Settle(target=target, drain=DRAIN, retain=1)
    return lambda: world.production.do("settle_release", request)


async def promoted(world: World) -> RevisionRequest:
    target = await beside(world)
    await world.production.serve(target)
    return target


def undoing(world: World, compensation: Compensation) -> Activity:
    request = Undo(release_id="release-album-1", compensation=compensation, drain=DRAIN)
    return lambda: world.production.do("undo", request)


async def restoring_traffic(world: World) -> Activity:
    target = await promoted(world)
    assert target.stable is not None
    return undoing(
        world,
        RestoreTraffic(
            environment=PRODUCTION,
            service=SERVICE,
            revision=target.revision,
            split=TrafficSplit.all_to(target.stable.revision),
        ),
    )


async def restoring_the_entry(world: World) -> Activity:
    target = await promoted(world)
    assert target.stable is not None
    return undoing(
        world,
        RestoreEntry(
            environment=PRODUCTION,
            service=SERVICE,
            revision=target.revision,
            previous=target.stable.revision,
        ),
    )


async def restoring_capacity(world: World) -> Activity:
    target = await beside(world)
    assert target.stable is not None
    busy = target.with_(stable=target.stable.with_(ready_pods=5))
    await world.production.do("hold_capacity", busy)
    return undoing(
        world,
        RestoreCapacity(
            environment=PRODUCTION,
            service=SERVICE,
            revision=target.stable.revision,
            min_replicas=3,
        ),
    )


async def retiring(world: World) -> Activity:
    target = await beside(world)
    await world.production.create(target, weight=10)
    return undoing(
        world,
        RetireRevision(environment=PRODUCTION, service=SERVICE, revision=target.revision),
    )


STEPS: tuple[tuple[Step, int], ...] = (
    (creating_the_first, 7),
    (opening_the_route, 1),
    (creating_the_entry, 1),
    (shifting, 3),
    (pointing_the_entry, 1),
    (holding_capacity, 1),
    (settling, 2),
    (restoring_traffic, 1),
    (restoring_the_entry, 1),
    (restoring_capacity, 1),
    (retiring, 1),
)
KILLS = [(step, writes, kill) for step, writes in STEPS for kill in range(1, writes + 1)]


@pytest.mark.parametrize(("step", "writes"), STEPS, ids=lambda one: getattr(one, "__name__", ""))
async def test_what_is_done_again_writes_nothing_again(
    anywhere: World, step: Step, writes: int
) -> None:
    activity = await step(anywhere)
    anywhere.production.writes()
    await activity()
    assert len(anywhere.production.writes()) == writes
    await activity()
    assert anywhere.production.writes() == []


@pytest.mark.parametrize(("step", "writes"), STEPS, ids=lambda one: getattr(one, "__name__", ""))
async def test_two_workers_at_once_write_what_one_would(
    anywhere: World, step: Step, writes: int
) -> None:
    """One was held for dead and goes on; whoever is slower is at most told to look again."""
    activity = await step(anywhere)
    site = anywhere.production
    site.writes()
    ends = await asyncio.gather(activity(), activity(), return_exceptions=True)
    errors = [one for one in ends if isinstance(one, BaseException)]
    assert all(isinstance(one, TransientFailure) for one in errors), errors
    done = site.writes()
    await activity()
    done += site.writes()
    assert len(done) == len(set(done)) == writes


@pytest.mark.parametrize(
    ("step", "writes", "kill"), KILLS, ids=[f"{s.__name__}-{kill}" for s, _, kill in KILLS]
)
async def test_a_worker_that_dies_after_a_write_leaves_it_for_the_next_to_find(
    anywhere: World, step: Step, writes: int, kill: int
) -> None:
    activity = await step(anywhere)
    site = anywhere.production
    site.writes()
    done = await _killed_after(site, kill, activity)
    assert len(done) == kill
    await activity()
    done += site.writes()
    assert len(done) == len(set(done)) == writes


async def _killed_after(site: Site, writes: int, activity: Activity) -> list[str]:
    """Run until so many writes were made, then die before their answer is read."""
    running = asyncio.ensure_future(activity())
    done: list[str] = []
    while len(done) < writes:
        done += site.writes()
        await asyncio.sleep(0)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    return done
