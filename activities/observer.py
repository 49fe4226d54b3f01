"""Looking at the observer itself: are the series that will judge a canary those of its pods?"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity

from activities.beat import heartbeats
from activities.demand import Demand, Pods, pods_of
from clients.cluster import Cluster
from domain.errors import NoAccess, NotFound, PermanentFailure, TransientFailure
from domain.metrics.measure import Measure
from domain.metrics.source import Survey
from domain.metrics.templates import OTEL_HTTP
from domain.observer import (
    CANARY,
    STABLE,
    ArmView,
    Fault,
    Finding,
    Fitness,
    Inspection,
    ObserverReport,
    Surroundings,
    VerifyObserver,
)
from domain.observer_rules import inspect, needs_survey
from domain.samples import Span
from domain.selectors import written

# What is looked at; longer than any silence that the rules speak of.
WINDOW_SCRAPES = 30
# New pods are found and scraped within this; what is wrong for longer is wrong.
PATIENCE_SCRAPES = 6
LEAST_PATIENCE = timedelta(seconds=30)
SHORTEST_POLL, LONGEST_POLL = timedelta(milliseconds=250), timedelta(seconds=5)


@dataclass(frozen=True)
class Arms:
    """Which pods are compared, by which convention, at which latency limit."""

    canary: Pods | None
    stable: Pods | None
    slow_above: timedelta
    measure: Measure = OTEL_HTTP

    def named(self) -> list[tuple[str, Pods]]:
        """The arms there are, by name, the canary first."""
        arms = ((CANARY, self.canary), (STABLE, self.stable))
        return [(name, pods) for name, pods in arms if pods is not None]


class Observer:
    """Verifies what one environment's metrics source says of pods."""

    def __init__(self, cluster: Cluster, demand: Demand) -> None:
        self._cluster = cluster
        self._demand = demand

    @activity.defn
    async def verify_observer(self, request: VerifyObserver) -> ObserverReport:
        """Look until each arm's series are its pods' own, or until they surely are not.

        Pods that became ready just now are scraped a little later: what is wrong counts only when
        it stays so. A source that does not answer or lets us in no more, or only old data, makes
        nothing wrong: that is told at `ends_at`.
        """
        wrong_since: datetime | None = None
        pause = min(max(self._demand.scrape / 2, SHORTEST_POLL), LONGEST_POLL).total_seconds()
        async with heartbeats(f"looking whether the observer sees {request.target.revision}"):
            while True:
                now = datetime.now(UTC)
                report = await self._report(request, now)
                if report.fitness is Fitness.fit:
                    return report
                if report.fitness is Fitness.silent:
                    wrong_since = None
                    if now >= request.ends_at:
                        return report
                else:
                    wrong_since = wrong_since or now
                    if now - wrong_since >= self.patience:
                        return report
                await asyncio.sleep(pause)

    @property
    def patience(self) -> timedelta:
        """How long something must be wrong to count."""
        return max(PATIENCE_SCRAPES * self._demand.scrape, LEAST_PATIENCE)

    async def look(self, arms: Arms, now: datetime, *, quiet_allowed: bool = False) -> Inspection:
        """What the source says now; TransientFailure when it does not answer."""
        span, named = self._span(now), arms.named()
        ready = [await self._ready(pods) for _, pods in named]
        try:
            views = [
                ArmView(
                    name=name,
                    selector=written(pods.labels),
                    pods=found,
                    arm=await self._demand.selected(pods, span, arms.measure),
                )
                for (name, pods), found in zip(named, ready, strict=True)
            ]
        except PermanentFailure as failure:
            return _refused(failure)
        around = Surroundings(
            namespace=self._cluster.namespace,
            metric=arms.measure.counted,
            now=span.until,
            scrape=self._demand.scrape,
            quiet_allowed=quiet_allowed,
        )
        if needs_survey(views):
            around = replace(around, survey=await self._survey(views, span, arms.measure))
        return inspect(views, around, arms.slow_above)

    async def _report(self, request: VerifyObserver, now: datetime) -> ObserverReport:
        try:
            found = await self.look(arms_of(request), now, quiet_allowed=request.quiet_allowed)
        except TransientFailure as failure:
            activity.logger.warning("%s is not seen: %s", request.target.revision, failure)
            # Told once: it does not say which of the queries failed first.
            told = (
                f"no user is sent to {request.target.revision} while the metrics source of"
                f" {request.target.environment} does not answer; look whether it is up and"
                " reachable from the worker"
            )
            return ObserverReport(fitness=Fitness.silent, sentence=told)
        except PermanentFailure as failure:
            # Not even its pods may be seen: that says nothing of them.
            return ObserverReport(fitness=Fitness.silent, sentence=str(failure))
        return ObserverReport(fitness=found.fitness, sentence=found.sentence)

    def _span(self, now: datetime) -> Span:
        scrape = self._demand.scrape
        since = now - WINDOW_SCRAPES * scrape
        asked = Span(since=since, after=since, until=now, length=scrape, seen_from=since)
        return self._demand.answered(asked)

    async def _ready(self, pods: Pods) -> dict[str, datetime]:
        """Those of the pods that are ready, and when each was created."""
        found = await self._cluster.list("Pod", dict(pods.labels))
        return {pod["metadata"]["name"]: _created(pod) for pod in found if _is_ready(pod)}

    async def _survey(self, views: list[ArmView], span: Span, measure: Measure) -> Survey:
        unseen = {pod: view.pods[pod] for view in views for pod in view.unseen}
        try:
            return await self._demand.survey(unseen, span, measure)
        except PermanentFailure:
            # Of pods that are no arm's: what cannot be read of them is nobody's fault here.
            return Survey()


def arms_of(request: VerifyObserver) -> Arms:
    """The arms of a release's canary."""
    target = request.target
    return Arms(
        canary=pods_of(target.revision),
        stable=pods_of(target.stable.revision) if target.stable else None,
        slow_above=request.slow_above,
        measure=request.metrics.measure,
    )


def _refused(failure: PermanentFailure) -> Inspection:
    """The source refuses us, or a query, or answers in a form that nothing can be told by."""
    outside = isinstance(failure, NoAccess | NotFound)
    what, _, remedy = str(failure).rpartition("; ")
    finding = Finding(
        fault=Fault.no_access if outside else Fault.refused_query,
        arm="",
        what=what or str(failure),
        remedy=remedy if what else "correct the plan's metrics",
    )
    return Inspection(arms=(), edge=None, findings=(finding,))


def _created(pod: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(pod["metadata"]["creationTimestamp"])


def _is_ready(pod: Mapping[str, Any]) -> bool:
    """Ready, and not on its way out."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
