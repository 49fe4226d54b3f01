"""Every source of metrics behind the one port: the same story, blocks, and failures."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from clients.datadog import Datadog
from clients.http_json import HttpJson
from clients.prometheus import Prometheus
from clients.sources import source_at
from domain.errors import NoAccess, PermanentFailure, TransientFailure
from domain.judge import Counts
from domain.metrics.measure import ArmLabel, Measure
from domain.metrics.places import DatadogPlace, HttpJsonPlace, PrometheusPlace, SourcePlace
from domain.metrics.source import MetricSource, Proxied
from domain.metrics.templates import ISTIO, MESSAGES, NGINX, OTEL_HTTP, TRAEFIK
from domain.samples import Samples, sample
from tests.cluster.certificates import Authority
from tests.support.judge_streams import counts
from tests.support.source_doubles import (
    SHOP,
    SINCE,
    Counted,
    SourceDouble,
    Story,
    asked,
    source_double,
)

KINDS = ("prometheus", "datadog", "http-json")
QUICK = timedelta(seconds=0.3)
API_KEY, TOKEN = "api-key-that-is-secret", "token-that-is-secret"
# What answers our own protocol has no query in the plan.
OWN_ADVICE = {
    ("http-json", 400): "let it take the question as docs/metrics.md says",
    ("http-json", 404): "let it answer as docs/metrics-source.schema.json says, and check the url",
}
SHAPES = {
    "prometheus": "is not raw samples",
    "datadog": "is not points by tags",
    "http-json": "is not counts by pod and interval",
}
CANARY = {"c1": Counted((10, 20, 30), (0, 2, 3)), "c2": Counted((5, 0, 5))}
STABLE = {"s1": Counted((90, 80, 70), (1, 0, 2))}


@pytest.fixture(params=KINDS)
async def double(request: pytest.FixtureRequest) -> AsyncIterator[SourceDouble]:
    async with source_double(request.param) as running:
        yield running


def place_of(double: SourceDouble, folder: Path, **more: Any) -> SourcePlace:
    """The source's table in the connection file."""
    if double.kind == "datadog":
        key = folder / "key"
        key.write_text(f"{API_KEY}\n")
        more = {"api_key_file": key, "app_key_file": key, "lag": "0s", **more}
    table = {"kind": double.kind, "url": double.url, **more}
    adapter: TypeAdapter[SourcePlace] = TypeAdapter(SourcePlace)
    return adapter.validate_python(table)


@asynccontextmanager
async def client_of(place: SourcePlace, timeout: timedelta | None = None) -> AsyncIterator[Any]:
    source: MetricSource = source_at(place)
    if timeout is not None:
        source = _impatient(place, timeout)
    yield source
    await source.close()


@asynccontextmanager
async def running(
    kind: str, folder: Path, **more: Any
) -> AsyncIterator[tuple[SourceDouble, MetricSource]]:
    """A source of one kind, and our client of it."""
    async with (
        source_double(kind) as double,
        client_of(place_of(double, folder, **more)) as source,
    ):
        yield double, source


def _impatient(place: SourcePlace, timeout: timedelta) -> MetricSource:
    if isinstance(place, PrometheusPlace):
        return Prometheus(place, timeout=timeout)
    if isinstance(place, DatadogPlace):
        return Datadog(place, timeout=timeout)
    assert isinstance(place, HttpJsonPlace)
    return HttpJson(place, timeout=timeout)


@pytest.fixture
async def source(double: SourceDouble, tmp_path: Path) -> AsyncIterator[MetricSource]:
    async with client_of(place_of(double, tmp_path)) as client:
        yield client


async def told(
    source: MetricSource,
    double: SourceDouble,
    canary: Story,
    stable: Story | None,
    intervals: int = 3,
) -> Samples:
    """What the source tells of both arms, as the judge reads it."""
    arms = []
    for story in (canary, stable):
        if story is not None:
            double.story = story
            arms.append(await source.arm(asked(story, intervals)))
    span = asked(canary, intervals).span
    return sample(arms[0], arms[1] if stable is not None else None, span)


def errors(samples: Samples) -> list[Counts]:
    return [block.counts["errors"] for block in samples.blocks]


# --- the same story ------------------------------------------------------------------------------


async def test_every_kind_tells_the_same_blocks(source: MetricSource, double: SourceDouble) -> None:
    samples = await told(source, double, CANARY, STABLE)
    assert samples.broken == ()
    assert errors(samples) == [
        counts(15, 0, 90, 1),
        counts(20, 2, 80, 0),
        counts(35, 3, 70, 2),
    ]
    pods = samples.blocks[1].pods
    assert pods is not None
    assert (pods.canary_requests, pods.canary_bad["errors"]) == ((20, 0), (2, 0))


async def test_a_pod_that_is_seen_and_asked_nothing_counts_no_requests(
    source: MetricSource, double: SourceDouble
) -> None:
    samples = await told(source, double, {"c1": Counted((0, 0, 0))}, None)
    assert errors(samples) == [Counts()] * 3
    assert samples.broken == ()


async def test_an_interval_that_nobody_saw_is_covered_by_the_next_one(
    source: MetricSource, double: SourceDouble
) -> None:
    samples = await told(source, double, {"c1": Counted((10, None, 30))}, None)
    assert sum(one.canary_requests for one in errors(samples)) == 40
    assert samples.blocks[-1].end - samples.blocks[-1].start == timedelta(seconds=20)


async def test_restarts_are_told(source: MetricSource, double: SourceDouble) -> None:
    samples = await told(source, double, {"c1": Counted((1, 1, 1), restarts=3)}, None)
    assert [block.counts["restarts"].canary_bad for block in samples.blocks[1:]] == [0, 0]


async def test_a_source_that_knows_nothing_of_a_pod_gives_no_block_and_is_named(
    source: MetricSource, double: SourceDouble
) -> None:
    samples = await told(source, double, {"c1": Counted(())}, None, intervals=6)
    assert samples.blocks == ()
    if double.kind == "prometheus":  # whose `up` had one sample, at the weight change
        assert "stale" in str(samples.broken[0])
    else:
        assert "none came since then of c1 or another pod of the canary" in str(samples.broken[0])


async def test_a_source_that_answers_stale_data_is_named(
    source: MetricSource, double: SourceDouble
) -> None:
    samples = await told(source, double, CANARY, STABLE, intervals=9)
    assert len(samples.blocks) == 3
    (broken,) = samples.broken
    assert "the source at 2026-03-01T12:00:30+00:00: answers stale data" in str(broken)


# --- the same failures ---------------------------------------------------------------------------


async def failure(source: MetricSource, kind: type[Exception] = Exception) -> Exception:
    with pytest.raises(kind) as raised:
        await source.arm(asked(CANARY, 3))
    return raised.value


@pytest.mark.parametrize(
    ("status", "kind", "advice"),
    [
        (400, PermanentFailure, "correct the query"),
        (401, PermanentFailure, "check the credentials"),
        (403, PermanentFailure, "check the credentials"),
        (404, PermanentFailure, "check that the url"),
        (422, PermanentFailure, "ask for less"),
        (429, TransientFailure, "retried"),
        (500, TransientFailure, "retried"),
        (503, TransientFailure, "retried"),
    ],
)
async def test_a_refusal_is_one_of_our_two_kinds_and_says_why(
    source: MetricSource,
    double: SourceDouble,
    status: int,
    kind: type[Exception],
    advice: str,
) -> None:
    double.status = status
    said = str(await failure(source, kind))
    assert OWN_ADVICE.get((double.kind, status), advice) in said
    assert "the reason" in said
    assert double.url in said
    assert await source.problem()


async def test_its_wish_to_wait_is_kept(source: MetricSource, double: SourceDouble) -> None:
    double.status, double.headers = 429, {"Retry-After": "7"}
    refused = await failure(source)
    assert isinstance(refused, TransientFailure)
    assert refused.retry_after == timedelta(seconds=7)


@pytest.mark.parametrize(
    "text", ["<html>a login page</html>", "[]", "{}", "null", '{"series": 3}', '{"data": []}']
)
async def test_another_answer_than_the_protocols_is_refused(
    source: MetricSource, double: SourceDouble, text: str
) -> None:
    double.text = text
    said = str(await failure(source, PermanentFailure))
    assert SHAPES[double.kind] in said
    assert double.url in said


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed_nowhere_and_names_both_addresses(
    double: SourceDouble, tmp_path: Path, status: int
) -> None:
    """Neither credentials nor tenant go to another server, and no login page is read as data."""
    token = tmp_path / "token"
    token.write_text(TOKEN)
    secrets = {"headers": {"X-Tenant": "shop"}, "bearer_token_file": token}
    async with source_double(double.kind) as elsewhere:
        elsewhere.story = CANARY
        double.status = status
        double.headers = {"Location": f"{elsewhere.url}/login?state={TOKEN}"}
        async with client_of(place_of(double, tmp_path, **secrets)) as source:
            said = str(await failure(source, NoAccess))
            assert (await source.problem() or "").startswith(said[:20])
    assert elsewhere.paths == []
    assert f"at {double.url} redirects to {elsewhere.url}/login when asked for" in said
    assert "; make the url that of the" in said
    assert TOKEN not in said


async def test_a_redirect_to_itself_is_refused_as_well(
    source: MetricSource, double: SourceDouble
) -> None:
    double.status, double.headers = 302, {"Location": "/elsewhere"}
    assert f"redirects to {double.url}/elsewhere" in str(await failure(source, NoAccess))
    assert "/elsewhere" not in double.paths


@pytest.mark.parametrize("location", ["//[broken", "mailto:nobody", "http://a:99999/"])
async def test_a_redirect_to_no_address_is_refused_as_well(
    source: MetricSource, double: SourceDouble, location: str
) -> None:
    double.status, double.headers = 302, {"Location": location}
    assert "redirects to" in str(await failure(source, NoAccess))


async def test_a_source_that_says_nothing_is_given_up(double: SourceDouble, tmp_path: Path) -> None:
    double.silent = True
    async with client_of(place_of(double, tmp_path), QUICK) as source:
        assert "did not answer" in str(await failure(source, TransientFailure))


async def test_nobody_listening_is_transient(double: SourceDouble, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        double.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        async with client_of(place_of(double, tmp_path)) as source:
            assert "did not answer" in str(await failure(source, TransientFailure))
            assert await source.problem()


async def test_it_says_when_it_is_ready(source: MetricSource) -> None:
    assert await source.problem() is None


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-5"])
async def test_a_value_that_is_no_count_is_named_and_its_block_left_out(
    source: MetricSource, double: SourceDouble, value: str
) -> None:
    if double.kind == "http-json" or (double.kind == "prometheus" and value == "-5"):
        return  # refused as a whole; a counter that goes down began anew
    story = {"c1": Counted((10, float(value), 30, 40))}
    samples = await told(source, double, story, None, intervals=4)
    assert any("is not a count" in str(broken) for broken in samples.broken)
    assert SINCE + timedelta(seconds=10) not in [block.start for block in samples.blocks]


# --- credentials ---------------------------------------------------------------------------------


async def test_a_token_is_read_anew_from_its_file_and_never_told(
    double: SourceDouble, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    async with client_of(place_of(double, tmp_path, bearer_token_file=token)) as source:
        double.story = CANARY
        await source.arm(asked(CANARY, 3))
        assert double.headers_seen[-1]["Authorization"] == f"Bearer {TOKEN}"
        token.write_text("another\n")
        await source.arm(asked(CANARY, 3))
        assert double.headers_seen[-1]["Authorization"] == "Bearer another"
        double.status, double.echoes = 403, True
        said = str(await failure(source, PermanentFailure))
        assert "another" not in said
        assert API_KEY not in said
        assert "(secret)" in said
        token.unlink()
        missing = str(await failure(source, TransientFailure))
        assert "cannot be read (No such file or directory)" in missing


async def test_a_password_comes_from_a_file(double: SourceDouble, tmp_path: Path) -> None:
    file = tmp_path / "basic"
    file.write_text("tidegate:pass:word\n")
    async with client_of(place_of(double, tmp_path, basic_auth_file=file)) as source:
        double.story = CANARY
        await source.arm(asked(CANARY, 3))
        assert double.headers_seen[-1]["Authorization"] == "Basic dGlkZWdhdGU6cGFzczp3b3Jk"


@pytest.mark.parametrize("written", ["", "two\nlines"])
async def test_a_token_that_is_none_is_named(
    double: SourceDouble, tmp_path: Path, written: str
) -> None:
    file = tmp_path / "token"
    file.write_text(written)
    async with client_of(place_of(double, tmp_path, bearer_token_file=file)) as source:
        said = str(await failure(source, TransientFailure))
    assert "is empty or more than one line" in said
    assert double.asked == []


@pytest.fixture(params=KINDS)
async def secured(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[SourceDouble, Authority]]:
    """A source behind TLS that only takes clients of its own authority."""
    authority = Authority(tmp_path / "ca", "test")
    pair = authority.server("source", ["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    context.load_verify_locations(authority.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    async with source_double(request.param, context) as double:
        double.story = CANARY
        yield double, authority


async def test_tls_with_an_own_authority_and_a_clients_certificate(
    secured: tuple[SourceDouble, Authority], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    double, authority = secured
    others = Authority(tmp_path / "others", "others").certificate
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(others))  # the place's own word counts
    pair = authority.client("tidegate")
    files = {
        "ca_file": authority.certificate,
        "client_certificate": pair.certificate,
        "client_key": pair.key,
    }
    async with client_of(place_of(double, tmp_path, **files)) as source:
        assert (await source.arm(asked(CANARY, 3))).counts
        assert await source.problem() is None


async def test_a_certificate_that_nobody_vouches_for_is_refused_by_name(
    secured: tuple[SourceDouble, Authority], tmp_path: Path
) -> None:
    async with client_of(place_of(secured[0], tmp_path)) as source:
        said = str(await failure(source, PermanentFailure))
    assert "is not trusted" in said
    assert "name its authority by ca_file" in said


async def test_a_file_of_certificates_that_is_not_there_is_named(
    secured: tuple[SourceDouble, Authority], tmp_path: Path
) -> None:
    place = place_of(secured[0], tmp_path, ca_file=tmp_path / "nowhere.crt")
    async with client_of(place) as source:
        assert "correct ca_file" in str(await failure(source, NoAccess))


# --- what each kind alone has --------------------------------------------------------------------


async def test_prometheus_is_asked_by_pods_tenant_and_further_labels(tmp_path: Path) -> None:
    async with source_double("prometheus") as double:
        more = {
            "url": f"{double.url}/prefix/",
            "tenant": "team-a",
            "headers": {"X-Extra": "1"},
            "matchers": {"cluster": "prod"},
            "pod_label": "kubernetes_pod_name",
        }
        async with client_of(place_of(double, tmp_path, **more)) as source:
            await source.arm(asked(CANARY, 3, ISTIO))
    assert set(double.paths) == {"/prefix/api/v1/query"}
    assert {seen["X-Scope-OrgID"] for seen in double.headers_seen} == {"team-a"}
    assert {seen["X-Extra"] for seen in double.headers_seen} == {"1"}
    own = 'cluster="prod",namespace="production",kubernetes_pod_name=~"c1|c2"'
    assert sorted(said["query"] for said in double.asked) == [
        f'istio_request_duration_milliseconds_bucket{{{own},reporter="destination"}}[40000ms]',
        f'istio_requests_total{{{own},reporter="destination"}}[40000ms]',
        'kube_pod_container_status_restarts_total{cluster="prod",namespace="production",'
        'pod=~"c1|c2"}[40000ms]',
        f"up{{{own}}}[40000ms]",
    ]


async def test_prometheus_is_asked_for_a_proxys_series_by_the_arms_service(tmp_path: Path) -> None:
    async with running("prometheus", tmp_path) as (double, source):
        await source.arm(asked(CANARY, 3, TRAEFIK))
    (query,) = [said["query"] for said in double.asked if "requests_total" in said["query"]]
    assert query == (
        'traefik_service_requests_total{service=~"production-(svc-)?shop\\\\-1a2b-'
        '[0-9a-zA-Z-]+@kubernetes[a-z]*"}[40000ms]'
    )


async def test_a_proxys_service_of_the_same_name_elsewhere_is_not_asked_for(tmp_path: Path) -> None:
    """A revision is called the same in staging and in production."""
    async with running("prometheus", tmp_path) as (double, source):
        await source.arm(asked(CANARY, 3, NGINX))
    proxied = [said["query"] for said in double.asked if "nginx" in said["query"]]
    assert len(proxied) == 2
    for query in proxied:
        assert '{exported_namespace="production",exported_service=~"shop\\\\-1a2b"}' in query


async def test_a_server_without_a_path_for_readiness_is_asked_a_question(tmp_path: Path) -> None:
    async with source_double("prometheus") as double:
        double.status = 404
        async with client_of(place_of(double, tmp_path)) as source:
            assert await source.problem()
    assert double.paths == ["/-/ready", "/api/v1/query"]


async def test_datadog_is_asked_for_counts_by_pod_with_its_keys(tmp_path: Path) -> None:
    async with running("datadog", tmp_path, matchers={"env": "prod"}) as (double, source):
        await source.arm(asked(CANARY, 3))
    (said,) = double.asked
    inside = "kube_namespace:production AND env:prod AND pod_name IN (c1,c2)"
    assert said["query"] == (
        f"sum:shop_requests_total{{{inside}}} by {{pod_name,code,path}}.as_count().rollup(sum, 10),"
        f"max:kubernetes.containers.restarts{{{inside}}} by {{pod_name,kube_container_name}}"
        ".rollup(max, 10)"
    )
    assert (int(said["from"]), int(said["to"])) == (
        SINCE.timestamp() - 10,
        SINCE.timestamp() + 30,
    )
    assert double.headers_seen[0]["DD-API-KEY"] == API_KEY
    assert double.headers_seen[0]["DD-APPLICATION-KEY"] == API_KEY


async def test_an_interval_that_is_not_over_is_not_counted(tmp_path: Path) -> None:
    async with source_double("datadog") as double:
        double.story = CANARY
        async with client_of(place_of(double, tmp_path)) as source:
            arm = await source.arm(asked(CANARY, 2))
    assert max(time for one in arm.counts for time, _ in one.points) == SINCE.timestamp() + 20


@pytest.mark.parametrize(
    ("measure", "why"),
    [
        (OTEL_HTTP, "tell slow requests by a histogram's buckets.* say `slow: false`"),
        (
            OTEL_HTTP.with_(slow=False),
            "count requests by a histogram's buckets, Datadog keeps none",
        ),
        (TRAEFIK, "by a proxy's label, Datadog is asked by pod"),
        (SHOP.with_(where={"service": "a b"}), "'a b' is no value of a Datadog tag"),
    ],
)
async def test_what_datadog_cannot_tell_is_said_plainly(
    tmp_path: Path, measure: Measure, why: str
) -> None:
    async with running("datadog", tmp_path) as (double, source):
        with pytest.raises(PermanentFailure, match=why):
            await source.arm(asked(CANARY, 3, measure))
    assert double.asked == []


async def test_datadog_tells_failures_that_a_counter_of_its_own_counts(tmp_path: Path) -> None:
    async with running("datadog", tmp_path) as (double, source):
        await source.arm(asked(CANARY, 3, MESSAGES))
    assert "sum:messages_failed_total{" in double.asked[0]["query"]


async def test_a_thousand_pods_of_long_names_fit_into_addresses_that_servers_take(
    tmp_path: Path,
) -> None:
    story = {f"{'shop-checkout-' * 3}{n:020d}": Counted((10, 20)) for n in range(1000)}
    async with running("prometheus", tmp_path) as (double, source):
        double.story = {"one": Counted((1,))}
        arm = await source.arm(asked(story, 2))
    assert max(double.lengths) < 8_000
    assert len(double.asked) == 3 * 1000 // 50
    assert len(arm.counts) == 2 * 1000 // 50  # what each part answered, together


async def test_many_pods_are_asked_for_in_parts(tmp_path: Path) -> None:
    story = {f"c{number}": Counted((1,)) for number in range(250)}
    async with running("datadog", tmp_path) as (double, source):
        await source.arm(asked(story, 1))
    assert [said["query"].count("c1,") for said in double.asked].count(2) == 1
    assert len(double.asked) == 3


async def test_http_json_counts_slow_requests_and_restarts(tmp_path: Path) -> None:
    begins = SINCE.timestamp()
    interval = {"until": begins + 10, "requests": 10, "bad": 1, "under": {"0.5": 8}, "restarts": 2}
    pods = {"c1": {"begins": begins, "intervals": [interval]}}
    async with source_double("http-json") as double:
        double.text = f'{{"version": 1, "pods": {_json(pods)}}}'
        async with client_of(place_of(double, tmp_path)) as source:
            arm = await source.arm(asked(CANARY, 1))
    (block,) = sample(arm, None, asked(CANARY, 1).span, timedelta(milliseconds=500)).blocks
    assert block.counts == {
        "errors": counts(10, 1, 0, 0),
        "slow": counts(10, 2, 0, 0),
        "restarts": counts(1, 2, 0, 0),
    }
    (said,) = double.asked
    assert said == {
        "arm": "shop-1a2b",
        "namespace": "production",
        "pods": "c1,c2",
        "from": f"{begins - 10:.3f}",
        "until": f"{begins + 10:.3f}",
    }


def _json(value: object) -> str:
    return str(value).replace("'", '"')


async def test_http_json_without_durations_is_refused_where_slow_ones_are_judged(
    tmp_path: Path,
) -> None:
    async with running("http-json", tmp_path) as (double, source):
        double.story = CANARY
        refused = "tells no durations .* say `slow: false`"
        with pytest.raises(PermanentFailure, match=refused):
            await source.arm(asked(CANARY, 3, OTEL_HTTP))
        assert (await source.arm(asked(CANARY, 3, OTEL_HTTP.with_(slow=False)))).counts
        double.story = {"c1": Counted((0, 0, 0))}
        assert (await source.arm(asked(double.story, 3, OTEL_HTTP))).counts


async def test_http_json_may_count_the_asked_pods_alone(tmp_path: Path) -> None:
    async with source_double("http-json") as double:
        double.story = {**CANARY, **STABLE}
        async with client_of(place_of(double, tmp_path)) as source:
            assert "counts pod s1 for shop-1a2b, which has it not" in str(
                await failure(source, PermanentFailure)
            )


async def test_a_proxys_series_are_told_by_its_own_pod_or_instance(tmp_path: Path) -> None:
    measure = SHOP.with_(arm=ArmLabel(label="service"))
    async with source_double("prometheus") as double:
        double.story = {"": Counted((10, 20))}
        async with client_of(place_of(double, tmp_path)) as source:
            refused = asked({"c1": Counted(())}, 2)
            with pytest.raises(PermanentFailure, match="without label pod"):
                await source.arm(refused)
            double.story = {"": Counted((10, 20))}
            arm = await source.raw_series(
                "shop_requests_total",
                {"namespace": "production"},
                refused.span.until,
                refused.span.window,
                ("pod", "instance"),
            )
    assert {one.pod for one in arm} == {":80"}
    assert measure.arm is not None


async def test_prometheus_tells_when_proxies_were_scraped_by_what_they_count_of_others(
    tmp_path: Path,
) -> None:
    story = {"proxy-1": Counted((10, None, 30), (1, 0, 0)), "proxy-2": Counted((1, 1, 1))}
    label = ArmLabel(label="service", namespace="exported_namespace")
    question = asked({"c1": Counted(())}, 3, SHOP.with_(arm=label, where={"class": "public"}))
    async with running("prometheus", tmp_path, matchers={"cluster": "prod"}) as (double, source):
        double.story = story
        assert isinstance(source, Proxied)
        up = await source.proxies(question)
    (said,) = [one["query"] for one in double.asked]
    for matcher in (
        'cluster="prod"',
        'exported_namespace="production"',
        'service=~".+"',
        'class="public"',
    ):
        assert matcher in said
    # Of many series of a proxy one is left, with every scrape that any of them has.
    begin = SINCE.timestamp()
    assert [(one.pod, one.labels["instance"]) for one in up] == [
        ("proxy-1", "proxy-1:80"),
        ("proxy-2", "proxy-2:80"),
    ]
    assert up[0].points == ((begin, 1.0), (begin + 10, 1.0), (begin + 30, 1.0))


async def test_of_a_histogram_alone_its_whole_bucket_tells_of_proxies(tmp_path: Path) -> None:
    measure = SHOP.with_(requests=None, latency="shop_seconds", arm=ArmLabel(label="service"))
    async with running("prometheus", tmp_path) as (double, source):
        assert isinstance(source, Proxied)
        assert await source.proxies(asked({"c1": Counted(())}, 3, measure)) == ()
    assert double.asked[0]["query"].startswith("shop_seconds_bucket{")
    assert 'le="+Inf"' in double.asked[0]["query"]


async def test_without_a_proxys_convention_nobody_is_asked_about_proxies(tmp_path: Path) -> None:
    async with running("prometheus", tmp_path) as (double, source):
        assert isinstance(source, Proxied)
        assert await source.proxies(asked({"c1": Counted(())}, 3)) == ()
    assert double.asked == []
