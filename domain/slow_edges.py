"""Stored blocks read at another latency limit, as far as their histograms say."""

from __future__ import annotations

from datetime import timedelta

from domain.canary import SLOW
from domain.judge.counts import Block, Counts, Histogram, Pods


def tells_other_edges(block: Block) -> bool:
    """Whether the block says how many requests were slower than other edges than its limit's."""
    return SLOW in block.histograms or SLOW not in block.counts


def at_limit(blocks: tuple[Block, ...], then: timedelta, now: timedelta) -> tuple[Block, ...]:
    """The blocks, counted at `then`, with what was slower than the stored edge nearest to `now`.

    A block without a histogram, or whose own edge is the nearest, stays as it is. Of single pods
    only the old edge is known, so that this metric is then compared by arms.
    """
    if then == now:
        return blocks
    return tuple(_at(block, then.total_seconds(), now.total_seconds()) for block in blocks)


def _at(block: Block, then: float, now: float) -> Block:
    histogram, counts = block.histograms.get(SLOW), block.counts.get(SLOW)
    if histogram is None or counts is None or not histogram.edges:
        return block
    nearest = min(histogram.edges, key=lambda edge: (abs(edge - now), edge))
    # The old edge itself is not stored; it was the nearest to the old limit.
    if abs(then - now) <= abs(nearest - now):
        return block
    place = histogram.edges.index(nearest)
    update = {
        "counts": block.counts | {SLOW: _slower(counts, histogram, place)},
        "histograms": block.histograms | {SLOW: _without(histogram, place)},
        "pods": _without_slow(block.pods),
    }
    return block.model_copy(update=update)


def _slower(counts: Counts, histogram: Histogram, place: int) -> Counts:
    return counts.model_copy(
        update={
            "canary_bad": histogram.canary_above[place],
            "stable_bad": histogram.stable_above[place],
        }
    )


def _without(histogram: Histogram, place: int) -> Histogram:
    rest = [at for at in range(len(histogram.edges)) if at != place]
    return Histogram(
        edges=tuple(histogram.edges[at] for at in rest),
        canary_above=tuple(histogram.canary_above[at] for at in rest),
        stable_above=tuple(histogram.stable_above[at] for at in rest),
    )


def _without_slow(pods: Pods | None) -> Pods | None:
    if pods is None:
        return None
    bad = {name: counts for name, counts in pods.canary_bad.items() if name != SLOW}
    return pods.model_copy(update={"canary_bad": bad})
