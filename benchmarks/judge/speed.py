"""What the judge costs: processor time per block, the least of several repeats."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta

from benchmarks.judge.goal import Goal
from benchmarks.judge.rollouts import shipped_rules
from benchmarks.judge.shipped import EPOCH
from benchmarks.judge.streams import BLOCK
from domain.canary import METRICS
from domain.judge import Block, Counts, Histogram, JudgeState, Pods, observe, start
from domain.samples import Arm, Series, Span, sample

LENGTH = timedelta(seconds=BLOCK)
EDGES = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
LIMIT = 0.5
PODS, CANARY = 1000, 100
COUNTS = Counts(canary_requests=10000, canary_bad=30, stable_requests=90000, stable_bad=200)
REPEATS, BLOCKS = 15, 50


def speed() -> Iterator[Goal]:
    """Rows of the report: per metric and block, and per block of a thousand pods."""
    plain = [_block(index) for index in range(BLOCKS)]
    large = [_block(index, pods=_pods(), histogram=_histogram()) for index in range(BLOCKS)]
    each = 1e6 / BLOCKS / len(METRICS)
    yield _row("judge, per metric and block", _least(lambda: _judged(plain)) * each, "us", 50.0)
    what = f"judge, {PODS} pods x {len(EDGES) + 1} buckets, per block"
    yield _row(what, _least(lambda: _judged(large)) * 1e3 / BLOCKS, "ms", 20.0)
    arms = _arm("canary", CANARY), _arm("stable", PODS - CANARY)
    span = Span(EPOCH, EPOCH, EPOCH + 2 * LENGTH, LENGTH, EPOCH)
    limit = timedelta(seconds=LIMIT)
    what = "  their raw counters to a block (domain.samples)"
    yield _row(what, _least(lambda: sample(*arms, span, limit), 5) * 1e3, "ms", 20.0)


def _row(name: str, value: float, unit: str, goal: float) -> Goal:
    return Goal(name, value, unit, goal, "processor time, least of several; query", row="S")


def _least(work: Callable[[], object], repeats: int = REPEATS) -> float:
    best = float("inf")
    for _ in range(repeats):
        begun = time.process_time()
        work()
        best = min(best, time.process_time() - begun)
    return best


def _judged(blocks: list[Block]) -> JudgeState:
    rules = shipped_rules(10, 1.1, 0.01)
    state = start(rules, METRICS, EPOCH)
    for block in blocks:
        state = observe(state, rules, block)
    return state


def _block(index: int, pods: Pods | None = None, histogram: Histogram | None = None) -> Block:
    begins = EPOCH + index * LENGTH
    return Block(
        start=begins,
        end=begins + LENGTH,
        counts=dict.fromkeys(METRICS, COUNTS),
        histograms={} if histogram is None else {"slow": histogram},
        pods=pods,
    )


def _pods() -> Pods:
    return Pods(
        canary_requests=(100,) * CANARY,
        canary_bad={"errors": (1,) * 30 + (0,) * (CANARY - 30), "slow": (1,) * CANARY},
        stable_pods=PODS - CANARY,
        stable_least=90,
        stable_most=110,
    )


def _histogram() -> Histogram:
    others = tuple(edge for edge in EDGES if edge != LIMIT)
    above = range(len(others), 0, -1)
    return Histogram(
        edges=others,
        canary_above=tuple(10 * count for count in above),
        stable_above=tuple(90 * count for count in above),
    )


def _arm(name: str, pods: int) -> Arm:
    """Two scrapes of every pod's latency histogram, one request more under each edge."""
    begins = EPOCH.timestamp()
    series = [
        Series(
            f"{name}-{pod}",
            {"pod": f"{name}-{pod}", "le": edge, "http_response_status_code": "200"},
            tuple((begins + BLOCK * at + 3, 100.0 * at * rank) for at in range(2)),
        )
        for pod in range(pods)
        for rank, edge in enumerate([*map(str, EDGES), "+Inf"])
    ]
    return Arm(buckets=tuple(series))
