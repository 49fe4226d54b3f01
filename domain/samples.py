"""Raw counter samples -> blocks for the judge; the observing activities call `sample`.

Counters are differenced per pod, series and scrape, never by rate() or increase(): those
extrapolate, and they lose the first value of a new series (a new pod, a new error code).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import pairwise

from domain.judge.counts import Block, Counts, Histogram, Pods
from domain.judge.votes import LEAST_CANARY_PODS
from domain.scrapes import (
    TIMING_SLACK,
    Broken,
    Faults,
    Series,
    by_pod,
    differences,
    moment,
    times_of,
)

__all__ = ["Arm", "Broken", "Samples", "Series", "Span", "sample"]

ERRORS = "errors"
SLOW = "slow"
RESTARTS = "restarts"
# Probes and scrapes follow the number of pods, not the weight: they would bias the share.
PROBE_ROUTES = frozenset({"/health", "/healthz", "/ready", "/readyz", "/livez", "/metrics"})
# A block waits for this part of an arm's pods: one silent pod of many must not hold it.
REPORTING_PART = 0.9
LOOKBACK_BLOCKS = 6
# A pod that missed as many scrapes is taken to be gone; until then its block waits for it.
SILENT_INTERVALS = 3
# Room for 1,000 pods with 12 buckets and 4 combinations of other labels.
SERIES_LIMIT = 50_000
# Kubernetes tells creation times by the second.
CLOCK_SLACK = 2.0


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm's series of the OpenTelemetry HTTP histogram, and its pods' restarts.

    `counts` may be left out: the bucket `le="+Inf"` counts the same, from the same query.
    `started` says when a pod was created; a pod that is not in it has an unknown past.
    """

    buckets: tuple[Series, ...] = ()
    counts: tuple[Series, ...] = ()
    restarts: tuple[Series, ...] = ()
    started: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Span:
    """Which time to cut into blocks of at least `length`.

    `since`: when the weight took effect; `after`: the end of the last block, at first `since`;
    `seen_from` .. `until`: the window that was queried.
    """

    since: datetime
    after: datetime
    until: datetime
    length: timedelta
    seen_from: datetime

    @classmethod
    def following(cls, since: datetime, after: datetime, now: datetime, length: timedelta) -> Span:
        """The span after the last block, with a window that bridges five missing scrapes."""
        return cls(since, after, now, length, after - LOOKBACK_BLOCKS * length)

    @property
    def window(self) -> timedelta:
        """The range to query at `until`."""
        return self.until - self.seen_from


@dataclass(frozen=True, slots=True)
class Samples:
    """The blocks, what was broken, and where the last block ended (`after` of the next span)."""

    blocks: tuple[Block, ...]
    broken: tuple[Broken, ...]
    until: datetime


@dataclass(slots=True)
class _Scrape:
    """What one pod counted between two of its scrapes."""

    requests: float = 0.0
    bad: float = 0.0
    under: dict[float, float] = field(default_factory=dict)

    def add(self, other: _Scrape) -> None:
        """Take in another scrape, of the same pod or arm."""
        self.requests += other.requests
        self.bad += other.bad
        for edge, count in other.under.items():
            self.under[edge] = self.under.get(edge, 0.0) + count

    def above(self, edge: float) -> float:
        """Requests slower than the edge; all of them where no bucket was counted."""
        return self.requests - self.under.get(edge, 0.0)


@dataclass(slots=True)
class _ArmReading:
    """An arm's differences: per (pod, scrape) requests, per scrape restarts, per pod times."""

    scrapes: dict[tuple[str, float], _Scrape] = field(default_factory=dict)
    restarts: list[tuple[float, float]] = field(default_factory=list)
    times: dict[str, list[float]] = field(default_factory=dict)
    counts_requests: bool = False

    def inside(self, start: float, end: float) -> dict[str, _Scrape]:
        """What each pod counted in the scrapes of `(start, end]`."""
        pods: dict[str, _Scrape] = {}
        for (pod, time), scrape in self.scrapes.items():
            if start < time <= end:
                pods.setdefault(pod, _Scrape()).add(scrape)
        return pods


def sample(
    canary: Arm, stable: Arm | None, span: Span, slow_above: timedelta | None = None
) -> Samples:
    """Blocks of metrics `errors`, `slow` (with `slow_above`) and `restarts` (where given).

    A block is one or more cells of `span.length` counted from `span.since`; it closes when the
    pods of both arms have reported. `stable` is None where none serves beside the canary. The
    slow edge is the bucket edge nearest to `slow_above` that both arms have; beside a stable the
    other common edges are the block's histogram. More than 50,000 series give no block at all.
    """
    arms = [canary] if stable is None else [canary, stable]
    if (refused := _too_many(arms, span)) is not None:
        return Samples(blocks=(), broken=(refused,), until=span.after)
    faults, common = Faults(), common_edges(arms)
    edge = nearest_edge(common, slow_above)
    others = common - {edge} if stable is not None and edge is not None else set()
    readings = [_read(arm, span, _read_edges(edge, others), faults) for arm in arms]
    for pod in sorted(set(readings[0].times) & set(readings[-1].times) if stable else ()):
        faults.everything(Broken(pod, "every series", "matched by both arms", span.until))
    if slow_above is not None and edge is None and any(arm.buckets for arm in arms):
        what = f"no bucket edge that both arms have near {slow_above.total_seconds():g} s"
        faults.named.append(Broken("", "le", what, span.until))
    blocks, until = [], span.after
    for start, end in _closed_cells(readings, span):
        until = moment(end)
        if not faults.spoil(start, end):
            blocks.append(_block(readings, (start, end), edge, sorted(others)))
    fresh = tuple(fault for fault in faults.named if fault.at > span.after)
    return Samples(blocks=tuple(blocks), broken=fresh, until=until)


def _too_many(arms: list[Arm], span: Span) -> Broken | None:
    found = sum(len(arm.buckets) + len(arm.counts) + len(arm.restarts) for arm in arms)
    if found <= SERIES_LIMIT:
        return None
    what = (
        f"{found:,} series are more than the limit of {SERIES_LIMIT:,}: drop labels or buckets"
        " where the metric is scraped"
    )
    return Broken("", "the query", what, span.until)


def common_edges(arms: Sequence[Arm]) -> set[float]:
    """The finite bucket edges (seconds) that every arm with buckets has."""
    per_arm = [{_edge(series) for series in arm.buckets} for arm in arms if arm.buckets]
    common = set.intersection(*per_arm) if per_arm else set()
    return {edge for edge in common if edge is not None and math.isfinite(edge)}


def nearest_edge(common: set[float], limit: timedelta | None) -> float | None:
    """The finite edge nearest to the limit, the lower of two equally near: it is stricter."""
    if limit is None:
        return None
    seconds = limit.total_seconds()
    return min(common, key=lambda edge: (abs(edge - seconds), edge), default=None)


def _read_edges(edge: float | None, others: set[float]) -> frozenset[float]:
    return frozenset(others if edge is None else {edge, *others})


def _edge(series: Series) -> float | None:
    return _parsed(series.labels.get("le", ""))


@lru_cache
def _parsed(edge: str) -> float | None:
    try:
        return float(edge)
    except ValueError:
        return None


def _read(arm: Arm, span: Span, edges: frozenset[float], faults: Faults) -> _ArmReading:
    reading, counted = _ArmReading(), (span.since, span.after)
    totals = arm.counts or tuple(item for item in arm.buckets if _edge(item) == math.inf)
    under = tuple(item for item in arm.buckets if _edge(item) in edges)
    for pod, members in by_pod([*totals, *under], faults):
        reading.counts_requests = True
        reading.times[pod] = times = times_of(members)
        born = _born(arm, pod, span)
        _name_doubts(arm, pod, times, span, faults)
        for item, time, grown in differences(members, times, born, counted):
            scrape = reading.scrapes.setdefault((pod, time), _Scrape())
            _tally(scrape, item, grown)
    for pod, members in by_pod(arm.restarts, faults):
        times = times_of(members)
        reading.times.setdefault(pod, times)
        restarts = differences(members, times, _born(arm, pod, span), counted)
        reading.restarts += [(time, grown) for _, time, grown in restarts]
    _refuse_impossible(reading.scrapes, faults)
    return reading


def _tally(scrape: _Scrape, series: Series, grown: float) -> None:
    if series.labels.get("http_route") in PROBE_ROUTES:
        return
    edge = _edge(series)
    if edge not in (None, math.inf):
        scrape.under[edge] = scrape.under.get(edge, 0.0) + grown
        return
    scrape.requests += grown
    scrape.bad += grown if _is_bad(series) else 0.0


def _is_bad(series: Series) -> bool:
    """5xx, or no response at all: OpenTelemetry then sets error_type and no status code."""
    status = series.labels.get("http_response_status_code", "")
    return status.startswith("5") or (not status and bool(series.labels.get("error_type")))


def _born(arm: Arm, pod: str, span: Span) -> float | None:
    """When the pod's counters were 0: its start, if no earlier scrape can have been counted."""
    started = arm.started.get(pod)
    if started is None or started < max(span.since, span.seen_from):
        return None
    return started.timestamp()


def _name_doubts(arm: Arm, pod: str, times: list[float], span: Span, faults: Faults) -> None:
    """Say what cannot be counted, or is counted by clocks that differ; no block is left out."""
    started, last = arm.started.get(pod), times[-1]
    if started is not None and started.timestamp() > times[0] + CLOCK_SLACK:
        early = started.timestamp() - times[0]
        what = f"scraped {early:.0f} s before Kubernetes created it: their clocks differ"
        faults.doubt(pod, what, last)
    if last > span.until.timestamp() + CLOCK_SLACK:
        ahead = last - span.until.timestamp()
        faults.doubt(pod, f"scraped {ahead:.0f} s from now: clocks differ", last)
    gone = span.until.timestamp() - last > SILENT_INTERVALS * span.length.total_seconds()
    if len(times) == 1 and gone and _born(arm, pod, span) is None:
        faults.doubt(pod, "seen in one scrape and gone: what it counted cannot be told", last)


def _refuse_impossible(scrapes: Mapping[tuple[str, float], _Scrape], faults: Faults) -> None:
    for (pod, time), scrape in scrapes.items():
        for edge, count in scrape.under.items():
            if count > scrape.requests + TIMING_SLACK:
                what = f"counts {count:g} requests of {scrape.requests:g} in all"
                faults.at(Series(pod, {"le": f"{edge:g}"}, ()), what, time)


def _closed_cells(readings: list[_ArmReading], span: Span) -> Iterator[tuple[float, float]]:
    """(start, end) of each block: cells, merged until the arms' pods have reported."""
    since, length = span.since.timestamp(), span.length.total_seconds()
    cell = round((span.after.timestamp() - since) / length)
    last = math.floor((span.until.timestamp() - since) / length + TIMING_SLACK)
    start = since + cell * length
    while cell < last:
        cell += 1
        end = since + cell * length
        if _reported(readings, (start, end), span):
            yield start, end
            start = end


def _reported(readings: list[_ArmReading], cell: tuple[float, float], span: Span) -> bool:
    start, end = cell
    anyone = False
    for reading in readings:
        heard = {pod for pod, times in reading.times.items() if _scraped_in(times, start, end)}
        awaited = {pod for pod, times in reading.times.items() if _awaited(times, cell, span)}
        if len(awaited - heard) > (1 - REPORTING_PART) * len(awaited):
            return False
        anyone = anyone or bool(heard)
    return anyone


def _scraped_in(times: list[float], start: float, end: float) -> bool:
    return bisect_right(times, end) > bisect_right(times, start)


def _awaited(times: list[float], cell: tuple[float, float], span: Span) -> bool:
    """Whether a pod known before the cell will still be heard, or is not yet known to be gone."""
    if times[0] > cell[0]:
        return False
    gaps = [later - earlier for earlier, later in pairwise(times)]
    interval = min(gaps, default=0.0)
    patience = SILENT_INTERVALS * max(span.length.total_seconds(), interval)
    return times[-1] > cell[1] or span.until.timestamp() - times[-1] <= patience


def _block(
    readings: list[_ArmReading], cell: tuple[float, float], edge: float | None, others: list[float]
) -> Block:
    start, end = cell
    arms = [*readings, _ArmReading()][:2]
    by_arm = [arm.inside(start, end) for arm in arms]
    canary, stable = (_summed(pods.values()) for pods in by_arm)
    counts: dict[str, Counts] = {}
    if any(arm.counts_requests for arm in arms):
        counts[ERRORS] = _counts((canary.requests, stable.requests), (canary.bad, stable.bad))
    if edge is not None:
        above = (canary.above(edge), stable.above(edge))
        counts[SLOW] = _counts((canary.requests, stable.requests), above)
    restarts = [[grown for time, grown in arm.restarts if start < time <= end] for arm in arms]
    if any(restarts):
        exposure = (float(len(restarts[0])), float(len(restarts[1])))
        counts[RESTARTS] = _counts(exposure, (sum(restarts[0]), sum(restarts[1])))
    return Block(
        start=moment(start),
        end=moment(end),
        counts=counts,
        histograms={SLOW: _histogram(canary, stable, others)} if others else {},
        pods=_pods(by_arm[0], by_arm[1], edge) if ERRORS in counts else None,
    )


def _summed(scrapes: Iterable[_Scrape]) -> _Scrape:
    total = _Scrape()
    for scrape in scrapes:
        total.add(scrape)
    return total


def _histogram(canary: _Scrape, stable: _Scrape, edges: list[float]) -> Histogram:
    return Histogram(
        edges=tuple(edges),
        canary_above=tuple(round(canary.above(edge)) for edge in edges),
        stable_above=tuple(round(stable.above(edge)) for edge in edges),
    )


def _pods(
    canary: dict[str, _Scrape], stable: dict[str, _Scrape], edge: float | None
) -> Pods | None:
    """Pods one by one, where there are several beside a stable's."""
    if len(canary) < LEAST_CANARY_PODS or not stable:
        return None
    own = list(canary.values())
    bad = {ERRORS: tuple(round(pod.bad) for pod in own)}
    if edge is not None:
        bad[SLOW] = tuple(round(pod.above(edge)) for pod in own)
    others = [round(pod.requests) for pod in stable.values()]
    return Pods(
        canary_requests=tuple(round(pod.requests) for pod in own),
        canary_bad=bad,
        stable_pods=len(others),
        stable_least=min(others),
        stable_most=max(others),
    )


def _counts(requests: tuple[float, float], bad: tuple[float, float]) -> Counts:
    return Counts(
        canary_requests=round(requests[0]),
        canary_bad=round(bad[0]),
        stable_requests=round(requests[1]),
        stable_bad=round(bad[1]),
    )
