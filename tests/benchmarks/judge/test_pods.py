"""Streams of pods have the moments they claim, and their votes are those of the shipped judge."""

from __future__ import annotations

from datetime import timedelta
from statistics import fmean, pvariance

import pytest

from benchmarks.judge.pods import ALPHA, CANARY, METRIC, PODS, PodTally, PodTraffic, Votes
from benchmarks.judge.shipped import EPOCH
from benchmarks.judge.streams import BLOCK, BURST, IID, LONG_FAULT, RATIOS, Scenario, Service
from domain.canary import MIN_VOTED_BLOCKS
from domain.judge import Block, Counts, JudgeRules, Pods, Stakes, Verdict, judge, observe, start

LENGTH = timedelta(seconds=BLOCK)


def stream(scenario: Scenario, blocks: int, ratio: float = 1.0, seed: str = "a") -> list[PodTally]:
    traffic = PodTraffic(Service(scenario, 1000, 0.01, ratio), seed)
    return [traffic.block() for _ in range(blocks)]


def shipped_block(index: int, tally: PodTally) -> Block:
    each = tally.stable // (PODS - CANARY)
    counts = Counts(
        canary_requests=sum(tally.canary),
        canary_bad=sum(tally.canary_bad),
        stable_requests=tally.stable,
        stable_bad=tally.stable_bad,
    )
    pods = Pods(
        canary_requests=tally.canary,
        canary_bad={METRIC: tally.canary_bad},
        stable_pods=PODS - CANARY,
        stable_least=each,
        stable_most=each,
    )
    begins = EPOCH + index * LENGTH
    return Block(start=begins, end=begins + LENGTH, counts={METRIC: counts}, pods=pods)


@pytest.mark.parametrize("ratio", [1.0, *RATIOS])
@pytest.mark.parametrize("rho0", [1.0, 1.1])
@pytest.mark.parametrize("scenario", [IID, BURST, LONG_FAULT], ids=lambda one: str(one.name))
def test_the_votes_roll_back_at_the_block_at_which_the_shipped_judge_does(
    scenario: Scenario, rho0: float, ratio: float
) -> None:
    rules = JudgeRules(
        rho0=rho0,
        warm_up_blocks=0,
        beta=1e-9,
        alpha=ALPHA,
        min_voted_blocks=MIN_VOTED_BLOCKS,
        stakes=Stakes.counted,
        deadline=timedelta(days=1),
    )
    votes, state = Votes(rho0), start(rules, [METRIC], EPOCH)
    for index, tally in enumerate(stream(scenario, 30, ratio, f"{rho0}")):
        state = observe(state, rules, shipped_block(index, tally))
        judgement = judge(state, rules, (index + 1) * LENGTH)
        rolled_back = votes.observe(tally)
        assert rolled_back == (judgement.verdict is Verdict.ROLL_BACK)
        if rolled_back:
            break
    assert state.metrics[METRIC].voted == state.rollout_blocks


def test_each_pod_has_its_part_of_the_traffic_and_the_canary_its_ratio() -> None:
    tallies = [one for seed in "abcdefgh" for one in stream(IID, 100, 5.0, seed)]
    answered = sum(sum(tally.canary) for tally in tallies)
    whole = answered + sum(tally.stable for tally in tallies)
    assert whole / len(tallies) == pytest.approx(1000 * BLOCK, rel=0.01)
    assert answered / whole == pytest.approx(CANARY / PODS, rel=0.1)
    bad = sum(sum(tally.canary_bad) for tally in tallies)
    assert bad / answered == pytest.approx(0.05, rel=0.03)


def test_a_burst_hits_one_pod() -> None:
    plain = [bad for tally in stream(IID, 300) for bad in tally.canary_bad]
    bursty = [bad for tally in stream(BURST, 300) for bad in tally.canary_bad]
    assert pvariance(plain) / fmean(plain) == pytest.approx(1, rel=0.2)
    assert pvariance(bursty) / fmean(bursty) > 10
    both = [sum(bad > 15 for bad in tally.canary_bad) for tally in stream(BURST, 300)]
    assert both.count(1) > 3 * both.count(2)


def test_a_long_fault_fails_one_pod_of_all() -> None:
    hit = [0] * CANARY
    for run in range(150):
        for tally in stream(LONG_FAULT, 720, seed=f"{run}"):
            failing = [bad > 0.1 * requests for requests, bad in zip(*tally[:2], strict=True)]
            assert sum(failing) <= 1
            for pod, fails in enumerate(failing):
                hit[pod] += fails
        if min(hit) > 0:
            break
    assert min(hit) > 0
