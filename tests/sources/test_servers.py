"""Prometheus, VictoriaMetrics, Thanos and Mimir tell our client the same of the same pods."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from clients.prometheus import UP, Matches, Prometheus
from domain.errors import NoAccess, PermanentFailure
from domain.metrics.source import Survey
from domain.metrics.templates import OTEL_HTTP
from domain.samples import Series
from tests.sources.exposition import CLOCK, NAMESPACE
from tests.sources.scenario import ARMS, BORN, RESTARTS_TRUTH, SCRAPE, TRUTH, VANISHED, Scenario
from tests.sources.servers import PATIENCE_SECONDS, PROGRAMS

pytestmark = pytest.mark.real
# Thanos, Mimir and this VictoriaMetrics have their samples from the real Prometheus.
FED = ("victoriametrics-written", "thanos", "mimir")
# Labels by which they tell who scraped.
EXTERNAL = frozenset({"written_by", "replica"})
EDGES = f"{OTEL_HTTP.latency}_bucket"
LOOKS = 12
POLL_SECONDS = 0.25
CLOCK_SLACK = 0.01


@pytest.fixture(params=PROGRAMS)
def server(request: pytest.FixtureRequest, scenario: Scenario) -> str:
    name = str(request.param)
    if name not in scenario.places:
        program = PROGRAMS[name]
        pytest.skip(f"not built: {program}; say `python -m tests.cluster.programs {program}`")
    return name


fed = pytest.mark.parametrize("server", FED, indirect=True)


async def test_every_request_is_counted_once_whatever_happened(
    scenario: Scenario, server: str
) -> None:
    """New series, a reset, a refused scrape, a pod born and one vanished."""
    found = await scenario.samples(server)
    assert found.broken == ()
    errors = [block.counts["errors"] for block in found.blocks]
    slow = [block.counts["slow"] for block in found.blocks]
    canary = sum(one.canary_requests for one in errors), sum(one.canary_bad for one in errors)
    stable = sum(one.stable_requests for one in errors), sum(one.stable_bad for one in errors)
    assert (*canary, sum(one.canary_bad for one in slow)) == TRUTH["canary"]
    assert (*stable, sum(one.stable_bad for one in slow)) == TRUTH["stable"]
    restarts = [block.counts["restarts"] for block in found.blocks]
    assert sum(one.canary_bad for one in restarts) == RESTARTS_TRUTH


async def test_a_vanished_pod_is_seen_as_gone_and_holds_no_block(
    scenario: Scenario, server: str
) -> None:
    found = await scenario.samples(server)
    arm = await scenario.arm(server, "stable")
    heard = [at for one in arm.up if one.pod == VANISHED for at, up in one.points if up]
    assert heard
    assert max(heard) <= scenario.gone.timestamp() + CLOCK_SLACK
    assert scenario.until - found.blocks[-1].end <= timedelta(seconds=1)


async def test_samples_have_the_scrapes_own_times(scenario: Scenario, server: str) -> None:
    """The counter of seconds says when a scrape was answered: within its time limit."""
    found = await series(scenario, server, CLOCK)
    assert {one.pod for one in found} == {*ARMS["canary"], *ARMS["stable"]}
    for one in found:
        assert len(one.points) > 4
        for at, answered in one.points:
            assert -CLOCK_SLACK <= answered - at <= SCRAPE


@fed
async def test_what_prometheus_scraped_is_the_same_everywhere(
    scenario: Scenario, server: str
) -> None:
    assert await scenario.samples(server) == await scenario.samples("prometheus")
    for metric in (EDGES, UP, CLOCK):
        theirs = told(await series(scenario, server, metric))
        assert theirs == told(await series(scenario, "prometheus", metric))


async def test_what_is_older_than_the_lag_is_complete(scenario: Scenario) -> None:
    """Of all servers at once, for it takes seconds to know."""

    async def looked(server: str) -> tuple[list[Told], list[Told]]:
        async with scenario.client(server) as client:
            return await twice(client, client.lag)

    found = await asyncio.gather(*map(looked, scenario.places))
    late = [
        server for server, seen in zip(scenario.places, found, strict=True) if seen[0] != seen[1]
    ]
    assert late == []


async def test_without_lag_victoriametrics_hides_what_it_has(scenario: Scenario) -> None:
    """Why docs/metrics.md says to set one: what comes later belongs to a block that is over."""
    if "victoriametrics" not in scenario.places:
        pytest.skip("not built: victoria-metrics")
    async with scenario.client("victoriametrics", lag=timedelta(0)) as client:
        early, late = await twice(client, client.lag)
    assert early != late


async def test_a_source_says_which_other_pods_have_the_metric(
    scenario: Scenario, server: str
) -> None:
    pods = frozenset({*ARMS["canary"], *ARMS["stable"]})
    async with scenario.client(server) as client:
        assert await client.survey(scenario.asked("canary")) == Survey(pods=pods)
        elsewhere = dict.fromkeys(ARMS["canary"], NAMESPACE)
        found = await client.survey(scenario.asked("canary", namespace="another"))
        assert found == Survey(elsewhere=elsewhere)


async def test_what_cannot_be_asked_is_refused_with_a_reason(
    scenario: Scenario, server: str
) -> None:
    async with scenario.client(server) as client:
        with pytest.raises(PermanentFailure, match=f"answered 4.. to {UP}.*correct the query"):
            await client.raw_series(UP, {"pod": Matches("(")}, datetime.now(UTC), MINUTE)
        assert await client.problem() is None
    few = Prometheus(scenario.places[server], series_limit=3)
    with pytest.raises(PermanentFailure, match="more than 3 series, the limit"):
        await few.raw_series(UP, {"namespace": NAMESPACE}, datetime.now(UTC), MINUTE)
    await few.close()


async def test_an_address_that_is_no_api_is_told_so(scenario: Scenario, server: str) -> None:
    url = f"{scenario.places[server].url}/no/such/place"
    async with scenario.client(server, url=url) as client:
        with pytest.raises(PermanentFailure, match=r"the url (is that of a|if it is no) Prom"):
            await client.raw_series(UP, {"pod": BORN}, datetime.now(UTC), MINUTE)
        assert "the url i" in str(await client.problem())


@pytest.mark.parametrize("server", ["mimir"], indirect=True)
async def test_mimir_lets_in_tenants_only_and_each_sees_its_own(
    scenario: Scenario, server: str
) -> None:
    async with scenario.client(server, tenant=None) as client:
        with pytest.raises(NoAccess, match="answered 401"):
            await client.raw_series(UP, {"pod": BORN}, datetime.now(UTC), MINUTE)
        assert await client.problem()
    async with scenario.client(server, tenant="team-b") as client:
        assert await client.raw_series(UP, {"pod": BORN}, datetime.now(UTC), MINUTE) == []


MINUTE = timedelta(minutes=1)
Told = dict[frozenset[tuple[str, str]], tuple[tuple[float, float], ...]]


async def series(scenario: Scenario, server: str, metric: str) -> list[Series]:
    """Of every pod, over the whole scenario."""
    span = scenario.span
    async with scenario.client(server) as client:
        return await client.raw_series(metric, {"namespace": NAMESPACE}, span.until, span.window)


def told(found: Iterable[Series]) -> Told:
    """What each series says, whoever scraped it; VictoriaMetrics stores decimals, not floats."""
    return {
        frozenset(pair for pair in one.labels.items() if pair[0] not in EXTERNAL): tuple(
            (at, round(value, 3)) for at, value in one.points
        )
        for one in found
    }


async def twice(client: Prometheus, lag: timedelta) -> tuple[list[Told], list[Told]]:
    """The same windows asked as a block closes, and again when they are long past."""
    early, ends = [], []
    for _ in range(LOOKS):
        ends.append(datetime.now(UTC) - lag)
        early.append(await window(client, ends[-1]))
        await asyncio.sleep(POLL_SECONDS)
    await until_known(client, datetime.now(UTC))
    return early, [await window(client, end) for end in ends]


async def window(client: Prometheus, end: datetime) -> Told:
    matchers = {"namespace": NAMESPACE}
    return told(await client.raw_series(EDGES, matchers, end, timedelta(seconds=3)))


async def until_known(client: Prometheus, moment: datetime) -> None:
    """Wait until every pod that is there has a sample after a moment."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while True:
        found = await window(client, datetime.now(UTC))
        newest = [points[-1][0] for points in found.values()]
        if newest and min(newest) > moment.timestamp():
            return
        assert asyncio.get_running_loop().time() < deadline, f"nothing newer than {moment}"
        await asyncio.sleep(POLL_SECONDS)
