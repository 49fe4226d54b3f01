"""The observer looks at itself before a canary starts: what it waits for, and what it refuses."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from activities import observer
from activities.demand import Demand, Pods, pods_of
from activities.observer import Arms, Observer
from clients.cluster import Cluster
from clients.sources import source_at
from domain.environments import Environment
from domain.metrics.places import PrometheusPlace
from domain.metrics.plan import MetricsPlan
from domain.observer import Fault, Fitness, Inspection, ObserverReport, VerifyObserver
from domain.steps import RevisionRequest
from sandbox.kubernetes.authorization import STRANGER
from tests.support.cluster_client import cluster_of
from tests.support.platform_world import SandboxWorld
from tests.support.sandbox import eventually
from tests.support.site import named_activities
from tests.support.source_doubles import source_double

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


async def told_by(
    world: SandboxWorld,
    target: RevisionRequest,
    place: PrometheusPlace | None,
    cluster: Cluster,
    within: timedelta = timedelta(seconds=1.5),
) -> ObserverReport:
    """What production's worker finds by another source or with other credentials."""
    there = world.settings.cluster(Environment.PRODUCTION)
    source = source_at(place or there.source)
    try:
        eye = Observer(cluster, Demand(cluster, source, there.scrape))
        request = VerifyObserver(
            target=target,
            slow_above=world.plan.limits.p95,
            ends_at=datetime.now(UTC) + within,
        )
        activities = named_activities([eye.verify_observer])
        return cast(ObserverReport, await activities.do("verify_observer", request))
    finally:
        await source.close()


async def test_a_source_that_lets_us_in_no_more_closes_no_gate_and_is_named(
    world: SandboxWorld, tmp_path: Path
) -> None:
    target = await fresh_canary(world)
    production = world.platform.clusters["production"]
    async with (
        source_double("prometheus") as double,
        cluster_of(production, tmp_path) as cluster,
    ):
        for status, told in [
            (401, "answered 401 .*: check the credentials of this environment"),
            (403, "answered 403 .*: check the credentials of this environment"),
            (404, "answered 404 .*: check that the url is that of a Prometheus API"),
        ]:
            double.status = status
            report = await told_by(world, target, PrometheusPlace(url=double.url), cluster)
            assert report.fitness is Fitness.silent, report.sentence
            assert re.search(told, report.sentence)
        nowhere = PrometheusPlace(
            url=double.url.replace("http:", "https:"), ca_file=tmp_path / "nowhere.crt"
        )
        report = await told_by(world, target, nowhere, cluster)
    assert report.fitness is Fitness.silent, report.sentence
    assert "correct ca_file and client_certificate" in report.sentence


async def test_a_query_that_the_source_refuses_is_wrong(
    world: SandboxWorld, tmp_path: Path
) -> None:
    target = await fresh_canary(world)
    production = world.platform.clusters["production"]
    async with (
        source_double("prometheus") as double,
        cluster_of(production, tmp_path) as cluster,
    ):
        double.status = 400
        place = PrometheusPlace(url=double.url)
        report = await told_by(world, target, place, cluster, timedelta(seconds=30))
    assert report.fitness is Fitness.unfit
    assert "answered 400" in report.sentence
    assert "correct the query in the plan" in report.sentence


async def test_a_cluster_that_shows_us_no_pods_breaks_no_release(
    world: SandboxWorld, tmp_path: Path
) -> None:
    target = await fresh_canary(world)
    async with cluster_of(world.platform.clusters["production"], tmp_path, STRANGER) as cluster:
        report = await told_by(world, target, None, cluster)
    assert report.fitness is Fitness.silent
    assert "grant list on pods" in report.sentence


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
