"""Raw counter samples -> blocks for the judge; the observing activities call `sample`.

Counters are differenced per pod, series and scrape, never by rate() or increase(): those
extrapolate, and they lose the first value of a new series (a new pod, a new error code).
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise

from domain.judge.counts import Block, Counts

ERRORS = "errors"
SLOW = "slow"
RESTARTS = "restarts"
# Probes and scrapes follow the number of pods, not the weight: they would bias the share.
PROBE_ROUTES = frozenset({"/health", "/healthz", "/ready", "/readyz", "/livez", "/metrics"})
# Labels that tell who scraped, not what was counted: equal but for these is counted twice.
SCRAPER_LABELS = frozenset(
    {"__name__", "job", "endpoint", "service", "prometheus", "prometheus_replica"}
)
# A block waits for this part of an arm's pods: one silent pod of many must not hold it.
REPORTING_PART = 0.9
LOOKBACK_BLOCKS = 6
# A pod that missed as many scrapes is taken to be gone; until then its block waits for it.
SILENT_INTERVALS = 3
TIMING_SLACK = 1e-6


@dataclass(frozen=True, slots=True)
class Series:
    """One counter of one pod: labels and (unix seconds, value) per scrape, oldest first."""

    pod: str
    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


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
class Broken:
    """Data that cannot be used: the block it belongs to is left out, in both arms."""

    pod: str
    series: str
    what: str
    at: datetime

    def __str__(self) -> str:
        return f"{self.series} of pod {self.pod or '?'} at {self.at.isoformat()}: {self.what}"


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
    fast: float = 0.0


@dataclass(slots=True)
class _ArmReading:
    """An arm's differences: per (pod, scrape) requests, per scrape restarts, per pod times."""

    scrapes: dict[tuple[str, float], _Scrape] = field(default_factory=dict)
    restarts: list[tuple[float, float]] = field(default_factory=list)
    times: dict[str, list[float]] = field(default_factory=dict)
    counts_requests: bool = False


class _Faults:
    """What was broken, and the stretches of time whose blocks are therefore left out."""

    def __init__(self) -> None:
        self.named: list[Broken] = []
        self.stretches: list[tuple[float, float]] = []

    def at(self, series: Series, what: str, time: float) -> None:
        """One scrape is broken."""
        self.named.append(_broken(series, what, time))
        self.stretches.append((time, time))

    def throughout(self, series: Series, what: str) -> None:
        """The whole series is broken."""
        self.everything(_broken(series, what, series.points[-1][0]))

    def everything(self, fault: Broken) -> None:
        """No block of this window can be trusted."""
        self.named.append(fault)
        self.stretches.append((-math.inf, math.inf))

    def spoil(self, start: float, end: float) -> bool:
        """Whether a block over `(start, end]` must be left out."""
        return any(first <= end and last > start for first, last in self.stretches)


def sample(
    canary: Arm, stable: Arm | None, span: Span, slow_above: timedelta | None = None
) -> Samples:
    """Blocks of metrics `errors`, `slow` (with `slow_above`) and `restarts` (where given).

    A block is one or more cells of `span.length` counted from `span.since`; it closes when the
    pods of both arms have reported. `stable` is None where none serves beside the canary. The
    slow edge is the bucket edge nearest to `slow_above` that both arms have.
    """
    arms = [canary] if stable is None else [canary, stable]
    faults, edge = _Faults(), _nearest_edge(arms, slow_above)
    readings = [_read(arm, span, edge, faults) for arm in arms]
    for pod in sorted(set(readings[0].times) & set(readings[-1].times) if stable else ()):
        faults.everything(Broken(pod, "every series", "matched by both arms", span.until))
    if slow_above is not None and edge is None and any(arm.buckets for arm in arms):
        what = f"no bucket edge that both arms have near {slow_above.total_seconds():g} s"
        faults.named.append(Broken("", "le", what, span.until))
    blocks, until = [], span.after
    for start, end in _closed_cells(readings, span):
        until = _moment(end)
        if not faults.spoil(start, end):
            counts = _block_counts(readings, (start, end), edge)
            blocks.append(Block(start=_moment(start), end=until, counts=counts))
    fresh = tuple(fault for fault in faults.named if fault.at > span.after)
    return Samples(blocks=tuple(blocks), broken=fresh, until=until)


def _nearest_edge(arms: list[Arm], limit: timedelta | None) -> float | None:
    """The finite edge nearest to the limit, the lower of two equally near: it is stricter."""
    if limit is None:
        return None
    per_arm = [{_edge(series) for series in arm.buckets} for arm in arms if arm.buckets]
    common = set.intersection(*per_arm) if per_arm else set()
    finite = [edge for edge in common if edge is not None and math.isfinite(edge)]
    seconds = limit.total_seconds()
    return min(finite, key=lambda edge: (abs(edge - seconds), edge), default=None)


def _edge(series: Series) -> float | None:
    return _parsed(series.labels.get("le", ""))


@lru_cache
def _parsed(edge: str) -> float | None:
    try:
        return float(edge)
    except ValueError:
        return None


def _read(arm: Arm, span: Span, edge: float | None, faults: _Faults) -> _ArmReading:
    reading = _ArmReading()
    totals = arm.counts or tuple(item for item in arm.buckets if _edge(item) == math.inf)
    fast = tuple(item for item in arm.buckets if edge is not None and _edge(item) == edge)
    for pod, members in _by_pod([*totals, *fast], faults):
        reading.counts_requests = True
        reading.times[pod] = _times(members)
        differences = _differences(members, reading.times[pod], _born(arm, pod, span), span.since)
        for item, time, grown in differences:
            scrape = reading.scrapes.setdefault((pod, time), _Scrape())
            _tally(scrape, item, grown)
    for pod, members in _by_pod(arm.restarts, faults):
        times = _times(members)
        reading.times.setdefault(pod, times)
        differences = _differences(members, times, _born(arm, pod, span), span.since)
        reading.restarts += [(time, grown) for _, time, grown in differences]
    if edge is not None:
        _refuse_impossible(reading.scrapes, edge, faults)
    return reading


def _tally(scrape: _Scrape, series: Series, grown: float) -> None:
    if series.labels.get("http_route") in PROBE_ROUTES:
        return
    if _edge(series) not in (None, math.inf):
        scrape.fast += grown
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


def _by_pod(series: Iterable[Series], faults: _Faults) -> Iterator[tuple[str, list[Series]]]:
    pods: dict[str, list[Series]] = {}
    identities: set[tuple[str, frozenset[tuple[str, str]]]] = set()
    for item in series:
        if not item.points:
            continue
        labels = frozenset(pair for pair in item.labels.items() if pair[0] not in SCRAPER_LABELS)
        if (item.pod, labels) in identities:
            faults.throughout(item, "the same series twice: it is scraped by two jobs")
            continue
        identities.add((item.pod, labels))
        if any(later[0] <= earlier[0] for earlier, later in pairwise(item.points)):
            faults.throughout(item, "scrapes are repeated or out of order")
            continue
        for time, value in item.points:
            if not _is_count(value):
                faults.at(item, f"value {value:g} is not a count", time)
        pods.setdefault(item.pod, []).append(item)
    yield from pods.items()


def _is_count(value: float) -> bool:
    return math.isfinite(value) and value >= 0


def _broken(series: Series, what: str, time: float) -> Broken:
    labels = ", ".join(f'{name}="{value}"' for name, value in sorted(series.labels.items()))
    return Broken(series.pod, "{" + labels + "}", what, _moment(time))


def _refuse_impossible(
    scrapes: Mapping[tuple[str, float], _Scrape], edge: float, faults: _Faults
) -> None:
    for (pod, time), scrape in scrapes.items():
        if scrape.fast > scrape.requests + TIMING_SLACK:
            what = f"counts {scrape.fast:g} requests of {scrape.requests:g} in all"
            faults.at(Series(pod, {"le": f"{edge:g}"}, ()), what, time)


def _times(members: list[Series]) -> list[float]:
    return sorted({time for item in members for time, _ in item.points})


def _differences(
    members: list[Series], times: list[float], born: float | None, since: datetime
) -> Iterator[tuple[Series, float, float]]:
    """(series, scrape time, growth) per scrape of one pod, from the weight change on."""
    resets = sorted(_resets(members))
    change = since.timestamp() - TIMING_SLACK
    for item in members:
        previous = _base(times, item.points[0][0], born)
        for time, value in item.points:
            if not _is_count(value):
                previous = None
                continue
            if previous is not None and previous[0] >= change:
                # One counter that went down means the process began anew: all began at 0.
                anew = any(previous[0] < reset <= time for reset in resets)
                yield item, time, value if anew else value - previous[1]
            previous = (time, value)


def _resets(members: list[Series]) -> set[float]:
    return {
        later[0]
        for item in members
        for earlier, later in pairwise(item.points)
        if 0 <= later[1] < earlier[1]
    }


def _base(times: list[float], first: float, born: float | None) -> tuple[float, float] | None:
    """Where a series was 0: at the pod's scrape before its first, or when the pod was born."""
    index = bisect_left(times, first)
    if index > 0:
        return times[index - 1], 0.0
    return (born, 0.0) if born is not None else None


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


def _block_counts(
    readings: list[_ArmReading], cell: tuple[float, float], edge: float | None
) -> dict[str, Counts]:
    start, end = cell
    arms = [*readings, _ArmReading()][:2]
    inside = [
        [scrape for (_, time), scrape in arm.scrapes.items() if start < time <= end] for arm in arms
    ]
    requests = [sum(scrape.requests for scrape in scrapes) for scrapes in inside]
    counts: dict[str, Counts] = {}
    if any(arm.counts_requests for arm in arms):
        bad = [sum(scrape.bad for scrape in scrapes) for scrapes in inside]
        counts[ERRORS] = _counts(requests, bad)
    if edge is not None:
        fast = [sum(scrape.fast for scrape in scrapes) for scrapes in inside]
        counts[SLOW] = _counts(requests, [requests[0] - fast[0], requests[1] - fast[1]])
    restarts = [[grown for time, grown in arm.restarts if start < time <= end] for arm in arms]
    if any(restarts):
        exposure = [float(len(grown)) for grown in restarts]
        counts[RESTARTS] = _counts(exposure, [sum(grown) for grown in restarts])
    return counts


def _counts(requests: list[float], bad: list[float]) -> Counts:
    return Counts(
        canary_requests=round(requests[0]),
        canary_bad=round(bad[0]),
        stable_requests=round(requests[1]),
        stable_bad=round(bad[1]),
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
