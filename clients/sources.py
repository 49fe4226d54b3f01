"""The sources of metrics by their places: one client per kind behind the one port."""

from __future__ import annotations

from clients.prometheus import Prometheus
from domain.errors import PermanentFailure
from domain.metrics.places import PrometheusPlace, SourcePlace
from domain.metrics.source import MetricSource


def source_at(place: SourcePlace) -> MetricSource:
    """A client of the source; nothing is asked yet."""
    if isinstance(place, PrometheusPlace):
        return Prometheus(place)
    raise PermanentFailure(f"sources of kind {place.kind} are not spoken here; name another")
