"""How Kayenta decides one critical metric: Mann-Whitney on per-minute values, again and again.

Read in spinnaker/kayenta `MannWhitney.scala`, `MannWhitneyClassifier.scala` and
`NetflixACAJudge.scala`; written anew from the formulas (Hollander and Wolfe, chapter 4).
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from statistics import NormalDist, fmean, median

CONFIDENCE = 0.98
EFFECT = 0.25
POINTS_PER_LOOK = 5
QUANTILE = -NormalDist().inv_cdf((1 - CONFIDENCE) / 2)


def is_high(canary: list[float], stable: list[float]) -> bool:
    """Whether the canary is classified High: its shift exceeds a quarter of its own estimate.

    High iff the lower end of the 98 % interval of the Hodges-Lehmann shift lies above 0.25 times
    its size and the canary's mean is not below stable's.
    """
    if canary == stable or fmean(canary) < fmean(stable):
        return False
    ordered = sorted(stable)
    if standing(canary, ordered, 0.0) <= QUANTILE:
        return False
    shift = median(one - other for one in canary for other in stable)
    return standing(canary, ordered, EFFECT * abs(shift)) > QUANTILE


def standing(canary: list[float], ordered: list[float], shift: float) -> float:
    """z of the rank sum of `canary - shift` against the sorted stable values.

    Corrected for continuity and ties. It falls with `shift`, so "the interval's lower end lies
    above c" is the same as "z at c exceeds the quantile".
    """
    m, n = len(canary), len(ordered)
    moved = sorted(value - shift for value in canary)
    above = sum((bisect_left(ordered, value) + bisect_right(ordered, value)) / 2 for value in moved)
    excess = above - m * n / 2
    both = sorted(moved + ordered)
    total = m + n
    variance = m * n / 12 * (total + 1 - _ties(both) / (total * (total - 1)))
    if variance <= 0:
        return 0.0
    return (excess - math.copysign(0.5, excess) * (excess != 0)) / math.sqrt(variance)


def _ties(ordered: list[float]) -> float:
    total, position = 0.0, 0
    while position < len(ordered):
        end = bisect_right(ordered, ordered[position], position)
        size = end - position
        total += size**3 - size
        position = end
    return total


class Kayenta:
    """A judgement every five one-minute points over all points so far.

    The metric is critical: one High fails the canary at once. A minute without requests has no
    value (NaN is removed), the other arm's stays.
    """

    def __init__(self, first_look: int = 10) -> None:
        self.first_look = first_look
        self.points = 0
        self.canary: list[float] = []
        self.stable: list[float] = []

    def add(self, canary_rate: float | None, stable_rate: float | None) -> bool:
        """One more minute; true when a judgement now finds the canary High."""
        self.points += 1
        if canary_rate is not None:
            self.canary.append(canary_rate)
        if stable_rate is not None:
            self.stable.append(stable_rate)
        if self.points < self.first_look or self.points % POINTS_PER_LOOK:
            return False
        return bool(self.canary and self.stable) and is_high(self.canary, self.stable)
