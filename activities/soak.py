"""One window of staging time: was the revision healthy for all of it, and still its bundle?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from temporalio import activity

from activities.demand import Demand
from activities.drift import Drift
from activities.failures import NotYet
from activities.load import Sender
from clients.cluster import Cluster
from domain import labels
from domain.errors import NoAccess, ReleaseError, TransientFailure
from domain.quantities import format_duration
from domain.rollout import pod_problem
from domain.samples import Samples, Span
from domain.soak import UNSEEN, SoakWindow, known_time, problem_in, requests_in, scraped
from domain.soak_windows import NOTHING, Finding, counted
from domain.steps import EarnWindow

# Temporal's timers may be late by a second; what is shorter is slept here.
WORTH_A_TIMER = timedelta(seconds=5)
# How long after a window its last scrape may come; then nothing is known of its end.
SILENCE = timedelta(minutes=1)
# Drift is looked for so often in a window: in half an hour every five minutes.
LOOKS = 6
# Scrapes that may be missing at either end of a window.
MISSING_SCRAPES = 3
# What answers at all has answered everything by then; well within an attempt of the poll.
LONGEST_LOOK = timedelta(seconds=40)

Blind = tuple[type[ReleaseError], ...]


class Soak:
    """Retried as a poll: no slot, no heartbeat and no history while a window passes."""

    def __init__(self, cluster: Cluster, demand: Demand, drift: Drift, sender: Sender) -> None:
        self._cluster = cluster
        self._demand = demand
        self._drift = drift
        self._sender = sender

    @activity.defn
    async def earn_window(self, request: EarnWindow) -> SoakWindow:
        """Look for drift now and then; when the window is over, at its pods and its requests.

        Where the plan names a probe, what a quiet window lacks is sent shortly before its end.
        The answer may be shorter or longer than was asked: it ends with a scrape. What does not
        answer is asked again until the source's patience is over: then the window is unknown.
        """
        if _late(request) < self._patience:
            return await self._seen(request)
        try:
            async with asyncio.timeout(LONGEST_LOOK.total_seconds()):
                return await self._seen(request)
        except TransientFailure as failure:
            return _unseen(request, str(failure))
        except TimeoutError:
            return _unseen(request, f"{UNSEEN} it: no answer in {format_duration(LONGEST_LOOK)}")

    async def _seen(self, request: EarnWindow) -> SoakWindow:
        if (drift := await self._drifted(request)) is not None:
            return self._bad(request, f"drift: {drift}", finding=Finding.DRIFT, drift=drift)
        await _until(self._time_to_fill(request), request)
        if self._may_fill(request) and (problem := await self._fill(request)) is not None:
            return self._bad(request, problem, finding=Finding.PROBE)
        await _until(_end(request), request)
        with _seeing("its pods"):
            problem = await self._pods(request)
        if problem is not None:
            return self._bad(request, problem, finding=Finding.PODS)
        return await self._judged(request)

    async def _drifted(self, request: EarnWindow) -> str | None:
        with _seeing("its objects"):
            return await self._drift.of(request.target)

    def _time_to_fill(self, request: EarnWindow) -> datetime:
        """So early that the probe's requests are sent and scraped when the window ends."""
        soak = request.plan.soak
        if soak.probe is None:
            return _end(request)
        sending = timedelta(seconds=soak.least_requests / soak.probe.rate)
        return _end(request) - sending - MISSING_SCRAPES * self._demand.scrape - self._demand.lag

    def _may_fill(self, request: EarnWindow) -> bool:
        """Shortly before its end; afterwards once more what was not counted, but not for long.

        The first requests of all may not be: where there was no series before, they are unknown.
        """
        if request.plan.soak.probe is None:
            return False
        late = _late(request)
        if late < NOTHING or (activity.info().attempt > 1 and late < 2 * self._demand.scrape):
            return late < NOTHING
        return late < self._patience / 2

    async def _fill(self, request: EarnWindow) -> str | None:
        """Send what the window lacks; why the window is unhealthy, when the answers are wrong."""
        probe, revision = request.plan.soak.probe, request.target.revision
        samples = await self._samples(request, datetime.now(UTC))
        missing = request.plan.soak.least_requests - requests_in(samples.blocks)
        if probe is None or missing <= 0:
            return None
        tally = await self._sender.send_all(revision, probe, missing)
        if not tally.is_wrong(request.plan.limits.errors):
            return None
        return f"probe GET {probe.path}: {tally.sentence}"

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

    async def _judged(self, request: EarnWindow) -> SoakWindow:
        """The window from its start to its last scrape; what follows is the next window's."""
        late, patience = _late(request), self._patience
        samples = await self._samples(request, _end(request) + min(late, patience))
        counts, known = counted(samples.blocks), known_time(samples.blocks)
        if (problem := problem_in(counts, request.plan.limits)) is not None:
            return self._bad(request, problem, finding=Finding.LIMITS, counts=counts, known=known)
        lacking = self._lacking(request, samples)
        told = bool(scraped(samples.blocks))
        if lacking and late < patience and (request.plan.soak.probe or not told):
            raise NotYet(f"not yet: {lacking}", self._demand.scrape)
        length = max(samples.until - request.starts_at, NOTHING)
        if _end(request) - samples.until > MISSING_SCRAPES * self._demand.scrape:
            if late < patience:
                raise NotYet(f"no scrape since {samples.until:%T}", self._demand.scrape)
            length = request.length
        length = max(length, self._passed(request))
        said: dict[str, object] = {"counts": counts, "known": known}
        if lacking:
            length = max(length, request.length + min(late, patience))
            finding = Finding.QUIET if told else Finding.SILENT
            said |= {"healthy": False, "unknown": length, "sentence": lacking, "finding": finding}
            return _window(request, length, **said)
        seen = requests_in(samples.blocks)
        well = f"healthy: {seen} requests" if seen else "healthy: no request, its pods were watched"
        said |= {"healthy": True, "unknown": max(length - known, NOTHING), "sentence": well}
        return _window(request, length, **said, finding=Finding.HEALTHY)

    def _lacking(self, request: EarnWindow, samples: Samples) -> str:
        """Why nothing can be said of the window, with what to do about it."""
        revision, soak = request.target.revision, request.plan.soak
        if not scraped(samples.blocks):
            broken = f" ({samples.broken[-1]})" if samples.broken else ""
            return f"no metrics of {revision}{broken}: look at its scrape in Prometheus"
        seen = requests_in(samples.blocks)
        if seen >= soak.least_requests:
            return ""
        told = f"{seen} requests in the window, {soak.least_requests} are needed to earn it"
        if soak.probe is not None:
            return f"{told}; its probe GET {soak.probe.path} was not counted as requests"
        return f"{told}; declare soak.probe in the plan, or send requests to staging"

    def _bad(self, request: EarnWindow, sentence: str, **said: object) -> SoakWindow:
        """The window as far as it has come; what passed unasked after it is not known."""
        length = min(max(request.length + _late(request), NOTHING), request.length)
        whole = max(length, self._passed(request))
        told = {"healthy": False, "unknown": whole - length, "sentence": sentence, **said}
        return _window(request, whole, **told)

    def _passed(self, request: EarnWindow) -> timedelta:
        """Time for which nobody asked, so that the soak's deadline is counted by the clock.

        One length is left for the next window, which looks back so far.
        """
        late = _late(request)
        return late if late > self._patience else NOTHING

    @property
    def _patience(self) -> timedelta:
        return max(SILENCE, MISSING_SCRAPES * self._demand.scrape) + self._demand.lag

    async def _samples(self, request: EarnWindow, until: datetime) -> Samples:
        """One short range: the window, and the scrapes before it that its first one grew from."""
        length = self._demand.scrape
        since = request.starts_at - MISSING_SCRAPES * length
        span = Span(since, request.starts_at, until, length, seen_from=since)
        limits, measure = request.plan.limits, request.plan.metrics.measure
        revision = request.target.revision
        # An expired token says nothing of the revision, nor does a query that is refused.
        with _seeing("its requests", (ReleaseError,)):
            return await self._demand.blocks(revision, None, span, limits.p95, measure)


async def _until(moment: datetime, request: EarnWindow) -> None:
    """Be asked again at a moment, or before to look for drift; what is short is slept."""
    remaining = moment - datetime.now(UTC)
    if remaining > WORTH_A_TIMER:
        left = format_duration(_end(request) - datetime.now(UTC))
        raise NotYet(f"the window ends in {left}", min(remaining, request.length / LOOKS))
    await asyncio.sleep(max(remaining.total_seconds(), 0))


@contextmanager
def _seeing(what: str, blind: Blind = (TransientFailure, NoAccess)) -> Iterator[None]:
    """What says nothing of the revision is waited for, and says of what nothing is known."""
    try:
        yield
    except blind as failure:
        wish = failure.retry_after if isinstance(failure, TransientFailure) else None
        raise TransientFailure(f"{UNSEEN} {what}: {failure}", wish) from failure


def _end(request: EarnWindow) -> datetime:
    return request.starts_at + request.length


def _late(request: EarnWindow) -> timedelta:
    return datetime.now(UTC) - _end(request)


def _unseen(request: EarnWindow, sentence: str) -> SoakWindow:
    """All the time until now, of which nothing is known: it earns nothing, and has passed."""
    length = datetime.now(UTC) - request.starts_at
    told = {"healthy": False, "unknown": length, "finding": Finding.SILENT, "sentence": sentence}
    return _window(request, length, **told)


def _window(request: EarnWindow, length: timedelta, **said: object) -> SoakWindow:
    told = {"bundle": str(request.target.bundle), "length": length, **said}
    return SoakWindow.model_validate(told)
