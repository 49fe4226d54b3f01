"""The twin is the shipped judge: the same answer at every block of more than a thousand streams."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest

from benchmarks.judge.shipped import Shipped
from benchmarks.judge.streams import (
    BAD_RATES,
    BLOCK,
    GUARANTEED,
    LONG_FAULT,
    RATES,
    RATIOS,
    Scenario,
    Service,
    Traffic,
)
from benchmarks.judge.twin import Twin
from domain.judge import JudgeRules, Reason, Stakes, Verdict, margin_for
from domain.judge.bets import non_inferiority_bet, regression_bet

SCENARIOS = (*GUARANTEED, LONG_FAULT)
STEPS = (10, 25, 50)
RUNS = 3
REACHED = {
    Reason.relative,
    Reason.within_limit,
    Reason.quiet,
    Reason.worse,
    Reason.gathering,
    Reason.no_traffic,
    Reason.both_bad,
    Reason.stable_bad,
    Reason.inconclusive,
}


def _rules(weight: int, run: int) -> JudgeRules:
    """Short times, so that every branch is reached within few blocks."""
    return JudgeRules(
        rho0=1.0 if run % 2 else 1.1,
        margin=margin_for(weight),
        limits={} if run == 2 else {Twin.METRIC: 0.01},
        min_bake=timedelta(seconds=60),
        deadline=timedelta(seconds=180),
        extensions=2,
        warm_up_blocks=run % 2,
        warmed=None if weight == STEPS[0] else ("slow",),
        suspect_blocks=1 + run % 2,
        excused=(None, 4.0, 10.0)[run % 3],
        stakes=Stakes.fixed if run == 1 else Stakes.counted,
        promote="relative" if run == 1 else "any",
    )


def _live_through(service: Service, run: int, seen: set[Reason]) -> int:
    """Drive both judges through one rollout; the number of blocks until it ended."""
    traffic = Traffic(service, f"twin {run}")
    rules = _rules(STEPS[0], run)
    shipped, twin, blocks = Shipped.begin(rules), Twin(rules), 0
    for weight in STEPS:
        rules = _rules(weight, run)
        shipped.take_step(rules)
        twin.take_step(rules)
        elapsed, verdict = 0.0, Verdict.HOLD
        while verdict is Verdict.HOLD and elapsed < rules.last_deadline.total_seconds():
            tally = traffic.block(weight / 100)
            shipped.observe(tally)
            twin.observe(tally, BLOCK)
            elapsed, blocks = elapsed + BLOCK, blocks + 1
            answer = shipped.judge()
            assert twin.judge(elapsed) == (answer.verdict, answer.reason), (service, run, blocks)
            verdict = answer.verdict
            seen.add(answer.reason)
        _same_wealth(shipped, twin)
        if verdict is not Verdict.PROMOTE:
            break
    return blocks


def _same_wealth(shipped: Shipped, twin: Twin) -> None:
    metric, rules = shipped.state.metrics[Twin.METRIC], shipped.rules
    assert math.isclose(
        regression_bet(rules.rho0, rules.stakes).evidence(metric.worse),
        twin.worse.evidence,
        rel_tol=1e-9,
    )
    assert metric.against == twin.worse.against
    pairs = zip(
        metric.worse.bets,
        (twin.worse.a, twin.worse.b, twin.worse.c, twin.worse.d, twin.worse.e),
        strict=True,
    )
    assert all(math.isclose(one, other, rel_tol=1e-9) for one, other in pairs)
    for margin, wealth in zip(shipped.state.margins, metric.not_worse, strict=True):
        expected = non_inferiority_bet(margin).evidence(wealth)
        assert math.isclose(expected, twin.not_worse[margin].evidence, rel_tol=1e-9)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: str(one.name))
def test_the_twin_answers_as_the_shipped_judge_at_every_block(scenario: Scenario) -> None:
    services = [
        Service(scenario, rate, bad_rate, ratio)
        for rate in RATES
        for bad_rate in BAD_RATES
        for ratio in (1.0, *RATIOS)
    ]
    streams = len(services) * RUNS
    assert streams * len(SCENARIOS) >= 1000
    seen: set[Reason] = set()
    for service in services:
        assert sum(_live_through(service, run, seen) for run in range(RUNS)) >= RUNS
    assert seen >= REACHED
