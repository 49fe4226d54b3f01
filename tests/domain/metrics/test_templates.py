"""Each common convention, as its software exposes it, judged by the same code."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from domain.judge import Block, Counts
from domain.metrics.measure import ArmLabel, Measure
from domain.metrics.templates import TEMPLATES
from domain.samples import Arm, Samples, Series, Span, sample
from tests.support.judge_streams import counts

SINCE = datetime(2026, 3, 1, 12, tzinfo=UTC)
LENGTH = timedelta(seconds=10)
SLOW_ABOVE = timedelta(milliseconds=500)
Labels = dict[str, str]
# What one scrape interval adds: (labels, how many).
Grown = list[tuple[Labels, int]]


def counted(pod: str, grown: Grown, **more: str) -> tuple[Series, ...]:
    """Counters that stood at 7 and grew once."""
    begins = SINCE.timestamp()
    return tuple(
        Series(
            pod,
            {"pod": pod, "instance": f"{pod}:80", "job": "scrape", **labels, **more},
            ((begins + 3, 7.0), (begins + 13, 7.0 + count)),
        )
        for labels, count in grown
    )


def arm(name: str, pod: str, by_metric: dict[str, Grown], **more: str) -> Arm:
    """The arm that a source makes of these metrics by the template."""
    measure = TEMPLATES[name]

    def of(metric: str | None) -> tuple[Series, ...]:
        return counted(pod, by_metric.get(metric or "", []), **more)

    return Arm(
        buckets=of(f"{measure.latency}_bucket"),
        counts=of(measure.requests),
        failures=of(measure.failures),
        measure=measure,
    )


def second_block(samples: Samples) -> Block:
    assert samples.broken == ()
    return samples.blocks[1]


def read(canary: Arm, stable: Arm) -> Samples:
    span = Span.following(SINCE, SINCE, SINCE + 2 * LENGTH, LENGTH)
    return sample(canary, stable, span, SLOW_ABOVE)


def histogram(labels: Labels, under: dict[str, int]) -> Grown:
    return [({**labels, "le": edge}, count) for edge, count in under.items()]


# Per template: its metrics over an interval, and (requests, bad, slow).
EXPOSED: dict[str, tuple[dict[str, Grown], tuple[int, int, int]]] = {
    "otel-http": (
        {
            "http_server_request_duration_seconds_bucket": [
                *histogram({"http_response_status_code": "200"}, {"0.5": 8, "+Inf": 10}),
                *histogram({"http_response_status_code": "503"}, {"0.5": 1, "+Inf": 1}),
                *histogram({"http_response_status_code": "404"}, {"0.5": 2, "+Inf": 2}),
                *histogram({"error_type": "timeout"}, {"0.5": 0, "+Inf": 1}),
                *histogram({"http_route": "/health"}, {"0.5": 50, "+Inf": 50}),
            ]
        },
        (14, 2, 3),
    ),
    "otel-http-1.20": (
        {
            "http_server_duration_milliseconds_bucket": [
                *histogram({"http_status_code": "200"}, {"500": 8, "+Inf": 10}),
                *histogram({"http_status_code": "500"}, {"500": 1, "+Inf": 1}),
                *histogram({"http_target": "/metrics"}, {"500": 9, "+Inf": 9}),
            ]
        },
        (11, 1, 2),
    ),
    "otel-rpc": (
        {
            "rpc_server_call_duration_seconds_bucket": [
                *histogram({"rpc_response_status_code": "OK"}, {"0.5": 8, "+Inf": 10}),
                *histogram({"rpc_response_status_code": "INTERNAL"}, {"0.5": 1, "+Inf": 1}),
                *histogram({"rpc_response_status_code": "NOT_FOUND"}, {"0.5": 3, "+Inf": 3}),
                *histogram({"rpc_status_code": "UNAVAILABLE"}, {"0.5": 1, "+Inf": 1}),
                *histogram(
                    {"rpc_status_code": "NOT_FOUND", "error_type": "NOT_FOUND"},
                    {"0.5": 1, "+Inf": 1},
                ),
                *histogram(
                    {"rpc_response_status_code": "OK", "rpc_method": "grpc.health.v1.Health/Check"},
                    {"0.5": 40, "+Inf": 40},
                ),
            ]
        },
        (16, 2, 2),
    ),
    "otel-rpc-1.37": (
        {
            "rpc_server_duration_milliseconds_bucket": [
                *histogram({"rpc_grpc_status_code": "0"}, {"500": 8, "+Inf": 10}),
                *histogram({"rpc_grpc_status_code": "13"}, {"500": 1, "+Inf": 1}),
                *histogram({"rpc_grpc_status_code": "5"}, {"500": 3, "+Inf": 3}),
                *histogram({"rpc_service": "grpc.health.v1.Health"}, {"500": 4, "+Inf": 4}),
            ]
        },
        (14, 1, 2),
    ),
    "istio": (
        {
            "istio_requests_total": [
                ({"response_code": "200"}, 10),
                ({"response_code": "503", "response_flags": "UF"}, 2),
                ({"response_code": "0", "response_flags": "DC"}, 1),
                ({"response_code": "200", "grpc_response_status": "14"}, 1),
                ({"response_code": "200", "grpc_response_status": "5"}, 1),
            ],
            "istio_request_duration_milliseconds_bucket": [
                *histogram({"response_code": "200"}, {"500": 9, "+Inf": 12}),
                *histogram({"response_code": "503"}, {"500": 2, "+Inf": 2}),
            ],
        },
        (15, 4, 3),
    ),
    "envoy": (
        {
            "envoy_cluster_upstream_rq_xx": [
                ({"envoy_response_code_class": "2"}, 10),
                ({"envoy_response_code_class": "5"}, 3),
            ],
            "envoy_cluster_upstream_rq_time_bucket": histogram({}, {"500": 11, "+Inf": 13}),
        },
        (13, 3, 2),
    ),
    "fastapi": (
        {
            "http_requests_total": [
                ({"handler": "/albums", "status": "2xx"}, 10),
                ({"handler": "/albums", "status": "5xx"}, 3),
                ({"handler": "/metrics", "status": "2xx"}, 99),
            ],
            "http_request_duration_seconds_bucket": [
                *histogram({"handler": "/albums"}, {"0.1": 9, "0.5": 11, "1": 12, "+Inf": 13}),
                *histogram({"handler": "/metrics"}, {"0.1": 99, "0.5": 99, "1": 99, "+Inf": 99}),
            ],
        },
        (13, 3, 2),
    ),
    "messages": (
        {
            "messages_processed_total": [({"subject": "orders"}, 10)],
            "messages_failed_total": [({"subject": "orders"}, 3)],
        },
        (13, 3, 0),
    ),
}
# Per template of a proxy: its label's value for the Service of the revision `{arm}`.
PROXIES: dict[str, tuple[str, dict[str, Grown], tuple[int, int, int]]] = {
    "traefik": (
        "production-svc-{arm}-8219@kubernetesgateway",
        {
            "traefik_service_requests_total": [
                ({"code": "200", "protocol": "http"}, 10),
                ({"code": "502", "protocol": "http"}, 3),
                ({"code": "500", "protocol": "sse"}, 1),
                ({"code": "503", "protocol": "websocket"}, 1),
                ({"code": "0", "protocol": "websocket"}, 4),
                ({"code": "504"}, 1),
                ({"code": "0", "protocol": "grpc"}, 20),
                ({"code": "5", "protocol": "grpc"}, 2),
                ({"code": "14", "protocol": "grpc"}, 2),
                ({"code": "13", "protocol": "grpc-web"}, 1),
            ],
            "traefik_service_request_duration_seconds_bucket": [
                *histogram({"code": "200", "protocol": "http"}, {"0.5": 8, "+Inf": 10}),
                *histogram({"code": "502", "protocol": "http"}, {"0.5": 3, "+Inf": 3}),
                *histogram({"code": "0", "protocol": "grpc"}, {"0.5": 19, "+Inf": 20}),
                *histogram({"code": "14", "protocol": "grpc"}, {"0.5": 0, "+Inf": 2}),
            ],
        },
        (45, 9, 5),
    ),
    "nginx": (
        "{arm}",
        {
            "nginx_ingress_controller_requests": [({"status": "200"}, 10), ({"status": "504"}, 3)],
            "nginx_ingress_controller_request_duration_seconds_bucket": [
                *histogram({"status": "200"}, {"0.5": 8, "+Inf": 10}),
                *histogram({"status": "504"}, {"0.5": 3, "+Inf": 3}),
            ],
        },
        (13, 3, 2),
    ),
    "envoy-gateway": (
        "production_{arm}_8219",
        {
            "envoy_cluster_upstream_rq_xx": [
                ({"envoy_response_code_class": "2"}, 10),
                ({"envoy_response_code_class": "5"}, 3),
            ],
            "envoy_cluster_upstream_rq_time_bucket": histogram({}, {"500": 11, "+Inf": 13}),
        },
        (13, 3, 2),
    ),
}


def doubled(by_metric: dict[str, Grown]) -> dict[str, Grown]:
    return {name: [(labels, 2 * n) for labels, n in grown] for name, grown in by_metric.items()}


def test_every_template_has_its_example() -> None:
    assert set(EXPOSED) | set(PROXIES) == set(TEMPLATES)
    assert {name for name, measure in TEMPLATES.items() if measure.arm} == set(PROXIES)


@pytest.mark.parametrize("name", EXPOSED)
def test_a_pods_own_metrics_are_counted_by_its_template(name: str) -> None:
    exposed, (requests, bad, slow) = EXPOSED[name]
    block = second_block(read(arm(name, "c", exposed), arm(name, "s", doubled(exposed))))
    expected = {"errors": counts(requests, bad, 2 * requests, 2 * bad)}
    if TEMPLATES[name].latency:
        timed = block.counts["slow"].canary_requests
        expected["slow"] = counts(timed, slow, 2 * timed, 2 * slow)
    assert block.counts == expected


@pytest.mark.parametrize("name", PROXIES)
def test_a_proxy_tells_both_arms_by_a_label(name: str) -> None:
    label, exposed, (requests, bad, slow) = PROXIES[name]
    told = TEMPLATES[name].arm
    assert told is not None
    canary, stable = (
        arm(name, "proxy", one, **{told.label: label.replace("{arm}", revision)})
        for one, revision in ((exposed, "shop-1a2b"), (doubled(exposed), "shop-3c4d"))
    )
    block = second_block(read(canary, stable))
    assert block.counts["errors"] == counts(requests, bad, 2 * requests, 2 * bad)
    assert block.counts["slow"].canary_bad == slow


def test_proxies_are_not_compared_one_by_one() -> None:
    """A fault of a version does not hit them so, as it hits pods."""
    both = (proxied("c", [7, 9], "p"), proxied("c", [7, 9], "q"))
    canary = replace(both[0], counts=both[0].counts + both[1].counts)
    stable = replace(
        canary,
        counts=tuple(replace(one, labels={**one.labels, "service": "s"}) for one in canary.counts),
    )
    block = second_block(read(canary, stable))
    assert block.counts["errors"] == counts(4, 0, 4, 0)
    assert block.pods is None
    own = Measure(name="own", requests="r", bad=({"code": ("5*",)},))
    apart = tuple(replace(one, pod=f"{one.pod}s") for one in stable.counts)
    pods = read(replace(canary, measure=own), replace(stable, counts=apart, measure=own))
    assert second_block(pods).pods is not None


@pytest.mark.parametrize("name", PROXIES)
def test_a_proxys_label_fits_the_own_service_and_no_other(name: str) -> None:
    told = TEMPLATES[name].arm
    assert told is not None
    expression = told.expression("production", "shop-1a2b")
    label = PROXIES[name][0]
    assert re.fullmatch(expression, label.replace("{arm}", "shop-1a2b"))
    for other in ("shop", "shop-1a2c", "myshop-1a2b", "shop-1a2bc"):
        assert not re.fullmatch(expression, label.replace("{arm}", other)), other
    if "production" in label:
        assert not re.fullmatch(expression, label.replace("{arm}", "shop-1a2b")[1:])
    else:
        assert told.namespace


PROXIED = Measure(name="own", requests="r", bad=({"code": ("5*",)},), arm=ArmLabel(label="service"))


def proxied(service: str, values: list[float | None], proxy: str = "p") -> Arm:
    begins = SINCE.timestamp()
    points = tuple(
        (begins + 10 * index + 3, value) for index, value in enumerate(values) if value is not None
    )
    labels = {"instance": proxy, "service": service, "code": "200"}
    series = (Series(proxy, labels, points),) if points else ()
    return Arm(counts=series, measure=PROXIED)


def test_a_canary_nobody_asked_yet_counts_nothing_where_its_proxy_is_scraped() -> None:
    block = second_block(read(proxied("c", []), proxied("s", [7, 97])))
    assert block.counts["errors"] == counts(0, 0, 90, 0)


def test_the_first_value_of_a_canary_at_a_known_proxy_counts() -> None:
    block = second_block(read(proxied("c", [None, 8]), proxied("s", [7, 97])))
    assert block.counts["errors"] == counts(8, 0, 90, 0)


def test_the_same_series_in_both_arms_of_a_proxy_leaves_no_block() -> None:
    samples = read(proxied("s", [7, 9]), proxied("s", [7, 97]))
    assert samples.blocks == ()
    assert "matched by both arms" in str(samples.broken[0])


def test_a_histogram_that_lags_behind_its_counter_is_not_called_broken() -> None:
    """Envoy merges histograms every few seconds: their count is their own."""
    exposed = {
        "envoy_cluster_upstream_rq_xx": [({"envoy_response_code_class": "2"}, 10)],
        "envoy_cluster_upstream_rq_time_bucket": histogram({}, {"500": 14, "+Inf": 15}),
    }
    block = second_block(read(arm("envoy", "c", exposed), arm("envoy", "s", exposed)))
    assert block.counts["errors"] == counts(10, 0, 10, 0)
    assert block.counts["slow"] == counts(15, 1, 15, 1)


@pytest.mark.parametrize(("way", "requests"), [("apart", 13), ("within", 10)])
def test_failures_are_counted_beside_the_requests_or_among_them(way: str, requests: int) -> None:
    measure = TEMPLATES["messages"].with_(failures_counted=way)
    made = Arm(counts=counted("c", [({}, 10)]), failures=counted("c", [({}, 3)]), measure=measure)
    span = Span.following(SINCE, SINCE, SINCE + 2 * LENGTH, LENGTH)
    block = second_block(sample(made, None, span))
    assert block.counts["errors"] == Counts(canary_requests=requests, canary_bad=3)


def test_more_failures_than_requests_are_named_with_the_word_that_helps() -> None:
    measure = TEMPLATES["messages"].with_(failures_counted="within")
    made = Arm(counts=counted("c", [({}, 2)]), failures=counted("c", [({}, 3)]), measure=measure)
    span = Span.following(SINCE, SINCE, SINCE + 2 * LENGTH, LENGTH)
    samples = sample(made, None, span)
    assert "counts 3 failures of 2 requests in all: say failures_counted: apart" in str(
        samples.broken[0]
    )
    assert len(samples.blocks) == 1
