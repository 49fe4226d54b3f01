"""What a revision's pods counted, by its pods' names and whatever its source is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import worker
from activities.demand import Demand
from clients.cluster import Cluster
from clients.sources import source_at
from domain.canary import judge_rules
from domain.judge.verdict import Reason, Verdict
from domain.metrics.places import PrometheusPlace
from domain.metrics.templates import ISTIO, OTEL_HTTP
from domain.observed import ObservedBlocks, recompute
from domain.samples import Samples, Span
from domain.steps import ObserveStep, RevisionRequest
from tests.support.platform_world import SandboxWorld
from tests.support.sandbox import eventually
from tests.support.site import Activities, named_activities
from tests.support.source_doubles import source_double
from tests.support.world import PRODUCTION

SCRAPE = timedelta(milliseconds=100)
SLOW = timedelta(milliseconds=500)


@asynccontextmanager
async def demand_in(world: SandboxWorld, lag: timedelta = timedelta(0)) -> AsyncIterator[Demand]:
    """Production's demand, asked of a source that is so late."""
    place = world.settings.cluster(world.production.environment)
    source = source_at(PrometheusPlace(url=place.prometheus or "", lag=lag))
    cluster = await Cluster.connect(place.kubeconfig, place.context, place.namespace)
    yield Demand(cluster, source, SCRAPE)
    await source.close()
    await cluster.close()


@asynccontextmanager
async def told_by(world: SandboxWorld, source_place: PrometheusPlace) -> AsyncIterator[Activities]:
    """Production's activities by another source."""
    place = world.settings.cluster(PRODUCTION)
    source = source_at(source_place)
    cluster = await Cluster.connect(place.kubeconfig, place.context, place.namespace)
    yield named_activities(
        worker._cluster(PRODUCTION, world.settings, world.registry, cluster, source)
    )
    await source.close()
    await cluster.close()


async def serving(world: SandboxWorld) -> RevisionRequest:
    target = await world.target(world.production, await world.bundle("v1"))
    await world.production.serve(target)
    return target


async def read(demand: Demand, revision: str, since: datetime, **more: object) -> Samples:
    span = Span.following(since, since, datetime.now(UTC), SCRAPE)
    measure = ISTIO if more.get("otherwise") else OTEL_HTTP
    return await demand.blocks(revision, None, span, SLOW, measure)


async def test_nothing_younger_than_the_sources_lag_is_judged(world: SandboxWorld) -> None:
    target = await serving(world)
    lag = timedelta(seconds=1)
    async with demand_in(world, lag) as demand:
        since = datetime.now(UTC)
        assert (await read(demand, target.revision, since)).blocks == ()
        await eventually(lambda: datetime.now(UTC) > since + 2 * lag, "it is late enough")
        now = datetime.now(UTC)
        samples = await read(demand, target.revision, since)
    assert samples.blocks
    assert samples.until <= now - lag + SCRAPE


async def test_a_source_that_answers_late_is_not_called_silent_for_that(
    world: SandboxWorld,
) -> None:
    target = await serving(world)
    rules = judge_rules(world.plan, 100, has_stable=False)
    now, lag = datetime.now(UTC), 2 * rules.silent_after
    request = ObserveStep(
        target=target,
        weight=100,
        rules=rules,
        since=now,
        ends_at=now + timedelta(seconds=30),
        block=world.plan.pace.block,
        slow_above=SLOW,
        state=None,
    )
    place = world.settings.cluster(PRODUCTION)
    async with told_by(world, PrometheusPlace(url=place.prometheus or "", lag=lag)) as activities:
        observation = await activities.do("observe_step", request)
    assert observation.judgement.verdict is Verdict.PROMOTE, observation.judgement.sentence
    record = await world.archive.load_record(target.bundle, observation.record, ObservedBlocks)
    assert record.step.rules.stale_after == lag + 3 * place.scrape
    assert recompute(record, ()).differences == ()


async def test_a_source_that_refuses_us_holds_and_is_named(world: SandboxWorld) -> None:
    """An expired token or certificate says nothing of the canary: no rollback, no promotion."""
    target = await serving(world)
    now = datetime.now(UTC)
    request = ObserveStep(
        target=target,
        weight=100,
        rules=judge_rules(world.plan, 100, has_stable=False),
        since=now - timedelta(minutes=1),
        ends_at=now + timedelta(seconds=1),
        block=world.plan.pace.block,
        slow_above=SLOW,
        state=None,
    )
    async with source_double("prometheus") as double:
        double.status = 401
        async with told_by(world, PrometheusPlace(url=double.url)) as activities:
            judgement = (await activities.do("observe_step", request)).judgement
    assert (judgement.verdict, judgement.reason) == (Verdict.HOLD, Reason.no_data)
    assert "answered 401" in judgement.sentence
    assert "check the credentials of this environment" in judgement.sentence


async def test_the_source_is_not_asked_before_a_block_can_close(world: SandboxWorld) -> None:
    target = await serving(world)
    await world.tell("POST", "outage", {"system": "prometheus"})
    async with demand_in(world) as demand:
        samples = await read(demand, target.revision, datetime.now(UTC))
    assert samples == Samples(blocks=(), broken=(), until=samples.until)


async def test_pods_that_are_measured_otherwise_are_quiet_and_not_silent(
    world: SandboxWorld,
) -> None:
    await world.tell("POST", "traffic", {"production": 0})
    target = await serving(world)
    since = datetime.now(UTC) - timedelta(seconds=1)
    async with demand_in(world) as demand:
        await eventually(lambda: datetime.now(UTC) > since + timedelta(seconds=2), "it is scraped")
        samples = await read(demand, target.revision, since, otherwise=True)
        assert len(samples.quiet) == world.production.ready(target.revision)
        assert samples.blocks
        # Nobody is torn down because the wrong metric is silent.
        assert not await demand.is_silent(target.revision, since)
