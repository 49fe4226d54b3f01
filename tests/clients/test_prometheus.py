"""The Prometheus client at the network: what it asks, what it reads, how it fails."""

import math
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from clients.prometheus import REQUEST_TIMEOUT, Matches, Prometheus, selector
from domain.errors import PermanentFailure, TransientFailure
from domain.judge import Judgement, JudgeRules, OnQuiet, Verdict, judge, observe, start
from domain.samples import Arm, Series, Span, sample
from sandbox.kubernetes.cluster import Cluster
from sandbox.platform import Platform
from tests.support.prometheus_double import PrometheusDouble, matrix, prometheus_double
from tests.support.sandbox import create, eventually, revision, route, running_platform

AT = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
WINDOW = timedelta(seconds=30)
NOW = AT.timestamp()


@pytest.fixture
async def double() -> AsyncIterator[PrometheusDouble]:
    async with prometheus_double() as running:
        yield running


@pytest.fixture
async def client(double: PrometheusDouble) -> AsyncIterator[Prometheus]:
    client = Prometheus(double.url, timeout=timedelta(seconds=5), series_limit=3)
    yield client
    await client.close()


async def ask(client: Prometheus) -> list[Series]:
    return await client.raw_series("requests_total", {"pod": "a"}, AT, WINDOW)


async def test_raw_samples_are_read_by_an_instant_query_over_a_range(
    client: Prometheus, double: PrometheusDouble
) -> None:
    double.answer = matrix(({"pod": "a", "code": "200"}, [(NOW - 1, "3"), (NOW, "NaN")]))
    (series,) = await ask(client)
    assert (series.pod, series.labels) == ("a", {"pod": "a", "code": "200"})
    assert series.points[0] == (NOW - 1, 3.0)
    assert math.isnan(series.points[1][1])
    (query,) = double.queries
    assert query["query"] == 'requests_total{pod="a"}[30000ms]'
    assert query["time"] == "1772366400.250"
    assert query["limit"] == "4"


def test_matchers_are_escaped() -> None:
    matchers: dict[str, str | Matches] = {
        "a": 'say "hi"\\\n',
        "b": Matches.any_of("x.y", "z"),
        "c": Matches("5..", negated=True),
    }
    expected = r'm{a="say \"hi\"\\\n",b=~"x\\.y|z",c!~"5.."}[1500ms]'
    assert selector("m", matchers, timedelta(seconds=1.5)) == expected


@pytest.mark.parametrize(
    ("metric", "label", "window"),
    [("up}", "a", 1.0), ("up", 'a="', 1.0), ("", "a", 1.0), ("up", "a", 0.0), ("up", "a", -1.0)],
)
def test_a_selector_that_cannot_be_one_is_refused(metric: str, label: str, window: float) -> None:
    with pytest.raises(PermanentFailure):
        selector(metric, {label: "x"}, timedelta(seconds=window))


async def test_more_series_than_the_limit_are_refused_with_the_limit(
    client: Prometheus, double: PrometheusDouble
) -> None:
    double.answer = matrix(*[({"pod": f"p{n}"}, [(NOW, "1")]) for n in range(3)])
    assert len(await ask(client)) == 3
    double.answer = matrix(*[({"pod": f"p{n}"}, [(NOW, "1")]) for n in range(4)])
    with pytest.raises(PermanentFailure, match="more than 3 series, the limit"):
        await ask(client)


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {},
        {"data": None},
        {"data": {"result": "text"}},
        {"data": {"result": [{"metric": {"pod": "a"}, "value": [1, "1"]}]}},
        {"data": {"result": [{"metric": {"pod": "a"}, "values": [[1, "one"]]}]}},
        {"data": {"result": [{"metric": {"pod": "a"}, "values": [[1]]}]}},
        {"data": {"result": [{"metric": {"pod": "a"}, "histograms": []}]}},
        {"data": {"result": ["text"]}},
        {"data": {"result": [1, 2]}},
    ],
)
async def test_an_answer_that_is_not_raw_samples_is_a_permanent_failure(
    client: Prometheus, double: PrometheusDouble, answer: Any
) -> None:
    double.answer = answer
    with pytest.raises(PermanentFailure, match="is not raw samples"):
        await ask(client)


async def test_an_answer_that_is_not_json_is_a_permanent_failure(
    client: Prometheus, double: PrometheusDouble
) -> None:
    double.text = "<html>a login page</html>"
    with pytest.raises(PermanentFailure, match="it is not JSON"):
        await ask(client)


async def test_a_series_without_pod_is_refused(
    client: Prometheus, double: PrometheusDouble
) -> None:
    double.answer = matrix(({"instance": "a:80"}, [(NOW, "1")]))
    with pytest.raises(PermanentFailure, match="without label pod"):
        await ask(client)


@pytest.mark.parametrize(
    ("status", "failure", "advice"),
    [
        (400, PermanentFailure, "correct the query"),
        (401, PermanentFailure, "check the credentials"),
        (404, PermanentFailure, "check that the url"),
        (422, PermanentFailure, "ask for less"),
        (408, TransientFailure, "retried"),
        (429, TransientFailure, "retried"),
        (500, TransientFailure, "retried"),
        (503, TransientFailure, "retried"),
    ],
)
async def test_a_refusal_names_the_query_and_the_reason(
    client: Prometheus,
    double: PrometheusDouble,
    status: int,
    failure: type[Exception],
    advice: str,
) -> None:
    double.status = status
    double.answer = {"status": "error", "errorType": "x", "error": "the reason"}
    with pytest.raises(failure, match=advice) as raised:
        await ask(client)
    assert f"answered {status} to requests_total{{" in str(raised.value)
    assert "the reason" in str(raised.value)
    assert len(double.queries) == 1


async def test_a_400_that_is_no_answer_of_the_api_may_be_of_another_address(
    client: Prometheus, double: PrometheusDouble
) -> None:
    double.status, double.text = 400, 'unsupported path requested: "/nope/api/v1/query"'
    with pytest.raises(PermanentFailure, match="or the url if it is no Prometheus API"):
        await ask(client)


async def test_a_store_of_thanos_that_is_down_is_waited_for(
    client: Prometheus, double: PrometheusDouble
) -> None:
    down = "proxy Series(): fetch series for {a}: rpc error: code = Unavailable desc = refused"
    double.status, double.answer = 422, {"status": "error", "error": down}
    with pytest.raises(TransientFailure, match=r"answered 422 .*Unavailable.*it is retried"):
        await ask(client)


async def test_its_wish_to_wait_is_kept(client: Prometheus, double: PrometheusDouble) -> None:
    double.status, double.text = 429, "slow down"
    double.headers = {"Retry-After": "7"}
    with pytest.raises(TransientFailure, match="slow down") as raised:
        await ask(client)
    assert raised.value.retry_after == timedelta(seconds=7)


async def test_nobody_listening_is_transient_and_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        client = Prometheus(f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(TransientFailure, match=r"http://127\.0\.0\.1:\d+ did not answer"):
            await ask(client)
        assert await client.problem()
        await client.close()


async def test_a_server_that_says_nothing_is_transient(double: PrometheusDouble) -> None:
    double.silent = True
    client = Prometheus(double.url, timeout=timedelta(seconds=0.2))
    with pytest.raises(TransientFailure, match="did not answer"):
        await ask(client)
    await client.close()


async def test_a_socket_that_accepts_and_never_answers_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        client = Prometheus(f"http://127.0.0.1:{deaf.getsockname()[1]}")
        begun = datetime.now(UTC)
        with pytest.raises(TransientFailure, match="did not answer"):
            await ask(client)
        taken = datetime.now(UTC) - begun
        assert taken < 1.5 * REQUEST_TIMEOUT < timedelta(seconds=10)
        await client.close()


async def test_readiness_is_the_servers_own(client: Prometheus, double: PrometheusDouble) -> None:
    assert await client.problem() is None
    double.status = 503
    assert await client.problem()


async def test_a_server_that_tells_everybody_it_is_ready_is_asked_a_question_too(
    client: Prometheus, double: PrometheusDouble
) -> None:
    double.refused = ("/api/v1/query", 401)
    assert "check the credentials" in str(await client.problem())


async def test_staleness_markers_of_a_raw_export_are_no_samples(
    client: Prometheus, double: PrometheusDouble
) -> None:
    """VictoriaMetrics answers range selectors with them, and stores no other NaN."""
    values = ("3", "NaN", "4", "NaN")
    double.answer = matrix(({"pod": "a"}, [(NOW + n, value) for n, value in enumerate(values)]))
    double.headers = {"Content-Type": "application/stream+json; charset=utf-8"}
    (series,) = await ask(client)
    assert series.points == ((NOW, 3.0), (NOW + 2, 4.0))
    double.headers = {"Content-Type": "application/json"}
    (series,) = await ask(client)
    assert len(series.points) == 4


async def test_an_answer_of_some_of_the_stores_is_not_wanted(
    client: Prometheus, double: PrometheusDouble
) -> None:
    await ask(client)
    (query,) = double.queries
    assert query["partial_response"] == "false"
    assert query["deny_partial_response"] == "1"


async def test_a_path_prefix_and_headers_reach_the_server(double: PrometheusDouble) -> None:
    client = Prometheus(f"{double.url}/tenant/", headers={"X-Scope-OrgID": "a"})
    assert await ask(client) == []
    await client.close()


def test_importing_the_client_stays_light() -> None:
    heavy = "{'pandas', 'numpy', 'matplotlib', 'dateparser', 'temporalio'}"
    code = f"import sys, clients.prometheus; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def deploy(platform: Platform, canary_faults: str) -> None:
    cluster, image = platform.clusters["production"], platform.registry.base_image
    await create(cluster, *revision("album-v1", image), *revision("album-v2", image))
    await create(cluster, *revision("album-v3", image, faults=canary_faults))
    await create(cluster, route("album", v1=90, v2=5, v3=5))
    for version in ("v1", "v2", "v3"):
        selector = {"app": "album", "version": f"album-{version}"}
        await eventually(partial(_is_ready, cluster, selector), f"ready pods of {version}")


def _is_ready(cluster: Cluster, selector: dict[str, str]) -> bool:
    return bool(cluster.ready_pods("production", selector))


async def read_arm(client: Prometheus, version: str, span: Span) -> Arm:
    matchers: dict[str, str | Matches] = {"namespace": "production"}
    matchers["pod"] = Matches(f"album-{version}-.*")
    metric = "http_server_request_duration_seconds_bucket"
    return Arm(buckets=tuple(await client.raw_series(metric, matchers, span.until, span.window)))


async def verdict_on(client: Prometheus, version: str, length: timedelta) -> Judgement:
    """Judge a running version against v1 by polling, as the observing activity does."""
    rules = JudgeRules(
        limits={"errors": 0.01, "slow": 0.5},
        min_bake=10 * length,
        deadline=timedelta(seconds=10),
        on_quiet=OnQuiet.hold,
    )
    since = after = datetime.now(UTC)
    state = start(rules, ("errors", "slow"), since)
    while True:
        span = Span.following(since, after, datetime.now(UTC), length)
        arms = [await read_arm(client, name, span) for name in (version, "v1")]
        samples = sample(arms[0], arms[1], span, timedelta(milliseconds=500))
        assert samples.broken == ()
        for block in samples.blocks:
            state = observe(state, rules, block)
        after = samples.until
        judgement = judge(state, rules, datetime.now(UTC) - since)
        if judgement.verdict is not Verdict.HOLD or judgement.elapsed > rules.last_deadline:
            return judgement


async def test_the_sandboxes_users_convict_the_bad_version_and_acquit_the_good_one(
    tmp_path: Path,
) -> None:
    async with running_platform(tmp_path, traffic={"production": 40}) as platform:
        await deploy(platform, "production:errors=20%")
        client = Prometheus(platform.prometheus_urls["production"])
        assert await client.problem() is None
        length = timedelta(seconds=platform.environments["production"].scrape_seconds)
        bad = await verdict_on(client, "v3", length)
        assert bad.verdict is Verdict.ROLL_BACK, bad.sentence
        good = await verdict_on(client, "v2", length)
        assert good.verdict is Verdict.PROMOTE, good.sentence
        assert good.counts["errors"].canary_requests > 0
        with pytest.raises(PermanentFailure, match="correct the query"):
            await client.raw_series("up", {"pod": Matches("(")}, datetime.now(UTC), WINDOW)
        await client.close()
