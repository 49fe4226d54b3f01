"""Answers of sources of metrics that cannot be: each is refused by name, none breaks its reader."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from clients.http_json import HttpJson
from clients.prometheus import Prometheus
from domain.errors import NoAccess, PermanentFailure, ReleaseError, TransientFailure
from domain.metrics.places import HttpJsonPlace
from domain.metrics.source import MetricSource
from domain.samples import sample
from tests.clients.test_sources import KINDS, client_of, place_of, running
from tests.support.source_doubles import SINCE, Counted, SourceDouble, asked, source_double

BEGIN = SINCE.timestamp()
CANARY = {"c1": Counted((10, 20, 30))}
# A time as JSON has it, and what is said of it.
TIMES = [
    ("NaN", "time nan"),
    ("Infinity", "time inf"),
    ("-Infinity", "time -inf"),
    ("1e300", "time 1e+300"),
    (f"{BEGIN * 1000:.0f}", "time 1772366400000"),
    ("12345", "time 12345"),
]


@pytest.fixture(params=KINDS)
async def double(request: pytest.FixtureRequest) -> AsyncIterator[SourceDouble]:
    async with source_double(request.param) as running:
        yield running


@pytest.fixture
async def source(double: SourceDouble, tmp_path: Path) -> AsyncIterator[MetricSource]:
    async with client_of(place_of(double, tmp_path)) as client:
        yield client


async def refusal(source: MetricSource, kind: type[ReleaseError] = PermanentFailure) -> str:
    with pytest.raises(kind) as raised:
        await source.arm(asked(CANARY, 3))
    return str(raised.value)


def one_point(kind: str, time: str) -> str:
    """An answer whose only point is at a time (seconds; Datadog's are milliseconds)."""
    if kind == "prometheus":
        series = f'{{"metric": {{"pod": "c1"}}, "values": [[{time}, "1"]]}}'
        return f'{{"status": "success", "data": {{"result": [{series}]}}}}'
    if kind == "datadog":
        tags = '"metric": "shop_requests_total", "tag_set": ["pod_name:c1"], "interval": 10'
        return f'{{"status": "ok", "series": [{{{tags}, "pointlist": [[{time}, 1]]}}]}}'
    interval = f'{{"until": {time}, "requests": 1}}'
    return f'{{"pods": {{"c1": {{"begins": {BEGIN}, "intervals": [{interval}]}}}}}}'


@pytest.mark.parametrize(("time", "said"), TIMES)
async def test_a_time_that_was_not_asked_for_is_named(
    source: MetricSource, double: SourceDouble, time: str, said: str
) -> None:
    if double.kind == "datadog" and "e" not in time and time[0].isdigit():
        time, said = f"{BEGIN:.0f}", "time 1772366.4"
    elif double.kind == "datadog":
        said = said.replace("e+300", "e+297")
    double.text = one_point(double.kind, time)
    told = await refusal(source)
    if double.kind == "http-json" and time.strip("-").isalpha():
        assert "pods.c1.intervals.0.until: Input should be a finite number" in told
        return
    assert f"{said}, more than a day from what was asked (2026-03-01T11:59:50Z to" in told
    assert double.url in told
    assert "let it tell times in unix " + ("milli" * (double.kind == "datadog")) in told
    assert "c1" in told


async def test_what_is_not_older_than_a_day_is_a_time(
    source: MetricSource, double: SourceDouble
) -> None:
    factor = 1000 if double.kind == "datadog" else 1
    double.text = one_point(double.kind, f"{(BEGIN - 80_000) * factor:.0f}")
    assert (await source.arm(asked(CANARY, 3))).counts


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        f'{{"data": {"9" * 5000}}}',
        b'{"status": "success", "data": "\xff\xfe"}'.decode("latin-1"),
        "7",
        '"text"',
        "",
    ],
)
async def test_what_cannot_be_parsed_is_the_wrong_answer_and_nothing_else(
    source: MetricSource, double: SourceDouble, text: str
) -> None:
    double.text = text or " "
    said = await refusal(source)
    assert f"at {double.url} to " in said
    assert " is not " in said
    assert await source.problem()


@pytest.mark.parametrize("number", ["9" * 400, "[1]", '{"a": 1}', '"one"', "null"])
async def test_a_time_that_is_no_number_is_the_wrong_answer(
    source: MetricSource, double: SourceDouble, number: str
) -> None:
    double.text = one_point(double.kind, number)
    assert " is not " in await refusal(source)


@pytest.mark.parametrize("interval", ["NaN", "0", "-10", "1e300", "86401"])
async def test_an_interval_of_datadog_that_cannot_be_is_named(
    tmp_path: Path, interval: str
) -> None:
    async with running("datadog", tmp_path) as (double, source):
        text = one_point("datadog", f"{BEGIN * 1000:.0f}")
        double.text = text.replace('"interval": 10', f'"interval": {interval}')
        assert f"shop_requests_total has an interval of {float(interval):g} s" in await refusal(
            source
        )


async def test_a_redirect_without_a_place_is_told_as_one(
    source: MetricSource, double: SourceDouble
) -> None:
    double.status, double.text = 302, ""
    said = await refusal(source, NoAccess)
    assert "redirects to nowhere that it names (302 without Location)" in said
    assert "correct the query" not in said


# --- answers in part -----------------------------------------------------------------------------

PARTS: list[tuple[dict[str, Any], str]] = [
    ({"warnings": ["store-2: connection refused", "more"]}, "store-2: connection refused; more"),
    ({"warnings": "x"}, "x"),
    ({"isPartial": True}, "isPartial"),
    ({"status": "error", "error": "a shard is down"}, "status error: a shard is down"),
]


@pytest.mark.parametrize(("more", "why"), PARTS)
async def test_an_answer_in_part_is_no_data_and_says_why(
    tmp_path: Path, more: dict[str, Any], why: str
) -> None:
    async with running("prometheus", tmp_path) as (double, source):
        double.text = json.dumps({**json.loads(one_point("prometheus", f"{BEGIN}")), **more})
        said = await refusal(source, TransientFailure)
        assert f"in part only ({why})" in said
        assert "it is retried" in said
        assert await source.problem()


@pytest.mark.parametrize("more", [{"warnings": []}, {"isPartial": False}, {"infos": ["x"]}])
async def test_a_whole_answer_may_say_so(tmp_path: Path, more: dict[str, Any]) -> None:
    async with running("prometheus", tmp_path) as (double, source):
        double.text = json.dumps({**json.loads(one_point("prometheus", f"{BEGIN}")), **more})
        assert (await source.arm(asked(CANARY, 3))).counts


async def test_an_answer_cut_off_at_the_limit_names_the_limit_not_the_warning(
    tmp_path: Path,
) -> None:
    async with source_double("prometheus") as double:
        text = json.loads(one_point("prometheus", f"{BEGIN}"))
        text["data"]["result"] *= 3
        double.text = json.dumps({**text, "warnings": ["results truncated due to limit"]})
        client = Prometheus(double.url, series_limit=2)
        assert "more than 2 series, the limit" in await refusal(client)
        await client.close()


# --- our own protocol ----------------------------------------------------------------------------


def interval(**told: object) -> dict[str, object]:
    return {"until": BEGIN + 10, "requests": 10, "bad": 1, "under": {"0.5": 8}, **told}


async def told_by(tmp_path: Path, *intervals: dict[str, object], begins: float = BEGIN) -> Any:
    """What our client makes of one pod's intervals."""
    async with running("http-json", tmp_path) as (double, source):
        double.text = json.dumps({"pods": {"c1": {"begins": begins, "intervals": intervals}}})
        return await source.arm(asked(CANARY, 1))


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"requests": 0.4}, "intervals.0.requests: Input should be a valid integer"),
        ({"requests": -5}, "intervals.0.requests: Input should be greater than or equal to 0"),
        ({"requests": 2**53 + 1}, "requests: Input should be less than or equal to 9007199254"),
        ({"requests": float("nan")}, "requests: Input should be a finite number"),
        ({"bad": float("inf")}, "intervals.0.bad: Input should be a finite number"),
        ({"restarts": 0.5}, "intervals.0.restarts: Input should be a valid integer"),
        ({"under": {"0.5": 0.5}}, "under.0.5: Input should be a valid integer"),
        ({"under": {"inf": 40}}, "'inf' is no number of seconds above 0"),
        ({"under": {"+Inf": 40}}, "'+Inf' is no number of seconds above 0"),
        ({"under": {"abc": 40}}, "'abc' is no number of seconds above 0"),
        ({"under": {"nan": 40}}, "'nan' is no number of seconds above 0"),
        ({"under": {"-1": 40}}, "'-1' is no number of seconds above 0"),
        ({"under": {"0": 40}}, "'0' is no number of seconds above 0"),
        ({"under": {"0.5": 8, "0.50": 8}}, "under: Value error, an edge is told twice"),
        ({"under": [1]}, "under: Input should be a valid dictionary"),
    ],
)
async def test_http_json_counts_in_whole_numbers_under_edges_that_are_numbers(
    tmp_path: Path, told: dict[str, object], why: str
) -> None:
    with pytest.raises(PermanentFailure) as raised:
        await told_by(tmp_path, interval(**told))
    assert why in str(raised.value)
    assert "pods.c1.intervals.0." in str(raised.value)
    assert "let it answer as docs/metrics-source.schema.json says" in str(raised.value)


async def test_an_edge_may_be_written_in_two_ways_in_two_intervals(tmp_path: Path) -> None:
    later = interval(until=BEGIN + 20, requests=10.0, under={"0.50": 9})
    arm = await told_by(tmp_path, interval(), later)
    assert {one.labels["le"] for one in arm.buckets} == {"0.5", "+Inf"}
    block, _ = sample(arm, None, asked(CANARY, 2).span, timedelta(milliseconds=500)).blocks
    assert (block.counts["slow"].canary_requests, block.counts["slow"].canary_bad) == (10, 2)


async def test_a_begin_may_be_the_pods_own_of_long_ago_but_none_to_come(tmp_path: Path) -> None:
    assert (await told_by(tmp_path, interval(), begins=BEGIN - 9e6)).counts
    with pytest.raises(PermanentFailure, match=r"time 1772366400000, .* in begins of pod c1"):
        await told_by(tmp_path, interval(), begins=BEGIN * 1000)


async def test_a_question_about_no_pod_has_a_name_and_no_other_protocols_advice() -> None:
    async with source_double("http-json") as double:
        source = HttpJson(HttpJsonPlace(kind="http-json", url=double.url))
        double.text = "[]"
        said = str(await source.problem())
        assert f"http-json at {double.url} to a question about no pod is not counts by pod" in said
        assert "classic histogram" not in said
        double.text, double.status = "no", 500
        assert "answered 500 to /: no" in str(await source.problem())
        await source.close()
