"""Blocks for the judge: fixed ones, and simulated canaries with a fixed seed."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from domain.judge import (
    Block,
    Counts,
    Judgement,
    JudgeRules,
    JudgeState,
    Verdict,
    judge,
    observe,
    start,
)

SINCE = datetime(2026, 3, 1, 12, tzinfo=UTC)
LENGTH = timedelta(seconds=10)
Draw = Callable[[random.Random, int], Counts]


def counts(canary_requests: int, canary_bad: int, stable_requests: int, stable_bad: int) -> Counts:
    """n1, x1, n0, x0 in the order of the formulas."""
    return Counts(
        canary_requests=canary_requests,
        canary_bad=canary_bad,
        stable_requests=stable_requests,
        stable_bad=stable_bad,
    )


def block(
    index: int, by_metric: Mapping[str, Counts], since: datetime = SINCE, length: timedelta = LENGTH
) -> Block:
    """The block number `index` (from 0) after `since`."""
    begins = since + index * length
    return Block(start=begins, end=begins + length, counts=dict(by_metric))


def after(
    rules: JudgeRules,
    blocks: Iterable[Counts | Mapping[str, Counts]],
    metrics: tuple[str, ...] = ("errors",),
    length: timedelta = LENGTH,
) -> JudgeState:
    """The state after the blocks; bare counts are those of `errors`."""
    state = start(rules, metrics, SINCE)
    for index, given in enumerate(blocks):
        by_metric = {"errors": given} if isinstance(given, Counts) else given
        state = observe(state, rules, block(index, by_metric, length=length))
    return state


def elapsed_of(state: JudgeState) -> timedelta:
    """The time of the step's last block."""
    return (state.until or state.since) - state.since


def run(rules: JudgeRules, draw: Draw, seed: int, blocks: int = 360) -> Judgement:
    """Watch a simulated canary at every block until a verdict, or until the blocks are over."""
    source = random.Random(seed)  # noqa: S311 - simulated traffic
    state = start(rules, ("errors",), SINCE)
    judgement = judge(state, rules, timedelta(0))
    for index in range(blocks):
        state = observe(state, rules, block(index, {"errors": draw(source, index)}))
        judgement = judge(state, rules, elapsed_of(state))
        if judgement.verdict is not Verdict.HOLD:
            break
    return judgement


@dataclass(frozen=True)
class Traffic:
    """Requests per second over both arms, the canary's part of it, and bad rates per arm."""

    rate: float
    stable_bad: float
    canary_bad: float
    part: float = 0.1

    def __call__(self, source: random.Random, index: int) -> Counts:
        """Independent requests: Poisson traffic, binomial failures."""
        return self.drawn(source, 1.0)

    def drawn(self, source: random.Random, factor: float) -> Counts:
        """One block whose bad rates are both multiplied by `factor`."""
        seconds = LENGTH.total_seconds()
        canary = poisson(source, self.rate * self.part * seconds)
        stable = poisson(source, self.rate * (1 - self.part) * seconds)
        canary_bad = min(canary, poisson(source, canary * self.canary_bad * factor))
        stable_bad = min(stable, poisson(source, stable * self.stable_bad * factor))
        return counts(canary, canary_bad, stable, stable_bad)


@dataclass(frozen=True)
class Drifting(Traffic):
    """Both arms' bad rate swings threefold, with a tenfold shock now and then."""

    def __call__(self, source: random.Random, index: int) -> Counts:
        """A common factor per block, which cancels in the share."""
        factor = math.exp(math.sin(index / 20)) * (10 if source.random() < 0.02 else 1)
        return self.drawn(source, factor)


@dataclass(frozen=True)
class Bursting(Traffic):
    """Half of the bad events come in bursts of mean 20, each on one arm."""

    def __call__(self, source: random.Random, index: int) -> Counts:
        """Bursts fall on an arm in proportion to its traffic, whatever their size."""
        base = self.drawn(source, 0.5)
        bursts = poisson(source, self.rate * self.stable_bad * LENGTH.total_seconds() / 2 / 20)
        extra = [0, 0]
        for _ in range(bursts):
            arm = 0 if source.random() < self.part else 1
            extra[arm] += 1 + int(source.expovariate(1 / 20))
        return counts(
            base.canary_requests + extra[0],
            base.canary_bad + extra[0],
            base.stable_requests + extra[1],
            base.stable_bad + extra[1],
        )


def poisson(source: random.Random, mean: float) -> int:
    """A Poisson draw: by multiplication when small, by the normal limit when large."""
    if mean > 60:
        return max(0, round(source.gauss(mean, math.sqrt(mean))))
    product, count, least = source.random(), 0, math.exp(-mean)
    while product > least:
        product *= source.random()
        count += 1
    return count
