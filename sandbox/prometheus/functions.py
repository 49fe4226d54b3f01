"""The functions of PromQL the sandbox has, by Prometheus' own formulas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from sandbox.metrics import Sample

# promql/functions.go, extrapolatedRate: farther than 1.1 average gaps from the window's edge,
# a series is taken to begin (or end) half a gap outside its samples.
EDGE_FACTOR = 1.1


def increase(samples: Sequence[Sample], start_ms: int, end_ms: int) -> float | None:
    """Counter growth over (start, end], extrapolated to its edges; None under two samples."""
    if len(samples) < 2:
        return None
    (first_time, first), (last_time, last) = samples[0], samples[-1]
    growth = last - first
    for (_, before), (_, after) in pairwise(samples):
        growth += before if after < before else 0.0
    sampled = last_time - first_time
    gap = sampled / (len(samples) - 1)
    to_start: float = first_time - start_ms
    to_end: float = end_ms - last_time
    if to_start >= gap * EDGE_FACTOR:
        to_start = gap / 2
    if growth > 0 and first >= 0:
        to_start = min(to_start, sampled * first / growth)
    if to_end >= gap * EDGE_FACTOR:
        to_end = gap / 2
    return growth * (sampled + to_start + to_end) / sampled


def histogram_quantile(quantile: float, buckets: dict[float, float]) -> float:
    """The quantile of cumulative counts by upper bound, linear within a bucket (quantile.go)."""
    if math.isnan(quantile):
        return math.nan
    if quantile < 0 or quantile > 1:
        return math.copysign(math.inf, quantile - 0.5)
    bounds = sorted(buckets)
    if len(bounds) < 2 or not math.isinf(bounds[-1]):
        return math.nan
    counts = _monotonic([buckets[bound] for bound in bounds])
    return _interpolated(quantile * counts[-1], bounds, counts) if counts[-1] else math.nan


def _interpolated(rank: float, bounds: list[float], counts: list[float]) -> float:
    index = next((at for at, count in enumerate(counts[:-1]) if count >= rank), len(bounds) - 1)
    if index == len(bounds) - 1:
        return bounds[-2]
    if index == 0 and bounds[0] <= 0:
        return bounds[0]
    lower, below = (bounds[index - 1], counts[index - 1]) if index else (0.0, 0.0)
    inside = counts[index] - below
    share = (rank - below) / inside if inside else 0.0
    return lower + (bounds[index] - lower) * share


def _monotonic(counts: list[float]) -> list[float]:
    highest, result = 0.0, []
    for count in counts:
        highest = max(highest, count)
        result.append(highest)
    return result
