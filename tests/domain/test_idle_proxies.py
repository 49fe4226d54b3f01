"""Under a proxy's template nobody asked counts 0 where, and only where, proxies are scraped."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from domain.judge.counts import Counts
from domain.metrics.measure import ArmLabel
from domain.metrics.templates import ENVOY_GATEWAY, FASTAPI, NGINX, TRAEFIK
from domain.samples import Arm, Samples, Series, Span, sample
from domain.silence import needs_proxies

SINCE = datetime(2026, 3, 1, 12, tzinfo=UTC)
LENGTH, SLOW = timedelta(seconds=10), timedelta(milliseconds=500)
LONG_AGO = {"album-1": SINCE - timedelta(hours=1)}
SPAN = Span.following(SINCE, SINCE, SINCE + 3 * LENGTH, LENGTH)


def series(proxy: str, values: list[float | None], **labels: str) -> Series:
    """A series of a proxy scraped every 10 s, first 7 s before the step."""
    begins = SINCE.timestamp() - 7
    points = [(begins + 10 * n, value) for n, value in enumerate(values) if value is not None]
    return Series(proxy, {"job": "proxies", "instance": f"{proxy}:9100", **labels}, tuple(points))


def scraped(proxy: str, scrapes: int = 4) -> Series:
    return series(proxy, [1.0] * scrapes)


def asked(values: list[float | None], code: str = "200") -> Series:
    return series("p", values, code=code, protocol="http", service="x-album-1-80@kubernetes")


def idle(*up: Series, counts: tuple[Series, ...] = ()) -> Arm:
    return Arm(counts=counts, up=up, started=LONG_AGO, measure=TRAEFIK)


def read(arm: Arm, span: Span = SPAN) -> Samples:
    return sample(arm, None, span, SLOW)


def errors(samples: Samples) -> list[Counts]:
    return [block.counts["errors"] for block in samples.blocks if "errors" in block.counts]


def test_a_service_that_no_scraped_proxy_knows_was_asked_nothing() -> None:
    samples = read(idle(scraped("p"), scraped("q")))
    assert errors(samples) == [Counts()] * 3
    assert (samples.quiet, samples.broken) == (("p", "q"), ())


def test_its_first_requests_count_from_zero_as_those_of_a_pod_do() -> None:
    samples = read(idle(scraped("p"), counts=(asked([None, None, 5, 9]),)))
    assert [one.canary_requests for one in errors(samples)] == [0, 5, 4]


def test_where_no_proxy_is_known_to_be_scraped_nothing_is_known_and_that_is_said() -> None:
    samples = read(idle())
    assert samples.blocks == ()
    (told,) = samples.broken
    assert "no proxy has a series of the canary's Service, nor one of another" in told.what
    assert "whether proxies are scraped is not known" in told.what


def test_a_proxy_that_is_no_longer_scraped_counts_nothing_since() -> None:
    late = replace(SPAN, until=SINCE + 12 * LENGTH)
    assert len(errors(read(idle(scraped("p")), late))) == 3
    assert "answers stale data" in read(idle(scraped("p")), late).broken[0].what


class TestNeeded:
    """Other Services are asked about only until one's own series tell when proxies were scraped."""

    def test_while_nobody_asked(self) -> None:
        assert needs_proxies([idle()], SINCE)
        assert needs_proxies([idle(), idle()], SINCE)

    def test_until_the_block_of_the_first_requests_is_closed(self) -> None:
        first = idle(counts=(asked([None, None, 5, 9]),))
        assert needs_proxies([first], SINCE)
        assert needs_proxies([first], SINCE + LENGTH)
        assert not needs_proxies([first], SINCE + 2 * LENGTH)

    def test_not_where_one_arm_was_asked_before(self) -> None:
        assert not needs_proxies([idle(), idle(counts=(asked([3, 4, 5, 9]),))], SINCE)

    def test_not_of_pods_and_not_without_pods(self) -> None:
        assert not needs_proxies([replace(idle(), measure=FASTAPI)], SINCE)
        assert not needs_proxies([replace(idle(), started={})], SINCE)


@pytest.mark.parametrize(
    ("label", "theirs", "others"),
    [
        (TRAEFIK.arm, "shop-album-2-http@kubernetescrd", "stage-album-2-http@kubernetescrd"),
        (ENVOY_GATEWAY.arm, "shop_album-2_80", "stage_album-2_80"),
        (NGINX.arm, "album-2", ""),
    ],
)
def test_another_service_of_the_namespace_is_told_by_the_same_form(
    label: ArmLabel | None, theirs: str, others: str
) -> None:
    assert label is not None
    assert re.fullmatch(label.of_any("shop"), theirs)
    assert not re.fullmatch(label.of_any("shop"), others)
