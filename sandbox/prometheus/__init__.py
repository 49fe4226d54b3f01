"""The Prometheus HTTP API over the sandbox's series: the part of PromQL that people type."""

from __future__ import annotations

from sandbox.prometheus.server import Prometheus

__all__ = ["Prometheus"]
