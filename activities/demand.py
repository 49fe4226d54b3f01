"""What a revision's pods counted: read from the source of metrics, per pod and scrape."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from clients.cluster import Cluster
from domain import labels
from domain.drain import SCRAPES_OF_SILENCE, is_silent
from domain.errors import PermanentFailure, ReleaseError
from domain.metrics.measure import Measure
from domain.metrics.source import Asked, MetricSource, Proxied, Survey, Surveyed
from domain.metrics.templates import OTEL_HTTP
from domain.samples import SILENT_INTERVALS, Arm, Samples, Span, sample
from domain.silence import needs_proxies

TOLD_LENGTH = 240


@dataclass(frozen=True)
class Pods:
    """Pods by their labels; `name` is the Service of theirs alone, by which proxies tell them."""

    name: str
    labels: Mapping[str, str]


def pods_of(revision: str) -> Pods:
    """A revision's pods."""
    return Pods(revision, {labels.REVISION: revision.rpartition("-")[2]})


# What reading something unforeseen raises, of whatever type.
_BREAKS = (
    *(ArithmeticError, AttributeError, LookupError),
    *(RecursionError, TypeError, ValueError),
)


@contextmanager
def readable(source: MetricSource) -> Iterator[None]:
    """Whatever an answer breaks is told as the source's: nothing is known by it.

    Activities retry without limit, so another error would never be heard of.
    """
    try:
        yield
    except _BREAKS as error:
        told = f"{type(error).__name__} {error}"[:TOLD_LENGTH]
        raise PermanentFailure(
            f"the answer of {source.said} cannot be read ({told}): no data; look at what it"
            " answers, and tell Tidegate's maintainers, who would have it named better"
        ) from error


class Demand:
    """Joins pods (from Kubernetes) with their series (from the source of metrics)."""

    def __init__(self, cluster: Cluster, source: MetricSource, scrape: timedelta) -> None:
        self._cluster = cluster
        self._source = source
        self.scrape = scrape

    async def blocks(
        self,
        canary: str,
        stable: str | None,
        span: Span,
        slow_above: timedelta,
        measure: Measure = OTEL_HTTP,
    ) -> Samples:
        """Blocks of two revisions; raises TransientFailure when a source does not answer."""
        control = None if stable is None else pods_of(stable)
        return await self.compare(pods_of(canary), control, span, slow_above, measure)

    async def compare(
        self,
        canary: Pods,
        stable: Pods | None,
        span: Span,
        slow_above: timedelta,
        measure: Measure = OTEL_HTTP,
    ) -> Samples:
        """The same of any pods."""
        arms = [canary] if stable is None else [canary, stable]
        seen = self.answered(span)
        if seen.until < seen.after + seen.length:
            # No block can close yet: the source need not be asked.
            return Samples(blocks=(), broken=(), until=span.after)
        read = await asyncio.gather(*(self.selected(pods, seen, measure) for pods in arms))
        read = await self._beside_proxies(list(read), canary.name, seen)
        # Thousands of series take a tenth of a second: heartbeats and others go on meanwhile.
        slowest = slow_above if measure.tells_slow else None
        with readable(self._source):
            return await asyncio.to_thread(
                sample, read[0], read[1] if stable else None, seen, slowest
            )

    async def _beside_proxies(self, arms: list[Arm], name: str, span: Span) -> list[Arm]:
        """Of a Service that nobody asked yet, proxies that are scraped have no series: 0 requests.

        Which proxies there are and when they were scraped, other Services' series tell.
        """
        first, source = arms[0], self._source
        if not isinstance(source, Proxied) or not needs_proxies(arms, span.after):
            return arms
        with readable(self._source):
            up = await source.proxies(
                Asked(
                    arm=name,
                    namespace=self._cluster.namespace,
                    pods=first.started,
                    measure=first.measure,
                    span=span,
                )
            )
        return [replace(first, up=up), *arms[1:]]

    @property
    def lag(self) -> timedelta:
        """How late the source knows everything."""
        return self._source.lag

    def patience(self, block: timedelta) -> timedelta:
        """How long a source that works may leave its asker without a new block."""
        return SILENT_INTERVALS * max(block, self.scrape) + self.lag

    def answered(self, span: Span) -> Span:
        """The span until where the source knows everything by now."""
        return replace(span, until=span.until - self._source.lag)

    async def is_silent(self, revision: str, since: datetime, measure: Measure = OTEL_HTTP) -> bool:
        """No user request since `since`; of what a source does not tell nothing is known."""
        now = datetime.now(UTC)
        if now - since < SCRAPES_OF_SILENCE * self.scrape + self._source.lag:
            return False
        span = self.answered(Span.following(since, since, now, self.scrape))
        try:
            arm = await self.arm(revision, span, measure)
            with readable(self._source):
                return await asyncio.to_thread(is_silent, arm, span)
        except ReleaseError:
            return False

    async def arm(self, revision: str, span: Span, measure: Measure = OTEL_HTTP) -> Arm:
        """One revision's series; an empty arm when it has no pods."""
        return await self.selected(pods_of(revision), span, measure)

    async def selected(self, pods: Pods, span: Span, measure: Measure) -> Arm:
        """The series of some pods; an empty arm when there are none."""
        found = await self._cluster.list("Pod", dict(pods.labels))
        if not found:
            return Arm(measure=measure)
        started = {
            pod["metadata"]["name"]: datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
            for pod in found
        }
        asked = Asked(
            arm=pods.name,
            namespace=self._cluster.namespace,
            pods=started,
            measure=measure,
            span=span,
        )
        with readable(self._source):
            return await self._source.arm(asked)

    async def survey(self, pods: Mapping[str, datetime], span: Span, measure: Measure) -> Survey:
        """Where else the source has what counts requests; nothing where it cannot tell."""
        if not isinstance(self._source, Surveyed):
            return Survey()
        asked = Asked(
            arm="",
            namespace=self._cluster.namespace,
            pods=pods,
            measure=measure,
            span=span,
        )
        with readable(self._source):
            return await self._source.survey(asked)
