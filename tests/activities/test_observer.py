"""The observer looks at itself before a canary starts: what it waits for, and what it refuses."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from activities import observer
from activities.demand import Demand, Pods, pods_of
from activities.observer import Arms, Observer
from clients.cluster import Cluster
from clients.sources import source_at
from domain.environments import Environment
from domain.metrics.plan import MetricsPlan
from domain.observer import Fault, Fitness, Inspection, ObserverReport, VerifyObserver
from domain.steps import RevisionRequest
from tests.support.platform_world import SandboxWorld
from tests.support.sandbox import eventually

SOON = timedelta(seconds=2)
OTEL = MetricsPlan()


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong for a second is wrong: the sandbox scrapes ten times as often as Prometheus."""
    monkeypatch.setattr(observer, "LEAST_PATIENCE", timedelta(seconds=1))


async def fresh_canary(world: SandboxWorld) -> RevisionRequest:
    """v2 beside v1, ready just now; no user was sent to it."""
    stable = await world.serving(world.production)
    target = await world.target(world.production, await world.bundle("v2"), stable)
    assert (await world.production.create(target, 10)).healthy
    return target


async def verified(
    world: SandboxWorld,
    target: RevisionRequest,
    within: timedelta = SOON,
    metrics: MetricsPlan = OTEL,
) -> ObserverReport:
    request = VerifyObserver(
        target=target,
        slow_above=world.plan.limits.p95,
        ends_at=datetime.now(UTC) + within,
        metrics=metrics,
    )
    return cast(ObserverReport, await world.production.do("verify_observer", request))


async def looked(world: SandboxWorld, canary: Pods | None, stable: Pods | None) -> Inspection:
    """What `tidegate judge check` sees of these pods."""
    place = world.settings.cluster(Environment.PRODUCTION)
    cluster = await Cluster.connect(place.kubeconfig, place.context, place.namespace)
    source = source_at(place.source)
    try:
        eye = Observer(cluster, Demand(cluster, source, place.scrape))
        arms = Arms(canary, stable, world.plan.limits.p95)
        return await eye.look(arms, datetime.now(UTC))
    finally:
        await source.close()
        await cluster.close()


async def test_a_canary_that_became_ready_just_now_is_waited_for_until_it_is_scraped(
    world: SandboxWorld,
) -> None:
    report = await verified(world, await fresh_canary(world))
    assert report.fitness is Fitness.fit, report.sentence


async def test_a_first_release_is_verified_alone(world: SandboxWorld) -> None:
    target = await world.target(world.production, await world.bundle("v2"))
    await world.production.create(target)
    report = await verified(world, target)
    assert report.fitness is Fitness.fit, report.sentence


async def test_a_template_that_the_service_does_not_follow_is_refused_before_any_user_comes(
    world: SandboxWorld,
) -> None:
    target = await fresh_canary(world)
    begun = datetime.now(UTC)
    report = await verified(world, target, metrics=MetricsPlan(template="istio"))
    assert report.fitness is Fitness.unfit
    assert "is scraped and shows no istio_requests_total" in report.sentence
    assert datetime.now(UTC) - begun >= observer.LEAST_PATIENCE


async def test_a_source_that_does_not_answer_makes_nothing_wrong_and_is_told_at_the_end(
    world: SandboxWorld,
) -> None:
    target = await fresh_canary(world)
    await world.lose_metrics()
    report = await verified(world, target, timedelta(seconds=1.5))
    assert report.fitness is Fitness.silent
    assert "while the metrics source of production does not answer" in report.sentence


async def test_a_source_that_comes_back_in_time_is_believed(world: SandboxWorld) -> None:
    target = await fresh_canary(world)
    await world.lose_metrics()
    verifying = asyncio.create_task(verified(world, target, timedelta(seconds=30)))
    beats = world.production.heartbeats
    await eventually(lambda: len(beats) > 0, "it looks")
    assert not verifying.done()
    await world.tell("DELETE", "outage")
    assert (await verifying).fitness is Fitness.fit


async def test_labels_that_both_arms_carry_are_refused_by_the_pods_that_do(
    world: SandboxWorld,
) -> None:
    target = await fresh_canary(world)
    everything = Pods("", {"app": "album"})
    found = await looked(world, pods_of(target.revision), everything)
    assert Fault.overlapping in {finding.fault for finding in found.findings}
    assert target.revision in found.sentence


async def test_labels_that_nobody_carries_are_refused(world: SandboxWorld) -> None:
    target = await fresh_canary(world)
    found = await looked(world, Pods("", {"track": "canary"}), pods_of(target.revision))
    assert "no ready pod in production carries track=canary" in found.sentence


async def test_pods_that_are_counted_under_another_namespace_are_told_so(
    world: SandboxWorld,
) -> None:
    target = await fresh_canary(world)
    assert target.stable is not None
    stable = pods_of(target.stable.revision)
    await eventually(lambda: world.production.users()["requests"] > 0, "users come")
    store = world.platform.environments["production"].scraper.store
    for series in store.select([]):
        series.labels["namespace"] = "prod"
    found = await looked(world, None, stable)
    assert found.fitness is Fitness.unfit
    assert "carry namespace prod, not production" in found.sentence


async def test_what_was_wrong_before_an_outage_is_looked_at_anew_after_it(
    world: SandboxWorld,
) -> None:
    target = await fresh_canary(world)
    unfit = MetricsPlan(template="istio")
    begun = datetime.now(UTC)
    verifying = asyncio.create_task(verified(world, target, timedelta(seconds=30), unfit))
    patience = observer.LEAST_PATIENCE
    await eventually(lambda: datetime.now(UTC) > begun + 0.6 * patience, "it has looked")
    await world.lose_metrics()
    await eventually(lambda: datetime.now(UTC) > begun + 2 * patience, "the outage lasts")
    assert not verifying.done()
    back = datetime.now(UTC)
    await world.tell("DELETE", "outage")
    assert (await verifying).fitness is Fitness.unfit
    assert datetime.now(UTC) - back >= patience
