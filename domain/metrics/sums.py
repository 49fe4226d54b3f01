"""Counts per interval as the counter that would have shown them: there is one way to judge.

A source that tells how many came in each interval, not a counter's value, is read so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from domain.scrapes import LARGEST_COUNT


def running_sum(
    counts: Mapping[float, float], start: float, ends: Sequence[float]
) -> tuple[tuple[float, float], ...]:
    """(time, sum since `start`) at `start` and at each of `ends` (unix seconds, rising).

    `counts` are per interval, by its end; an end that is not in it counted nothing. What is no
    count stays as NaN at its end, for the reader to name, and adds nothing to what follows.
    """
    total, points = 0.0, [(start, 0.0)]
    for end in ends:
        count = counts.get(end, 0.0)
        if not 0 <= count <= LARGEST_COUNT:
            points.append((end, math.nan))
            continue
        total += count
        points.append((end, total))
    return tuple(points)
