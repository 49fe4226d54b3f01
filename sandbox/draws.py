"""Random counts: exact where they are small, by the normal approximation where they are large."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

# Above this mean (and its mirror) the normal approximation's error is far below the noise itself.
EXACT_BELOW = 30.0


def poisson(chance: Random, mean: float) -> int:
    """How many events of a Poisson process with this mean count."""
    if mean >= EXACT_BELOW:
        return max(0, round(chance.gauss(mean, math.sqrt(mean))))
    count, elapsed = 0, chance.expovariate(1.0)
    while elapsed < mean:
        count += 1
        elapsed += chance.expovariate(1.0)
    return count


def binomial(chance: Random, trials: int, probability: float) -> int:
    """How many of `trials` succeed, each with `probability`."""
    if trials <= 0 or probability <= 0:
        return 0
    if probability >= 1:
        return trials
    if probability > 0.5:
        return trials - binomial(chance, trials, 1 - probability)
    mean = trials * probability
    if mean >= EXACT_BELOW:
        drawn = round(chance.gauss(mean, math.sqrt(mean * (1 - probability))))
        return min(trials, max(0, drawn))
    return _by_gaps(chance, trials, probability)


def multinomial(chance: Random, trials: int, weights: Sequence[float]) -> list[int]:
    """`trials` dealt out over `weights` (any positive scale); all zero when no weight is."""
    counts, left = [], math.fsum(weights)
    remaining = trials if left > 0 else 0
    for weight in weights:
        drawn = binomial(chance, remaining, weight / left) if left > 0 else 0
        counts.append(drawn)
        remaining -= drawn
        left -= weight
    if remaining:
        # Rounding can leave a crumb of weight behind the last positive one.
        counts[max(i for i, weight in enumerate(weights) if weight > 0)] += remaining
    return counts


def _by_gaps(chance: Random, trials: int, probability: float) -> int:
    """Successes counted by the geometric gaps between them: exact, in time of the mean."""
    log_failure = math.log1p(-probability)
    count, position = 0, 0
    while True:
        gap = math.log(1.0 - chance.random()) / log_failure
        if gap >= trials - position:
            return count
        position += int(gap) + 1
        count += 1
