"""What a revision's pods counted, by its pods' names and whatever its source is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

import worker
from activities.demand import Demand
from clients.cluster import Cluster
from clients.sources import source_at
from domain.canary import judge_rules
from domain.errors import PermanentFailure, TransientFailure
from domain.judge.verdict import Reason, Verdict
from domain.metrics.places import PrometheusPlace, SourcePlace
from domain.metrics.source import Asked, MetricSource
from domain.metrics.templates import ISTIO, OTEL_HTTP
from domain.observed import ObservedBlocks, recompute
from domain.samples import Arm, Samples, Series, Span
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
async def told_by(world: SandboxWorld, source_place: SourcePlace) -> AsyncIterator[Activities]:
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


def last_second(world: SandboxWorld, target: RevisionRequest) -> ObserveStep:
    """A step that is nearly over."""
    now = datetime.now(UTC)
    return ObserveStep(
        target=target,
        weight=100,
        rules=judge_rules(world.plan, 100, has_stable=False),
        since=now - timedelta(minutes=1),
        ends_at=now + timedelta(seconds=1),
        block=world.plan.pace.block,
        slow_above=SLOW,
        state=None,
    )


async def test_a_source_that_refuses_us_holds_and_is_named(world: SandboxWorld) -> None:
    """An expired token or certificate says nothing of the canary: no rollback, no promotion."""
    target = await serving(world)
    async with source_double("prometheus") as double:
        double.status = 401
        async with told_by(world, PrometheusPlace(url=double.url)) as activities:
            request = last_second(world, target)
            judgement = (await activities.do("observe_step", request)).judgement
    assert (judgement.verdict, judgement.reason) == (Verdict.HOLD, Reason.no_data)
    assert "answered 401" in judgement.sentence
    assert "check the credentials of this environment" in judgement.sentence


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '{"data": {"result": [{"metric": {"pod": "a"}, "values": [[1795472934000, "1"]]}]}}',
            "with time 1795472934000, more than a day from what was asked",
        ),
        ("[" * 100_000, "its values are nested too deeply"),
        (f'{{"data": {"9" * 5000}}}', "is not raw samples"),
    ],
)
async def test_an_answer_that_cannot_be_holds_for_want_of_data_and_is_named(
    world: SandboxWorld, text: str, said: str
) -> None:
    """An error of another kind would be retried for ever, and nobody would hear of it."""
    target = await serving(world)
    async with source_double("prometheus") as double:
        double.text = text
        async with told_by(world, PrometheusPlace(url=double.url)) as activities:
            request = last_second(world, target)
            judgement = (await activities.do("observe_step", request)).judgement
    assert (judgement.verdict, judgement.reason) == (Verdict.HOLD, Reason.no_data)
    assert said in judgement.sentence


@dataclass
class Strange:
    """Something behind the port whose answers nobody foresaw."""

    arm_told: Arm | Exception
    said: str = "strange at http://there"
    lag: timedelta = field(default=timedelta(0))

    async def arm(self, asked: Asked) -> Arm:
        if isinstance(self.arm_told, Exception):
            raise self.arm_told
        return self.arm_told

    async def problem(self) -> str | None:
        return None

    async def close(self) -> None:
        return None


async def test_whatever_an_answer_breaks_is_told_as_the_sources(world: SandboxWorld) -> None:
    target = await serving(world)
    place = world.settings.cluster(PRODUCTION)
    since = datetime.now(UTC) - timedelta(seconds=1)
    cluster = await Cluster.connect(place.kubeconfig, place.context, place.namespace)

    async def read_of(told: Arm | Exception) -> Samples:
        source: MetricSource = Strange(told)
        return await read(Demand(cluster, source, SCRAPE), target.revision, since)

    text = Series("a", {}, ((since.timestamp(), "one"),))  # type: ignore[arg-type]
    far = Series("a", {}, ((since.timestamp(), 1.0), (1e300, 2.0)))
    answers: list[tuple[Arm | Exception, str]] = [
        (RecursionError("too deep"), "RecursionError too deep"),
        (KeyError("pod"), "KeyError 'pod'"),
        (OverflowError("int too large"), "OverflowError int too large"),
        (Arm(counts=(text,)), "TypeError"),
    ]
    for told, why in answers:
        with pytest.raises(PermanentFailure) as raised:
            await read_of(told)
        assert f"the answer of strange at http://there cannot be read ({why}" in str(raised.value)
    with pytest.raises(TransientFailure, match="it is retried"):
        await read_of(TransientFailure("it is retried"))
    with pytest.raises(PermanentFailure, match=r"1e\+300 is no time in unix seconds"):
        await read_of(Arm(counts=(far,)))
    await cluster.close()


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
