"""What no valid rule can beat: lower bounds of the mean delay, in seconds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from statistics import NormalDist

from benchmarks.judge.streams import BLOCK, WEIGHT, Service

NEGLIGIBLE = 1e-8
ALPHA = 0.01


def kl_bound(service: Service, weight: float = WEIGHT, alpha: float = ALPHA) -> float:
    """log(1 / alpha) / KL per second, the pooled rate profiled out; for independent requests.

    KL = rate (w kl(p_c | p) + (1 - w) kl(p_s | p)), p the pooled bad rate (Wald).
    """
    stable = service.bad_rate
    canary = min(stable * service.ratio, 1.0)
    pooled = weight * canary + (1 - weight) * stable
    information = weight * _kl(canary, pooled) + (1 - weight) * _kl(stable, pooled)
    return math.log(1 / alpha) / (service.rate * information)


@cache
def robust_bound(service: Service, block: float = BLOCK, alpha: float = ALPHA) -> float:
    """log(1 / alpha) / max over l of E log(1 + l (S / w - 1)) per block, in seconds.

    Linear bets are all admissible ones when errors may cluster arbitrarily inside a block
    (Clerico 2412.02640). The expectation is a sum over counts, those of large means at quantiles.
    """
    growth = _best_growth(list(_gains(service, block)))
    return block * math.log(1 / alpha) / growth if growth > 0 else math.inf


def _gains(service: Service, block: float) -> Iterator[tuple[float, float]]:
    """(probability, S / w - 1) of blocks that tell something; w: share of requests."""
    canary, stable = service.rate * block * WEIGHT, service.rate * block * (1 - WEIGHT)
    canary_rate = min(service.bad_rate * service.ratio, 1.0)
    # With many requests their share hardly moves: few points of it are enough.
    parts = 15 if canary < 20 else 3
    good = [
        (good_canary, good_stable, one * other)
        for good_canary, one in _likely(canary * (1 - canary_rate), 30.0, parts)
        for good_stable, other in _likely(stable * (1 - service.bad_rate), 30.0, parts)
    ]
    for canary_bad, one in _likely(canary * canary_rate, 30.0, 61):
        for stable_bad, other in _likely(stable * service.bad_rate, 30.0, 61):
            bad, part = canary_bad + stable_bad, one * other
            if bad == 0 or part < NEGLIGIBLE:
                continue
            for good_canary, good_stable, chance in good:
                n1, n0 = canary_bad + good_canary, stable_bad + good_stable
                if n1 and n0 and part * chance > NEGLIGIBLE:
                    yield part * chance, canary_bad / bad * (n1 + n0) / n1 - 1


def _likely(mean: float, enumerated: float, parts: int) -> list[tuple[int, float]]:
    """Poisson counts with their probabilities; above `enumerated` equally likely quantiles."""
    if mean > enumerated:
        root = math.sqrt(mean)
        points = (NormalDist().inv_cdf((index + 0.5) / parts) for index in range(parts))
        return [(max(round(mean + root * z + (z * z - 1) / 6), 0), 1 / parts) for z in points]
    counts, probability = [], math.exp(-mean)
    for count in range(int(mean + 8 * math.sqrt(mean) + 8)):
        if probability > NEGLIGIBLE:
            counts.append((count, probability))
        probability *= mean / (count + 1)
    return counts


def _best_growth(gains: list[tuple[float, float]]) -> float:
    """Max over l in [0, 1) of E log(1 + l gain), concave in l: ternary search."""
    low, high = 0.0, 1 - 1e-9
    while high - low > 5e-3:
        left, right = low + (high - low) / 3, high - (high - low) / 3
        if _growth(gains, left) < _growth(gains, right):
            low = left
        else:
            high = right
    return _growth(gains, (low + high) / 2)


def _growth(gains: list[tuple[float, float]], stake: float) -> float:
    return sum(part * math.log1p(stake * gain) for part, gain in gains)


def _kl(rate: float, other: float) -> float:
    total = 0.0
    if rate > 0:
        total += rate * math.log(rate / other)
    if rate < 1:
        total += (1 - rate) * math.log((1 - rate) / (1 - other))
    return total
