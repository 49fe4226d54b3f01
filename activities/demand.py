"""What a revision's pods counted: read from Prometheus as raw counters, per pod and scrape."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from clients.cluster import Cluster
from clients.prometheus import Matches, Prometheus
from domain import labels
from domain.errors import ReleaseError
from domain.samples import Arm, Samples, Series, Span, sample

BUCKETS = "http_server_request_duration_seconds_bucket"
RESTARTS = "kube_pod_container_status_restarts_total"
SCRAPES_OF_SILENCE = 2


class Demand:
    """Joins pods (from Kubernetes) with their series (from Prometheus)."""

    def __init__(self, cluster: Cluster, prometheus: Prometheus, scrape: timedelta) -> None:
        self._cluster = cluster
        self._prometheus = prometheus
        self.scrape = scrape

    async def blocks(
        self, canary: str, stable: str | None, span: Span, slow_above: timedelta
    ) -> Samples:
        """Blocks of both arms; raises TransientFailure when a source does not answer."""
        arms = [canary] if stable is None else [canary, stable]
        read = await asyncio.gather(*(self._arm(revision, span) for revision in arms))
        return sample(read[0], read[1] if stable else None, span, slow_above)

    async def is_silent(self, revision: str, since: datetime) -> bool:
        """No user request since `since`, seen in two scrapes at least; unknown is not silent."""
        now = datetime.now(UTC)
        if now - since < SCRAPES_OF_SILENCE * self.scrape:
            return False
        span = Span.following(since, since, now, self.scrape)
        try:
            samples = await self.blocks(revision, None, span, timedelta(seconds=1))
        except ReleaseError:
            return False
        counts = [block.counts["errors"] for block in samples.blocks if "errors" in block.counts]
        return len(counts) >= SCRAPES_OF_SILENCE and not any(c.canary_requests for c in counts)

    async def _arm(self, revision: str, span: Span) -> Arm:
        short = revision.rpartition("-")[2]
        pods = await self._cluster.list("Pod", {labels.REVISION: short})
        if not pods:
            return Arm()
        started = {
            pod["metadata"]["name"]: datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
            for pod in pods
        }
        matchers: dict[str, str | Matches] = {
            "namespace": self._cluster.namespace,
            "pod": Matches.any_of(*started),
        }
        buckets, restarts = await asyncio.gather(
            self._series(BUCKETS, matchers, span), self._series(RESTARTS, matchers, span)
        )
        return Arm(buckets=tuple(buckets), restarts=tuple(restarts), started=started)

    async def _series(
        self, metric: str, matchers: dict[str, str | Matches], span: Span
    ) -> list[Series]:
        return await self._prometheus.raw_series(metric, matchers, span.until, span.window)
