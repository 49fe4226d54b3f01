"""Raw counter samples -> blocks for the judge; the observing activities call `sample`.

Counters are differenced per pod, series and scrape, never by rate() or increase(): those
extrapolate, and they lose the first value of a new series (a new pod, a new error code).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from domain.arm_readings import Arm, ArmReading, Window, read, scraped_in, seen_pods
from domain.blocks import ERRORS, RESTARTS, SLOW, block_of
from domain.judge.counts import Block
from domain.scrapes import (
    TIMING_SLACK,
    Broken,
    Faults,
    Series,
    moment,
)
from domain.silence import silences

__all__ = ["ERRORS", "RESTARTS", "SLOW", "Arm", "Broken", "Samples", "Series", "Span", "sample"]

# A block waits for this part of an arm's pods: one silent pod of many must not hold it.
REPORTING_PART = 0.9
LOOKBACK_BLOCKS = 6
# A pod that missed as many scrapes is taken to be gone; until then its block waits for it.
SILENT_INTERVALS = 3
# Room for 1,000 pods with 12 buckets and 4 combinations of other labels.
SERIES_LIMIT = 50_000


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

    @property
    def patience(self) -> timedelta:
        """How long nothing may be heard before it is taken for gone, or for stale."""
        return SILENT_INTERVALS * self.length


@dataclass(frozen=True, slots=True)
class Samples:
    """The blocks, what was broken, and where the last block ended (`after` of the next span).

    `spoiled` are blocks of which nothing can be used; they say why. `quiet` are pods that are
    scraped and have no series of requests: they count 0 requests.
    """

    blocks: tuple[Block, ...]
    broken: tuple[Broken, ...]
    until: datetime
    quiet: tuple[str, ...] = ()
    spoiled: tuple[Block, ...] = ()

    @property
    def every(self) -> tuple[Block, ...]:
        """All blocks in their order, also those of which nothing can be used."""
        return tuple(sorted((*self.blocks, *self.spoiled), key=lambda block: block.end))


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
    readings = _readings(arms, span, _read_edges(edge, others), faults)
    if slow_above is not None and edge is None and any(arm.buckets for arm in arms):
        what = f"no bucket edge that both arms have near {slow_above.total_seconds():g} s"
        faults.named.append(Broken("", "le", what, span.until))
    blocks, spoiled, until = [], [], span.after
    for start, end in _closed_cells(readings, span):
        until = moment(end)
        if (fault := faults.spoiling(start, end)) is not None:
            spoiled.append(Block(start=moment(start), end=until, spoiled=brief(fault)))
        else:
            cell, slow = (start, end), slow_above is not None
            blocks.append(block_of(readings, cell, edge, sorted(others), slow=slow))
    fresh = [fault for fault in faults.named if fault.at > span.after]
    fresh += silences(arms, readings, span.until, span.patience)
    return Samples(
        blocks=tuple(blocks),
        broken=tuple(fresh),
        until=until,
        quiet=tuple(pod for reading in readings for pod in reading.quiet),
        spoiled=tuple(spoiled),
    )


def brief(fault: Broken) -> str:
    """What is broken and in which pod, for a sentence; the block's time is known."""
    return f"{fault.what} (pod {fault.pod})" if fault.pod else fault.what


def _too_many(arms: list[Arm], span: Span) -> Broken | None:
    found = sum(len(arm.requests) + len(arm.restarts) + len(arm.up) for arm in arms)
    if found <= SERIES_LIMIT:
        return None
    what = (
        f"{found:,} series are more than the limit of {SERIES_LIMIT:,}: drop labels or buckets"
        " where the metric is scraped"
    )
    return Broken("", "the query", what, span.until)


def common_edges(arms: Sequence[Arm]) -> set[float]:
    """The finite bucket edges (seconds) that every arm with buckets has."""
    per_arm = [
        {arm.measure.edge(series.labels) for series in arm.buckets} for arm in arms if arm.buckets
    ]
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


def _readings(
    arms: list[Arm], span: Span, edges: frozenset[float], faults: Faults
) -> list[ArmReading]:
    silence = span.patience.total_seconds()
    window = Window(span.since, span.after, span.until, span.seen_from, silence)
    seen = seen_pods(arms)
    readings = [
        read(arm, window, edges, times, faults) for arm, times in zip(arms, seen, strict=True)
    ]
    if len(arms) > 1:
        _refuse_overlap(arms, readings, span, faults)
    return readings


def _refuse_overlap(
    arms: list[Arm], readings: list[ArmReading], span: Span, faults: Faults
) -> None:
    """What counts for both arms proves nothing: pods, and where proxies count, their series."""
    if readings[0].is_of_proxies:
        own = [{_identity(one) for one in arm.requests} for arm in arms]
        both = {pod for pod, _ in own[0] & own[1]}
    else:
        both = set(readings[0].times) & set(readings[1].times)
    for pod in sorted(both):
        faults.everything(Broken(pod, "every series", "matched by both arms", span.until))


def _identity(series: Series) -> tuple[str, frozenset[tuple[str, str]]]:
    return series.pod, frozenset(series.labels.items())


def _closed_cells(readings: list[ArmReading], span: Span) -> Iterator[tuple[float, float]]:
    """(start, end) of each block: cells, merged until the arms' pods have reported."""
    since, length = span.since.timestamp(), span.length.total_seconds()
    # What ended on another grid (another scrape interval, before a restart) is not counted twice.
    cell = math.ceil((span.after - span.since) / span.length)
    last = math.floor((span.until.timestamp() - since) / length + TIMING_SLACK)
    start = since + cell * length
    while cell < last:
        cell += 1
        end = since + cell * length
        if _reported(readings, (start, end), span):
            yield start, end
            start = end


def _reported(readings: list[ArmReading], cell: tuple[float, float], span: Span) -> bool:
    start, end = cell
    anyone = False
    for reading in readings:
        heard = {pod for pod, times in reading.times.items() if scraped_in(times, start, end)}
        awaited = {pod for pod, times in reading.times.items() if _awaited(times, cell, span)}
        if len(awaited - heard) > (1 - REPORTING_PART) * len(awaited):
            return False
        anyone = anyone or bool(heard)
    return anyone


def _awaited(times: list[float], cell: tuple[float, float], span: Span) -> bool:
    """Whether a pod known before the cell will still be heard, or is not yet known to be gone."""
    if times[0] > cell[0]:
        return False
    gaps = [later - earlier for earlier, later in pairwise(times)]
    interval = min(gaps, default=0.0)
    patience = SILENT_INTERVALS * max(span.length.total_seconds(), interval)
    return times[-1] > cell[1] or span.until.timestamp() - times[-1] <= patience
