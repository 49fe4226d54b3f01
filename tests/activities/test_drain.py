"""A revision is retired when nobody asks any more, by whatever its own plan counts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from domain import labels
from domain.environments import Environment
from domain.journal import RetireRevision, UndoOutcome
from domain.metrics.plan import MetricsPlan
from domain.steps import RevisionRequest, Settle, Undo
from tests.support.live_counters import LiveCounters, live_counters
from tests.support.platform_world import SandboxSite, SandboxWorld, running_site
from tests.support.site import SERVICE
from tests.support.world import PRODUCTION, STAGING

HOUR, SHORT = timedelta(hours=1), timedelta(seconds=1.5)
# What the sandbox's pods count by themselves is otel-http: here nobody knows it.
PLANS = {
    "fastapi": "http_requests_total",
    "envoy": "envoy_cluster_upstream_rq_xx",
    "traefik": "traefik_service_requests_total",
}


@asynccontextmanager
async def counted_by(
    world: SandboxWorld, metric: str, environment: Environment = PRODUCTION
) -> AsyncIterator[tuple[SandboxSite, LiveCounters]]:
    """An environment whose source knows one counter alone."""
    async with live_counters(metric) as counters:
        places = world.settings.environments
        own = places[environment].with_(prometheus=counters.url)
        settings = world.settings.with_(environments={**places, environment: own})
        async with running_site(environment, settings, world.registry, world.platform) as site:
            yield site, counters


async def beside(world: SandboxWorld, site: SandboxSite, template: str) -> RevisionRequest:
    """v2 serves everybody beside v1, both of a plan with this template."""
    metrics = MetricsPlan(template=template)
    first = await world.target(site, await world.bundle("v1", metrics=metrics), release="before")
    stable = await site.serve(first)
    target = await world.target(site, await world.bundle("v2", metrics=metrics), stable)
    await site.serve(target)
    return target


def retiring(target: RevisionRequest, drain: timedelta) -> Undo:
    """What a rollback asks when users are back at stable; nothing of it names a metric."""
    assert target.stable is not None
    compensation = RetireRevision(
        environment=target.environment, service=SERVICE, revision=target.stable.revision
    )
    return Undo(release_id=target.release_id, compensation=compensation, drain=drain)


@pytest.mark.parametrize("template", PLANS)
async def test_a_rollback_believes_the_silence_of_the_plans_own_counter(
    world: SandboxWorld, template: str
) -> None:
    async with counted_by(world, PLANS[template]) as (site, counters):
        target = await beside(world, site, template)
        counters.queries.clear()
        answer = await site.do("undo", retiring(target, HOUR))
    assert answer.outcome is UndoOutcome.DONE
    assert target.stable is not None
    assert site.replicas(target.stable.revision) == 0
    asked = [query for query in counters.queries if query.startswith(PLANS[template])]
    short = target.stable.revision.rpartition("-")[2]
    assert asked
    assert all(short in query for query in asked)


@pytest.mark.parametrize("environment", [STAGING, PRODUCTION])
async def test_settling_believes_it_too(world: SandboxWorld, environment: Environment) -> None:
    async with counted_by(world, PLANS["traefik"], environment) as (site, _):
        target = await beside(world, site, "traefik")
        told = await site.do("settle_release", Settle(target=target, drain=HOUR, retain=1))
    assert "is kept at zero replicas" in told


async def test_whoever_is_still_asked_by_the_plans_counter_has_the_drains_whole_time(
    world: SandboxWorld,
) -> None:
    async with counted_by(world, PLANS["traefik"]) as (site, counters):
        target = await beside(world, site, "traefik")
        counters.asks = True
        begun = datetime.now(UTC)
        await site.do("undo", retiring(target, SHORT))
    assert datetime.now(UTC) - begun >= SHORT


async def test_a_revision_is_counted_by_its_own_plan_whatever_came_after_it(
    world: SandboxWorld,
) -> None:
    """The next version is instrumented otherwise: the old one's counter is what tells."""
    async with counted_by(world, PLANS["fastapi"]) as (site, _):
        old = await world.bundle("v1", metrics=MetricsPlan(template="fastapi"))
        stable = await site.serve(await world.target(site, old, release="before"))
        target = await world.target(site, await world.bundle("v2"), stable)
        await site.serve(target)
        await site.do("settle_release", Settle(target=target, drain=HOUR, retain=1))
    assert site.replicas(stable.revision) == 0


@pytest.mark.parametrize("note", ["{", '{"template": "of-a-later-version"}'])
async def test_a_note_that_cannot_be_read_leaves_the_drains_whole_time(
    world: SandboxWorld, note: str
) -> None:
    async with counted_by(world, PLANS["fastapi"]) as (site, _):
        target = await beside(world, site, "fastapi")
        assert target.stable is not None
        site.edit(
            "Deployment",
            target.stable.revision,
            lambda one: one["metadata"]["annotations"].update({labels.METRICS: note}),
        )
        begun = datetime.now(UTC)
        await site.do("undo", retiring(target, SHORT))
    assert datetime.now(UTC) - begun >= SHORT
    assert site.replicas(target.stable.revision) == 0
