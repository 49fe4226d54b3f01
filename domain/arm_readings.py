"""What the pods of one arm counted: the differences of their counters, per pod and scrape."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from domain.metrics.measure import Measure
from domain.metrics.templates import OTEL_HTTP
from domain.scrapes import (
    SCRAPER_LABELS,
    TIMING_SLACK,
    Faults,
    Series,
    Times,
    by_pod,
    differences,
    scrape_times,
)

# Kubernetes tells creation times by the second.
CLOCK_SLACK = 2.0


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm's series of requests by one convention (`measure`), and its pods' restarts.

    `counts` may be left out: the bucket `le="+Inf"` counts the same, from the same query. `up` is
    1 at each scrape that was answered: it tells a quiet pod from one that nobody scrapes.
    `started` says when a pod was created; a pod that is not in it has an unknown past.
    """

    buckets: tuple[Series, ...] = ()
    counts: tuple[Series, ...] = ()
    restarts: tuple[Series, ...] = ()
    started: Mapping[str, datetime] = field(default_factory=dict)
    failures: tuple[Series, ...] = ()
    up: tuple[Series, ...] = ()
    measure: Measure = OTEL_HTTP

    @property
    def whole_buckets(self) -> tuple[Series, ...]:
        """The buckets that count every request."""
        return tuple(one for one in self.buckets if self.measure.edge(one.labels) == math.inf)

    @property
    def requests(self) -> tuple[Series, ...]:
        """Every series of requests, in whatever form."""
        return (*self.counts, *self.failures, *self.buckets)


@dataclass(slots=True)
class Scrape:
    """What one pod counted between two of its scrapes.

    `timed` are the requests of the histogram: those that `under` are some of.
    """

    requests: float = 0.0
    bad: float = 0.0
    timed: float = 0.0
    under: dict[float, float] = field(default_factory=dict)

    def add(self, other: Scrape) -> None:
        """Take in another scrape, of the same pod or arm."""
        self.requests += other.requests
        self.bad += other.bad
        self.timed += other.timed
        for edge, count in other.under.items():
            self.under[edge] = self.under.get(edge, 0.0) + count

    def above(self, edge: float) -> float:
        """Requests slower than the edge; all of them where no bucket was counted."""
        return self.timed - self.under.get(edge, 0.0)


@dataclass(slots=True)
class ArmReading:
    """An arm's differences: per (pod, scrape) requests, per scrape restarts, per pod times.

    `measured` are pods whose requests are counted (of the others only restarts are known), `quiet`
    those of them that have no series of requests yet.
    """

    scrapes: dict[tuple[str, float], Scrape] = field(default_factory=dict)
    restarts: list[tuple[float, float]] = field(default_factory=list)
    times: dict[str, list[float]] = field(default_factory=dict)
    measured: frozenset[str] = frozenset()
    quiet: tuple[str, ...] = ()
    counts_requests: bool = False
    counts_restarts: bool = False
    is_of_proxies: bool = False

    def inside(self, start: float, end: float) -> dict[str, Scrape]:
        """What each pod counted in the scrapes of `(start, end]`."""
        pods: dict[str, Scrape] = {}
        for (pod, time), scrape in self.scrapes.items():
            if start < time <= end:
                pods.setdefault(pod, Scrape()).add(scrape)
        return pods

    def is_scraped_in(self, start: float, end: float) -> bool:
        """Whether any pod was scraped for its requests in `(start, end]`; restarts tell of none."""
        return any(scraped_in(self.times[pod], start, end) for pod in self.measured)


def scraped_in(times: list[float], start: float, end: float) -> bool:
    """Whether any of the times, in their order, is in `(start, end]`."""
    return bisect_right(times, end) > bisect_right(times, start)


@dataclass(frozen=True, slots=True)
class Window:
    """When the weight changed, until when all is counted already, and the query's own window.

    `silence`: after so many seconds without a scrape a pod is taken to be gone.
    """

    since: datetime
    after: datetime
    until: datetime
    seen_from: datetime
    silence: float


def read(
    arm: Arm, window: Window, edges: frozenset[float], seen: Times, faults: Faults
) -> ArmReading:
    """Difference the arm's counters; `seen`: when each of its pods (or proxies) was scraped."""
    reading = ArmReading(is_of_proxies=arm.measure.arm is not None)
    roles = _roles(arm, edges)
    counted = (window.since, window.after)
    members = _members(arm, roles, faults)
    for pod, targets in seen.items():
        times = sorted({time for found in targets.values() for time in found})
        own = members.get(pod, [])
        if not times:
            continue
        reading.counts_requests = True
        reading.times[pod] = times
        for item, time, grown in differences(own, targets, _born(arm, pod, window), counted):
            scrape = reading.scrapes.setdefault((pod, time), Scrape())
            _tally(scrape, roles[id(item)], grown)
        for time in times if not own else ():
            reading.scrapes.setdefault((pod, time), Scrape())
    reading.measured = frozenset(reading.times)
    reading.quiet = tuple(sorted(reading.measured - members.keys()))
    _name_doubts(arm, reading, window, faults)
    _read_restarts(arm, window, reading, faults)
    _refuse_impossible(reading.scrapes, faults)
    return reading


def _name_doubts(arm: Arm, reading: ArmReading, window: Window, faults: Faults) -> None:
    """Say what cannot be counted, or is counted by clocks that differ; no block is left out."""
    now = window.until.timestamp()
    for pod, times in reading.times.items():
        started, last = arm.started.get(pod), times[-1]
        if started is not None and started.timestamp() > times[0] + CLOCK_SLACK:
            early = started.timestamp() - times[0]
            what = f"scraped {early:.0f} s before Kubernetes created it: their clocks differ"
            faults.doubt(pod, what, last)
        if last > now + CLOCK_SLACK:
            faults.doubt(pod, f"scraped {last - now:.0f} s from now: clocks differ", last)
        if len(times) == 1 and now - last > window.silence and _born(arm, pod, window) is None:
            faults.doubt(pod, "seen in one scrape and gone: what it counted cannot be told", last)


# What a series adds to: (requests, bad, timed, the edge it is under).
_Role = tuple[bool, bool, bool, float | None]
_NOTHING: _Role = (False, False, False, None)


def _roles(arm: Arm, edges: frozenset[float]) -> dict[int, _Role]:
    """What each of the arm's series adds to; those that are not read are not in it."""
    measure, roles = arm.measure, dict[int, _Role]()
    kind_of = _Kinds(measure)
    for one in arm.counts:
        probe, bad = kind_of(one)
        roles[id(one)] = _NOTHING if probe else (True, bad, False, None)
    apart = measure.failures_counted == "apart"
    for one in arm.failures:
        probe, _ = kind_of(one)
        roles[id(one)] = _NOTHING if probe else (apart, True, False, None)
    alone = not arm.counts
    for one in arm.buckets:
        edge = measure.edge(one.labels)
        if edge not in edges and edge != math.inf:
            continue
        probe, bad = kind_of(one)
        whole = (alone, alone and bad, True, None)
        role = whole if edge == math.inf else (False, False, False, edge)
        roles[id(one)] = _NOTHING if probe else role
    return roles


class _Kinds:
    """Whether a series counts probes, and whether bad requests: once per combination of labels."""

    def __init__(self, measure: Measure) -> None:
        told = {*measure.probes, *(name for entry in measure.bad for name in entry)}
        self._names = sorted(told)
        self._measure = measure
        self._known: dict[tuple[str | None, ...], tuple[bool, bool]] = {}

    def __call__(self, series: Series) -> tuple[bool, bool]:
        labels = series.labels
        key = tuple([labels.get(name) for name in self._names])
        found = self._known.get(key)
        if found is None:
            found = self._measure.is_probe(labels), self._measure.is_bad(labels)
            self._known[key] = found
        return found


def _members(arm: Arm, roles: Mapping[int, _Role], faults: Faults) -> dict[str, list[Series]]:
    ignored = SCRAPER_LABELS - {arm.measure.arm.label} if arm.measure.arm else SCRAPER_LABELS
    members: dict[str, list[Series]] = {}
    for metric in (arm.counts, arm.failures, arm.buckets):
        used = [one for one in metric if id(one) in roles]
        for pod, found in by_pod(used, faults, ignored):
            members.setdefault(pod, []).extend(found)
    return members


def _tally(scrape: Scrape, role: _Role, grown: float) -> None:
    requests, bad, timed, edge = role
    if edge is not None:
        scrape.under[edge] = scrape.under.get(edge, 0.0) + grown
        return
    if requests:
        scrape.requests += grown
    if bad:
        scrape.bad += grown
    if timed:
        scrape.timed += grown


def _read_restarts(arm: Arm, window: Window, reading: ArmReading, faults: Faults) -> None:
    for pod, members in by_pod(arm.restarts, faults):
        reading.counts_restarts = True
        targets = scrape_times(members, ())[pod]
        reading.times.setdefault(pod, sorted({t for one in targets.values() for t in one}))
        born, counted = _born(arm, pod, window), (window.since, window.after)
        restarts = differences(members, targets, born, counted)
        reading.restarts += [(time, grown) for _, time, grown in restarts]


def _born(arm: Arm, pod: str, window: Window) -> float | None:
    """When the pod's counters were 0: its start, if no earlier scrape can have been counted."""
    started = arm.started.get(pod)
    if started is None or started < max(window.since, window.seen_from):
        return None
    return started.timestamp()


def _refuse_impossible(scrapes: Mapping[tuple[str, float], Scrape], faults: Faults) -> None:
    for (pod, time), scrape in scrapes.items():
        for edge, count in scrape.under.items():
            if count > scrape.timed + TIMING_SLACK:
                what = f"counts {count:g} requests of {scrape.timed:g} in all"
                faults.at(Series(pod, {"le": f"{edge:g}"}, ()), what, time)
        if scrape.bad > scrape.requests + TIMING_SLACK:
            what = f"counts {scrape.bad:g} failures of {scrape.requests:g} requests in all"
            told = Series(pod, {"counted": "within"}, ())
            faults.at(told, f"{what}: say failures_counted: apart in the plan's metrics", time)


def seen_pods(arms: Sequence[Arm]) -> list[Times]:
    """When each pod of each arm was scraped, by what scraped it.

    Proxies serve both arms: what one arm's series tell of a proxy is true of it in the other, and
    `up` tells of those that have none of either.
    """
    if arms[0].measure.arm is None:
        return [scrape_times(_used(arm), arm.up) for arm in arms]
    together: Iterable[Series] = [one for arm in arms for one in _used(arm)]
    shared = scrape_times(together, [one for arm in arms for one in arm.up])
    return [shared for _ in arms]


def _used(arm: Arm) -> tuple[Series, ...]:
    return (*arm.counts, *arm.failures, *arm.whole_buckets)
