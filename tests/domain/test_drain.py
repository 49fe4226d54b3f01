"""Nobody is taken away for being silent by a counter that would keep quiet anyway."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from domain import labels
from domain.drain import is_silent, note_of, noted_measure
from domain.metrics.measure import Measure
from domain.metrics.plan import MetricsPlan
from domain.metrics.templates import FASTAPI, MESSAGES, OTEL_HTTP, TEMPLATES, TRAEFIK
from domain.samples import Arm, Series, Span

SINCE = datetime(2026, 3, 1, 12, tzinfo=UTC)
LENGTH = timedelta(seconds=10)
LONG_AGO = SINCE - timedelta(hours=1)
# Of the scrapes before and after the drain began: users left with the third.
LEFT = (7.0, 9.0, 9.0, 9.0, 9.0)
ASKED = (7.0, 9.0, 9.0, 10.0, 10.0)
SPAN = Span.following(SINCE, SINCE, SINCE + 4 * LENGTH, LENGTH)


def counter(pod: str, values: tuple[float | None, ...], **told: str) -> Series:
    """A series scraped every 10 s, first shortly before the drain; None: not there then."""
    begins = SINCE.timestamp() - 7
    points = [(begins + 10 * n, value) for n, value in enumerate(values) if value is not None]
    return Series(pod, {"job": "shop", "instance": f"{pod}:80", **told}, tuple(points))


def up(pod: str, scrapes: int = 5) -> Series:
    return counter(pod, (1.0,) * scrapes)


def arm(measure: Measure, *counts: Series, pods: str = "a", **more: tuple[Series, ...]) -> Arm:
    started = dict.fromkeys(pods.split(), LONG_AGO)
    return Arm(counts=counts, started=started, measure=measure, **more)


def test_whoever_is_asked_nothing_any_more_is_silent() -> None:
    assert is_silent(arm(FASTAPI, counter("a", LEFT, status="2xx")), SPAN)


def test_whoever_is_still_asked_is_not() -> None:
    assert not is_silent(arm(FASTAPI, counter("a", ASKED, status="2xx")), SPAN)


def test_probes_are_nobody() -> None:
    asked = counter("a", ASKED, status="2xx", handler="/health")
    assert is_silent(arm(FASTAPI, counter("a", LEFT, status="2xx", handler="/"), asked), SPAN)


def test_one_pod_that_is_asked_keeps_all() -> None:
    both = counter("a", LEFT, status="2xx"), counter("b", ASKED, status="2xx")
    assert not is_silent(arm(FASTAPI, *both, pods="a b"), SPAN)


def test_failures_that_begin_while_it_drains_are_requests() -> None:
    """Its series of successes keeps quiet: nobody succeeds any more."""
    failing = counter("a", (None, None, None, 4.0, 8.0), status="5xx")
    assert not is_silent(arm(FASTAPI, counter("a", LEFT, status="2xx"), failing), SPAN)


def test_one_of_two_counters_that_are_apart_says_nothing_of_the_other() -> None:
    assert not is_silent(arm(MESSAGES, counter("a", LEFT)), SPAN)
    assert not is_silent(arm(MESSAGES, failures=(counter("a", LEFT),)), SPAN)
    assert is_silent(arm(MESSAGES, counter("a", LEFT), failures=(counter("a", LEFT),)), SPAN)


def test_failures_that_are_among_the_requests_need_not_be_there() -> None:
    within = Measure(name="own", requests="all", failures="bad", failures_counted="within")
    assert is_silent(arm(within, counter("a", LEFT)), SPAN)


def test_a_histogram_counts_by_its_last_bucket_alone() -> None:
    fast = counter("a", LEFT, le="0.5", http_response_status_code="200")
    whole = counter("a", LEFT, le="+Inf", http_response_status_code="200")
    assert not is_silent(Arm(buckets=(fast,), started={"a": LONG_AGO}), SPAN)
    assert is_silent(Arm(buckets=(fast, whole), started={"a": LONG_AGO}), SPAN)


class TestUnknown:
    """What nobody tells is not silent."""

    def test_no_series_at_all(self) -> None:
        assert not is_silent(arm(FASTAPI), SPAN)

    def test_scraped_pods_of_which_none_has_the_counter(self) -> None:
        """The convention may be another's."""
        assert not is_silent(arm(FASTAPI, up=(up("a"),)), SPAN)

    def test_a_pod_that_nobody_scrapes_beside_one_that_is_silent(self) -> None:
        silent = counter("a", LEFT, status="2xx")
        assert not is_silent(arm(FASTAPI, silent, pods="a b"), SPAN)
        assert not is_silent(arm(FASTAPI, silent, pods="a b", up=(up("a"),)), SPAN)

    def test_a_pod_that_is_no_longer_scraped(self) -> None:
        gone = counter("b", (*LEFT[:2], None, None, None), status="2xx")
        assert not is_silent(arm(FASTAPI, counter("a", LEFT), gone, pods="a b"), SPAN)

    def test_a_single_scrape_since_the_drain_began(self) -> None:
        once = counter("a", (*LEFT[:2], None, None, None), status="2xx")
        short = replace(SPAN, until=SINCE + LENGTH)
        assert not is_silent(arm(FASTAPI, once), short)

    def test_values_that_are_no_counts(self) -> None:
        broken = counter("a", (7.0, 9.0, float("nan"), float("nan"), float("nan")))
        assert not is_silent(arm(FASTAPI, broken), SPAN)


def test_a_pod_without_a_request_yet_is_silent_beside_one_whose_counter_is_known() -> None:
    known = counter("a", LEFT, status="2xx")
    assert is_silent(arm(FASTAPI, known, pods="a b", up=(up("a"), up("b"))), SPAN)


class TestByProxies:
    """Proxies count: their series name the revision's Service, and no pod of it."""

    def test_every_proxy_that_knows_the_service_must_have_fallen_silent(self) -> None:
        silent = counter("proxy-1", LEFT, service="shop-1@kubernetes")
        asked = counter("proxy-2", ASKED, service="shop-1@kubernetes")
        assert is_silent(arm(TRAEFIK, silent, pods="a b"), SPAN)
        assert not is_silent(arm(TRAEFIK, silent, asked, pods="a b"), SPAN)

    def test_a_proxy_that_is_no_longer_scraped_is_unknown(self) -> None:
        silent = counter("proxy-1", LEFT)
        lost = counter("proxy-2", (*LEFT[:2], None, None, None))
        assert not is_silent(arm(TRAEFIK, silent, lost), SPAN)

    def test_first_requests_of_which_only_the_sum_is_known_are_requests(self) -> None:
        """It had none before the drain began: what the first scrape with them says is no growth."""
        first = counter("proxy-1", (None, None, 7.0, 7.0, 7.0))
        assert not is_silent(arm(TRAEFIK, first), SPAN)
        assert not is_silent(arm(TRAEFIK, counter("proxy-1", LEFT), first_of(first)), SPAN)
        assert is_silent(arm(TRAEFIK, counter("proxy-1", (None, None, 0.0, 0.0, 0.0))), SPAN)

    def test_a_service_that_no_proxy_knows_is_unknown(self) -> None:
        assert not is_silent(arm(TRAEFIK), SPAN)


def first_of(series: Series) -> Series:
    """The same counter of another code."""
    return replace(series, labels={**series.labels, "code": "500"})


def deployment(**annotations: str) -> dict[str, object]:
    return {"kind": "Deployment", "metadata": {"name": "shop-1", "annotations": annotations}}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_read_back_as_it_was_noted(name: str) -> None:
    note = note_of(MetricsPlan(template=name))
    assert noted_measure(deployment(**{labels.METRICS: note})) == TEMPLATES[name]


def test_own_counters_are_read_back_as_they_were_noted() -> None:
    plan = MetricsPlan.model_validate(
        {
            "requests": "shop_total",
            "bad": [{"code": "5*"}, {"code": "", "reason": "*"}],
            "latency": "shop_seconds",
            "unit": "ms",
            "probes": {"path": ["/up"]},
            "where": {"team": "shop"},
            "arm": {"label": "service", "namespace": "exported_namespace"},
        }
    )
    assert noted_measure(deployment(**{labels.METRICS: note_of(plan)})) == plan.measure


def test_what_was_created_before_there_were_notes_is_counted_as_a_silent_plan_says() -> None:
    assert noted_measure(deployment()) == OTEL_HTTP
    assert noted_measure({"metadata": {"name": "shop-1"}}) == OTEL_HTTP
    assert note_of(MetricsPlan()) == "{}"


@pytest.mark.parametrize("note", ["", "no json", "[]", '{"template": "unheard-of"}', '{"new": 1}'])
def test_a_note_that_cannot_be_read_names_no_counter(note: str) -> None:
    assert noted_measure(deployment(**{labels.METRICS: note})) is None
