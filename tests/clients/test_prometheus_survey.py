"""Where else a Prometheus has the metric: other pods of the namespace, namesakes elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from clients.prometheus import Prometheus
from domain.metrics.source import Asked, Survey, Surveyed
from domain.metrics.templates import ISTIO, OTEL_HTTP
from domain.samples import Span
from tests.support.prometheus_double import matrix, prometheus_double

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPAN = Span.following(NOW, NOW, NOW + timedelta(minutes=1), timedelta(seconds=10))
COUNTED = [(NOW.timestamp(), "1")]


async def test_pods_that_have_the_metric_are_told_by_their_namespace() -> None:
    async with prometheus_double() as double:
        double.answer = matrix(
            ({"pod": "billing-1", "namespace": "production"}, COUNTED),
            ({"pod": "album-1", "namespace": "prod"}, COUNTED),
        )
        client = Prometheus(double.url)
        assert isinstance(client, Surveyed)
        found = await client.survey(
            Asked("", "production", {"album-1": NOW}, measure=OTEL_HTTP, span=SPAN)
        )
        await client.survey(Asked("", "production", {"album-1": NOW}, measure=ISTIO, span=SPAN))
        await client.close()
    assert found == Survey(pods=frozenset({"billing-1", "album-1"}), elsewhere={"album-1": "prod"})
    inside, named, counter, _ = sorted(
        (one["query"] for one in double.queries), key=lambda text: ("istio" in text, text)
    )
    metric = "http_server_request_duration_seconds_bucket"
    assert inside.startswith(f'{metric}{{namespace="production",le="+Inf"}}[')
    assert named.startswith(f'{metric}{{pod=~"album\\\\-1",le="+Inf"}}[')
    assert counter.startswith('istio_requests_total{namespace="production"}[')
