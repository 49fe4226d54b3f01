from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from prometheus_api_client import PrometheusConnect

from sandbox.metrics import KEPT_SAMPLES, Scrape, Scraper, SeriesStore, Target, labels_of
from sandbox.prometheus import Prometheus
from sandbox.prometheus.functions import histogram_quantile, increase
from sandbox.prometheus.wire import number_text

START = 1_800_000_000
NOW = START + 60
FIRST = Target(labels_of(pod="a-1", job="a", instance="10.0.0.1:80"), "http://10.0.0.1:80/metrics")
SECOND = Target(labels_of(pod="a-2", job="a", instance="10.0.0.2:80"), "http://10.0.0.2:80/metrics")
BUCKETS = {"0.1": 0.5, "0.5": 0.9, "+Inf": 1.0}


def exposition(target: Target, served: float, failed: float) -> Scrape:
    """Counters `hits_total` by status, and a histogram `seconds_bucket` of all of them."""
    own = dict(target.labels)
    samples = [
        (labels_of(__name__="hits_total", status=status, **own), value)
        for status, value in (("200", served), ("500", failed))
        if value
    ]
    samples += [
        (labels_of(__name__="seconds_bucket", le=le, **own), (served + failed) * share)
        for le, share in BUCKETS.items()
    ]
    return Scrape(target, True, samples)


@pytest.fixture
async def prometheus() -> AsyncIterator[Prometheus]:
    """Scraped every 10 s for a minute: pod a-1 serves 10/s, a-2 5/s and fails 1/s from 30 s on."""
    scraper = Scraper(SeriesStore())
    for second in range(0, 61, 10):
        failed = max(0, second - 30)
        targets = [exposition(FIRST, 10 * second, 0), exposition(SECOND, 5 * second, failed)]
        scraper.take((START + second) * 1000, targets)
    server = Prometheus(scraper, 10.0)
    await server.start()
    yield server
    await server.close()


async def get(prometheus: Prometheus, path: str, **parameters: str) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{prometheus.url}{path}", params=parameters) as response,
    ):
        return response.status, await response.json()


async def query(prometheus: Prometheus, text: str, time: float = NOW) -> Any:
    status, body = await get(prometheus, "/api/v1/query", query=text, time=str(time))
    assert status == 200, body
    return body["data"]


def by_pod(data: Any) -> dict[str, str]:
    return {one["metric"].get("pod", ""): one["value"][1] for one in data["result"]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('hits_total{status="200"}', {"a-1": "600", "a-2": "300"}),
        ('hits_total{status!="200"}', {"a-2": "30"}),
        ('hits_total{status=~"5..", pod=~"a-.*"}', {"a-2": "30"}),
        ('hits_total{status!~"5.."}', {"a-1": "600", "a-2": "300"}),
        ('{__name__="hits_total", status="500"}', {"a-2": "30"}),
        ('hits_total{status="200"} offset 20s', {"a-1": "400", "a-2": "200"}),
        ("sum by (pod) (hits_total)", {"a-1": "600", "a-2": "330"}),
        ("sum(hits_total) by (pod)", {"a-1": "600", "a-2": "330"}),
        ("sum without (status, job, instance) (hits_total)", {"a-1": "600", "a-2": "330"}),
        ("sum(hits_total)", {"": "930"}),
        ("avg(hits_total)", {"": "310"}),
        ("max(hits_total)", {"": "600"}),
        ("min(hits_total)", {"": "30"}),
        ("count(hits_total)", {"": "3"}),
        ('rate(hits_total{status="200"}[1m])', {"a-1": "10", "a-2": "5"}),
        ('increase(hits_total{pod="a-1"}[30s])', {"a-1": "300"}),
        (
            'sum by (pod) (hits_total{status="500"}) / sum by (pod) (hits_total)',
            {"a-2": "0.09090909090909091"},
        ),
        (
            'hits_total{status="500"} / ignoring(status) hits_total{status="200"}',
            {"a-2": "0.1"},
        ),
        (
            'hits_total{status="500"} / on(pod) hits_total{status="200"} * 100',
            {"a-2": "10"},
        ),
        ("-sum(hits_total) + 2 * 3 ^ 2", {"": "-912"}),
        ("hits_total > 100", {"a-1": "600", "a-2": "300"}),
        ("sum(hits_total) > bool 1e3", {"": "0"}),
        ("histogram_quantile(0.5, sum by (le) (seconds_bucket))", {"": "0.1"}),
        ("histogram_quantile(0.9, sum by (le, pod) (rate(seconds_bucket[1m])))", None),
        ("up", {"a-1": "1", "a-2": "1"}),
        ("nothing_of_that_name", {}),
    ],
)
async def test_an_instant_query_answers_as_prometheus_does(
    prometheus: Prometheus, text: str, expected: dict[str, str] | None
) -> None:
    data = await query(prometheus, text)
    assert data["resultType"] == "vector"
    assert by_pod(data) == ({"a-1": "0.5", "a-2": "0.5"} if expected is None else expected)


async def test_a_number_is_a_scalar(prometheus: Prometheus) -> None:
    data = await query(prometheus, "(1 + 2) / 0")
    assert (data["resultType"], data["result"]) == ("scalar", [NOW, "+Inf"])


async def test_a_range_selector_gives_raw_samples_of_a_half_open_window(
    prometheus: Prometheus,
) -> None:
    data = await query(prometheus, 'hits_total{status="500"}[30s]')
    assert data["resultType"] == "matrix"
    (series,) = data["result"]
    assert series["values"] == [[START + 40, "10"], [START + 50, "20"], [START + 60, "30"]]
    assert (await query(prometheus, "nothing[30s]")) == {"resultType": "matrix", "result": []}


async def test_a_range_query_evaluates_every_step(prometheus: Prometheus) -> None:
    status, body = await get(
        prometheus,
        "/api/v1/query_range",
        query="sum(hits_total)",
        start=str(START + 10),
        end=str(START + 30),
        step="10s",
    )
    (series,) = body["data"]["result"]
    assert (status, body["data"]["resultType"]) == (200, "matrix")
    assert [value for _, value in series["values"]] == ["150", "300", "450"]


async def test_a_post_form_is_a_query_too(prometheus: Prometheus) -> None:
    form = {"query": "sum(hits_total)", "time": "2027-01-15T08:01:00Z"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{prometheus.url}/api/v1/query", data=form) as response,
    ):
        assert by_pod((await response.json())["data"]) == {"": "930"}


async def test_series_labels_and_values_are_listed(prometheus: Prometheus) -> None:
    parameters = {"match[]": 'hits_total{status="500"}'}
    _, body = await get(prometheus, "/api/v1/series", **parameters)
    assert body["data"] == [{"__name__": "hits_total", "status": "500", **dict(SECOND.labels)}]
    _, body = await get(prometheus, "/api/v1/labels", **parameters)
    assert body["data"] == ["__name__", "instance", "job", "pod", "status"]
    _, body = await get(prometheus, "/api/v1/label/__name__/values")
    assert body["data"] == ["hits_total", "seconds_bucket", "up"]
    _, body = await get(prometheus, "/api/v1/targets")
    assert {one["health"] for one in body["data"]["activeTargets"]} == {"up"}


@pytest.mark.parametrize(
    ("text", "status", "error_type", "named"),
    [
        ("", 400, "bad_data", "unexpected end of input"),
        ("hits_total{", 400, "bad_data", "parse error"),
        ("hits_total[", 400, "bad_data", "parse error"),
        ("sum(hits_total", 400, "bad_data", "want )"),
        ("{}", 400, "bad_data", "non-empty matcher"),
        ('{pod=~".*"}', 400, "bad_data", "non-empty matcher"),
        ('hits_total{pod=~"("}', 400, "bad_data", "parse error"),
        ("ratio(hits_total[1m])", 400, "bad_data", "unknown function"),
        ("rate(hits_total)", 400, "bad_data", "expected type range vector"),
        ("hits_total[1m] + 1", 400, "bad_data", "range vector"),
        ("1 > 2", 400, "bad_data", "BOOL"),
        ("hits_total / on(job) hits_total", 422, "execution", "many-to-many"),
        ("topk(3, hits_total)", 501, "unsupported", "topk"),
        ("absent(hits_total)", 501, "unsupported", "absent"),
        ("hits_total and up", 501, "unsupported", "and"),
        ("rate(hits_total[5m:1m])", 501, "unsupported", "subqueries"),
        ("hits_total @ 1", 501, "unsupported", "@"),
        ("hits_total * on(pod) group_left up", 501, "unsupported", "group_left"),
    ],
)
async def test_a_query_without_an_answer_says_why(
    prometheus: Prometheus, text: str, status: int, error_type: str, named: str
) -> None:
    found, body = await get(prometheus, "/api/v1/query", query=text, time=str(NOW))
    assert (found, body["status"], body["errorType"]) == (status, "error", error_type)
    assert named in body["error"]


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"query": "up", "start": "1", "end": "0", "step": "1"}, "end"),
        ({"query": "up", "start": "0", "end": "1", "step": "0"}, "step"),
        ({"query": "up", "start": "0", "end": "1", "step": "x"}, "step"),
        ({"query": "up", "start": "0", "step": "1"}, "end"),
        ({"query": "up", "start": "0", "end": "99999", "step": "1"}, "11000 points"),
        ({"query": "up[1m]", "start": "0", "end": "1", "step": "1"}, "range vector"),
    ],
)
async def test_a_range_query_with_bad_parameters_is_refused(
    prometheus: Prometheus, parameters: dict[str, str], named: str
) -> None:
    status, body = await get(prometheus, "/api/v1/query_range", **parameters)
    assert (status, body["errorType"]) == (400, "bad_data")
    assert named in body["error"]


async def test_an_unknown_path_is_refused_by_name(prometheus: Prometheus) -> None:
    status, body = await get(prometheus, "/api/v1/rules")
    assert status == 501
    assert "/api/v1/rules" in body["error"]


async def test_the_client_library_reads_it(prometheus: Prometheus) -> None:
    client = PrometheusConnect(url=prometheus.url)
    assert await asyncio.to_thread(client.check_prometheus_connection)
    found = await asyncio.to_thread(
        client.custom_query, "sum(hits_total)", params={"time": str(NOW)}
    )
    assert found == [{"metric": {}, "value": [NOW, "930"]}]


def test_a_vanished_target_has_no_value_but_keeps_its_samples() -> None:
    scraper = Scraper(SeriesStore())
    key = labels_of(__name__="hits_total", status="200", **dict(FIRST.labels))
    scraper.take(1000, [Scrape(FIRST, True, [(key, 7.0)])])
    series = scraper.store.series(key)
    assert series.at(1500) == 7.0
    scraper.take(2000, [])
    assert series.at(2500) is None
    assert series.between(0, 2500) == [(1000, 7.0)]
    assert not scraper.last


def test_a_target_that_does_not_answer_is_down_and_its_series_go_stale() -> None:
    scraper = Scraper(SeriesStore())
    key = labels_of(__name__="hits_total", **dict(FIRST.labels))
    scraper.take(1000, [Scrape(FIRST, True, [(key, 7.0)])])
    scraper.take(2000, [Scrape(FIRST, False, [])])
    up = scraper.store.series(labels_of(__name__="up", **dict(FIRST.labels)))
    assert (up.at(1000), up.at(2000)) == (1.0, 0.0)
    assert scraper.store.series(key).at(2000) is None
    scraper.take(3000, [Scrape(FIRST, True, [(key, 1.0)])])
    assert scraper.store.series(key).at(3000) == 1.0


def test_a_value_is_seen_for_five_minutes() -> None:
    store = SeriesStore()
    series = store.series(labels_of(__name__="x"))
    series.append(1000, 1.0)
    assert series.at(300_999) == 1.0
    assert series.at(301_000) is None


def test_memory_is_bounded_and_forgets_the_oldest() -> None:
    store = SeriesStore()
    series = store.series(labels_of(__name__="x"))
    for time_ms in range(3 * KEPT_SAMPLES):
        series.append(time_ms, float(time_ms))
    kept = series.between(-1, 3 * KEPT_SAMPLES)
    assert KEPT_SAMPLES <= len(kept) < 2 * KEPT_SAMPLES
    assert kept[-1][0] == 3 * KEPT_SAMPLES - 1
    store.forget_before(4 * KEPT_SAMPLES)
    assert store.select([]) == []


def test_increase_survives_a_counter_that_began_again() -> None:
    samples = [(0, 10.0), (10_000, 20.0), (20_000, 5.0), (30_000, 15.0)]
    assert increase(samples, 0, 30_000) == pytest.approx(25.0)
    assert increase(samples[:1], 0, 30_000) is None


def test_increase_reaches_no_farther_back_than_a_counter_of_zero() -> None:
    # Half a gap before the first sample would be 5 s, but at 1/s the counter was 0 two seconds ago.
    samples = [(20_000, 2.0), (30_000, 12.0), (40_000, 22.0)]
    assert increase(samples, 0, 40_000) == pytest.approx(22.0)


@pytest.mark.parametrize(
    ("quantile", "expected"),
    [(0.25, 0.05), (0.7, 0.3), (0.95, 0.5), (-1.0, -math.inf), (2.0, math.inf)],
)
def test_a_quantile_is_linear_inside_its_bucket(quantile: float, expected: float) -> None:
    buckets = {0.1: 50.0, 0.5: 90.0, math.inf: 100.0}
    assert histogram_quantile(quantile, buckets) == pytest.approx(expected)


def test_a_histogram_without_observations_has_no_quantile() -> None:
    assert math.isnan(histogram_quantile(0.5, {0.1: 0.0, math.inf: 0.0}))
    assert math.isnan(histogram_quantile(0.5, {0.1: 1.0, 0.5: 1.0}))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.5, "1.5"),
        (1e21, "1000000000000000000000"),
        (1e-7, "0.0000001"),
        (math.nan, "NaN"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
    ],
)
def test_a_value_is_written_as_prometheus_writes_it(value: float, text: str) -> None:
    assert number_text(value) == text
