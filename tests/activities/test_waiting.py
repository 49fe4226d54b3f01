"""Waiting for silent servers and slow scrapes must not look like a lost worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import cast

from activities.fleet import Draining
from clients.prometheus import CALL_TIMEOUT_FACTOR, REQUEST_TIMEOUT
from domain.canary import judge_rules
from domain.drain import SCRAPES_OF_SILENCE
from domain.journal import RetireRevision, UndoOutcome
from domain.steps import ObserveStep, RevisionRequest, Undo
from tests.support.attempts import attempts
from tests.support.platform_world import SandboxWorld, running_site
from tests.support.sandbox import eventually
from tests.support.site import SERVICE, Site
from tests.support.world import PRODUCTION
from workflows import options

HEARTBEAT_TIMEOUT = timedelta(seconds=1)
SLOW_SCRAPE = timedelta(seconds=1.5)
HOUR = timedelta(hours=1)


async def idle_canary(world: SandboxWorld) -> RevisionRequest:
    """v2 beside v1, with pods that had users and have none any more."""
    site = world.production
    stable = await world.serving(site)
    target = await world.target(site, await world.bundle("v2"), stable)
    await site.create(target, 10)
    await site.shift(target, 10)
    await eventually(lambda: target.revision in site.users()["by_revision"], "users come")
    site.move_by_hand({stable.revision: 100})
    return target


def retiring(target: RevisionRequest, drain: timedelta) -> Undo:
    return Undo(
        release_id=target.release_id,
        compensation=RetireRevision(
            environment=PRODUCTION, service=SERVICE, revision=target.revision
        ),
        drain=drain,
    )


@asynccontextmanager
async def scraped_slowly(world: SandboxWorld) -> AsyncIterator[Site]:
    """Production's activities, told that a scrape takes longer than the heartbeat timeout."""
    places = world.settings.environments
    slow = {**places, PRODUCTION: places[PRODUCTION].with_(scrape=SLOW_SCRAPE)}
    settings = world.settings.with_(environments=slow)
    async with running_site(PRODUCTION, settings, world.registry, world.platform) as site:
        yield site


async def test_retiring_finishes_in_one_attempt_when_a_scrape_outlasts_the_heartbeat_timeout(
    world: SandboxWorld,
) -> None:
    target = await idle_canary(world)
    async with scraped_slowly(world) as site, attempts(list(site.methods.values())) as server:
        begun = datetime.now(UTC)
        answer, attempt = await server.do("undo", retiring(target, HOUR), HEARTBEAT_TIMEOUT)
    assert (answer["outcome"], attempt) == (UndoOutcome.DONE.value, 1)
    assert datetime.now(UTC) - begun >= SCRAPES_OF_SILENCE * SLOW_SCRAPE
    assert world.production.replicas(target.revision) == 0


async def test_retiring_beside_a_prometheus_that_hangs_ends_at_the_drain_deadline(
    world: SandboxWorld,
) -> None:
    target = await idle_canary(world)
    await world.tell("POST", "outage", {"system": "prometheus", "mode": "hang"})
    async with attempts(list(world.production.methods.values())) as server:
        drain = timedelta(seconds=2)
        answer, attempt = await server.do("undo", retiring(target, drain), HEARTBEAT_TIMEOUT)
    assert (answer["outcome"], attempt) == (UndoOutcome.DONE.value, 1)
    assert world.production.replicas(target.revision) == 0


async def test_a_lost_worker_neither_prolongs_the_drain_nor_begins_its_silence_anew(
    world: SandboxWorld,
) -> None:
    target = await idle_canary(world)
    site = world.production
    await world.tell("POST", "outage", {"system": "prometheus"})
    first = asyncio.create_task(site.do("undo", retiring(target, HOUR)))
    await eventually(lambda: any(_draining(site)), "it drains")
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    (begun,) = set(_draining(site))

    site.heartbeats.clear()
    second = asyncio.create_task(site.do("undo", retiring(target, HOUR), details=[begun]))
    await eventually(lambda: any(_draining(site)), "the next worker drains")
    assert set(_draining(site)) == {begun}
    await world.tell("DELETE", "outage")
    await second
    assert site.replicas(target.revision) == 0


async def test_a_drain_whose_deadline_passed_while_nobody_worked_is_over(
    world: SandboxWorld,
) -> None:
    target = await idle_canary(world)
    await world.tell("POST", "outage", {"system": "prometheus"})
    now = datetime.now(UTC)
    begun = Draining(revision=target.revision, since=now - 2 * HOUR, deadline=now - HOUR)
    await world.production.do("undo", retiring(target, HOUR), details=[begun])
    assert world.production.replicas(target.revision) == 0


def _draining(site: Site) -> list[Draining]:
    return [beat[0] for beat in site.heartbeats if isinstance(beat[0], Draining)]


async def test_a_prometheus_that_hangs_holds_the_canary_for_want_of_data(
    world: SandboxWorld,
) -> None:
    target = await idle_canary(world)
    await world.production.shift(target, 10)
    await world.tell("POST", "outage", {"system": "prometheus", "mode": "hang"})
    now = datetime.now(UTC)
    request = ObserveStep(
        target=target,
        weight=10,
        rules=judge_rules(world.plan, 10, has_stable=True),
        since=now,
        ends_at=now + timedelta(seconds=2),
        block=world.plan.pace.block,
        slow_above=world.plan.limits.p95,
        state=None,
    )
    async with attempts(list(world.production.methods.values())) as server:
        answer, attempt = await server.do("observe_step", request, HEARTBEAT_TIMEOUT)
    assert attempt == 1
    assert (answer["judgement"]["verdict"], answer["judgement"]["reason"]) == ("HOLD", "no_data")


def test_prometheus_is_given_up_before_the_heartbeat_of_those_who_ask() -> None:
    for kind in (options.OBSERVE, options.ROLLOUT, options.UNDO):
        timeout = cast(timedelta, kind["heartbeat_timeout"])
        assert timeout > 2 * REQUEST_TIMEOUT
        assert timeout > CALL_TIMEOUT_FACTOR * REQUEST_TIMEOUT
