"""How long simulated requests take: lognormal, as counts per bucket of the histogram."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from statistics import NormalDist

# The OpenTelemetry advice for http.server.request.duration, in seconds; above is +Inf.
EDGES = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
# Prometheus 3 stores every edge as a float, `1` as `1.0`.
EDGE_LABELS = (*(str(edge) for edge in EDGES), "+Inf")
MEDIAN_SECONDS = 0.060
SIGMA = 0.5
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Latency:
    """Per bucket: the share of requests that fall into it, and their mean duration in seconds."""

    shares: tuple[float, ...]
    means: tuple[float, ...]


@lru_cache(maxsize=256)
def latency(factor: float) -> Latency:
    """A lognormal with median 60 ms x `factor` and sigma 0.5 (P95 137 ms x `factor`) in buckets.

    The mean inside (a, b] is exp(mu + s^2/2) * (F(zb - s) - F(za - s)) / (F(zb) - F(za)).
    """
    mu = math.log(MEDIAN_SECONDS * factor)
    scores = [-math.inf, *((math.log(edge) - mu) / SIGMA for edge in EDGES), math.inf]
    whole_mean = math.exp(mu + SIGMA**2 / 2)
    shares, means = [], []
    for low, high in pairwise(scores):
        share = _NORMAL.cdf(high) - _NORMAL.cdf(low)
        partial = _NORMAL.cdf(high - SIGMA) - _NORMAL.cdf(low - SIGMA)
        shares.append(share)
        means.append(whole_mean * partial / share if share > 0 else 0.0)
    return Latency(tuple(shares), tuple(means))
