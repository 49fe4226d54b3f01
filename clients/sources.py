"""The sources of metrics by their places: one client per kind behind the one port."""

from __future__ import annotations

from clients.datadog import Datadog
from clients.http_json import HttpJson
from clients.prometheus import Prometheus
from domain.metrics.places import DatadogPlace, PrometheusPlace, SourcePlace
from domain.metrics.source import MetricSource


def source_at(place: SourcePlace) -> MetricSource:
    """A client of the source; nothing is asked yet."""
    if isinstance(place, PrometheusPlace):
        return Prometheus(place)
    if isinstance(place, DatadogPlace):
        return Datadog(place)
    return HttpJson(place)
