"""One window of staging time: was the revision healthy for all of it?"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from temporalio import activity

from activities.demand import Demand
from activities.failures import NotYet
from clients.cluster import Cluster
from domain import labels
from domain.canary import ERRORS, RESTARTS, SLOW, SLOW_SHARE
from domain.judge.counts import Counts
from domain.quantities import format_duration, format_share
from domain.rollout import pod_problem
from domain.samples import Span
from domain.soak import SoakWindow, exceeds
from domain.steps import EarnWindow

# Temporal's timers may be late by a second; what is shorter is slept here.
WORTH_A_TIMER = timedelta(seconds=5)
# How long after a window its first scrape may come; then no data is no healthy time.
SILENCE = timedelta(minutes=1)


class Soak:
    """Retried as a poll: no slot, no heartbeat and no history while a window passes."""

    def __init__(self, cluster: Cluster, demand: Demand) -> None:
        self._cluster = cluster
        self._demand = demand

    @activity.defn
    async def earn_window(self, request: EarnWindow) -> SoakWindow:
        """Be asked again when the window is over, then look at its pods and its requests."""
        remaining = request.starts_at + request.length - datetime.now(UTC)
        if remaining > WORTH_A_TIMER:
            raise NotYet(f"the window ends in {format_duration(remaining)}", remaining)
        await asyncio.sleep(max(remaining.total_seconds(), 0))
        problem = await self._pods(request) or await self._requests(request)
        if problem is not None:
            return SoakWindow(length=request.length, healthy=False, sentence=problem)
        return SoakWindow(length=request.length, healthy=True, sentence="healthy")

    async def _pods(self, request: EarnWindow) -> str | None:
        revision = request.target.revision
        deployment = await self._cluster.read("Deployment", revision)
        if deployment is None:
            return f"{revision} is gone from staging"
        ready = deployment.get("status", {}).get("readyReplicas", 0)
        wanted = deployment["spec"].get("replicas", 1)
        if ready >= wanted:
            return None
        pods = await self._cluster.list("Pod", {labels.REVISION: request.target.bundle.short})
        why = next(filter(None, map(pod_problem, pods)), f"{ready} of {wanted} pods ready")
        return f"{revision}: {why}"

    async def _requests(self, request: EarnWindow) -> str | None:
        since = request.starts_at
        until = max(since + request.length, datetime.now(UTC))
        length = max(request.plan.pace.block, self._demand.scrape)
        span = Span.following(since, since, until, length)
        samples = await self._demand.blocks(
            request.target.revision,
            None,
            span,
            request.plan.limits.p95,
            request.plan.metrics.measure,
        )
        if not samples.blocks:
            if until - since - request.length < SILENCE:
                raise NotYet(f"no metrics of {request.target.revision} yet", span.length)
            return f"no metrics of {request.target.revision}: look at its scrape in Prometheus"
        total: dict[str, Counts] = {}
        for block in samples.blocks:
            for metric, counts in block.counts.items():
                total[metric] = total.get(metric, Counts()) + counts
        if total.get(RESTARTS, Counts()).canary_bad:
            return f"{total[RESTARTS].canary_bad} container restarts"
        for metric, limit in ((ERRORS, request.plan.limits.errors), (SLOW, SLOW_SHARE)):
            seen = total.get(metric, Counts())
            if exceeds(seen.canary_requests, seen.canary_bad, limit):
                return (
                    f"{seen.canary_bad} of {seen.canary_requests} requests {metric} "
                    f"({format_share(round(seen.canary_rate, 4))}, limit {format_share(limit)})"
                )
        return None
