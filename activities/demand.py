"""What a revision's pods counted: read from Prometheus as raw counters, per pod and scrape."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from clients.cluster import Cluster
from clients.prometheus import Matches, Prometheus
from domain import labels
from domain.errors import ReleaseError
from domain.samples import Arm, Samples, Series, Span, sample

BUCKETS = "http_server_request_duration_seconds_bucket"
UP = "up"
RESTARTS = "kube_pod_container_status_restarts_total"
SCRAPES_OF_SILENCE = 2
Selector = Mapping[str, str]


def pods_of(revision: str) -> Selector:
    """The label of a revision's pods."""
    return {labels.REVISION: revision.rpartition("-")[2]}


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
        control = None if stable is None else pods_of(stable)
        return await self.compare(pods_of(canary), control, span, slow_above)

    async def compare(
        self, canary: Selector, stable: Selector | None, span: Span, slow_above: timedelta
    ) -> Samples:
        """The same of any pods, each arm named by its labels."""
        arms = [canary] if stable is None else [canary, stable]
        read = await asyncio.gather(*(self.arm(selector, span) for selector in arms))
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

    async def arm(self, selector: Selector, span: Span) -> Arm:
        """What the pods with these labels counted, each series with its raw samples."""
        pods = await self._cluster.list("Pod", dict(selector))
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

    @property
    def metric(self) -> str:
        """What counts requests, as people find it in the metrics source."""
        return BUCKETS

    async def scraped(self, pods: Sequence[str], span: Span) -> frozenset[str] | None:
        """Those of the pods whose scrape succeeds; None where the source tells it of none."""
        matchers: dict[str, str | Matches] = {
            "namespace": self._cluster.namespace,
            "pod": Matches.any_of(*pods),
        }
        found = [item for item in await self._series(UP, matchers, span) if item.points]
        up = frozenset(item.pod for item in found if item.points[-1][1] == 1)
        return up if found else None

    async def everywhere(self, span: Span) -> list[Series]:
        """What counts requests over all pods of the namespace: one series per pod and labels."""
        whole = {"namespace": self._cluster.namespace, "le": "+Inf"}
        return await self._series(BUCKETS, whole, span)

    async def anywhere(self, pods: Sequence[str], span: Span) -> list[Series]:
        """What counts requests of pods of these names in any namespace."""
        return await self._series(BUCKETS, {"pod": Matches.any_of(*pods), "le": "+Inf"}, span)

    async def _series(
        self, metric: str, matchers: Mapping[str, str | Matches], span: Span
    ) -> list[Series]:
        return await self._prometheus.raw_series(metric, matchers, span.until, span.window)
