"""Whole simulated canaries with fixed seeds: good ones pass, bad ones do not."""

from collections import Counter

import pytest

from domain.judge import JudgeRules, Reason, Verdict
from tests.support.judge_streams import Bursting, Drifting, Traffic, run

RULES = JudgeRules(limits={"errors": 0.01})
# Only the relative rule, so that a good canary is watched to the end: rolled back or not.
WATCH = RULES.model_copy(update={"beta": 1e-12, "promote": "relative", "rho0": 1.0})
RUNS = 150


@pytest.mark.parametrize(
    "traffic",
    [Traffic(10, 0.01, 0.01), Drifting(10, 0.01, 0.01), Bursting(10, 0.01, 0.01)],
    ids=["independent", "drift", "burst"],
)
def test_a_good_canary_is_rarely_rolled_back_at_any_stopping_time(traffic: Traffic) -> None:
    rules = WATCH.model_copy(update={"on_quiet": "hold"})
    rolled_back = sum(
        run(rules, traffic, seed, blocks=120).verdict is Verdict.ROLL_BACK for seed in range(RUNS)
    )
    # alpha is 1 %: five or more of 150 have probability 1.8 % at the limit itself.
    assert rolled_back <= 4


def test_a_good_canary_at_20_requests_per_second_is_promoted_by_the_within_limit_rule() -> None:
    judgements = [run(RULES, Traffic(20, 0.001, 0.001), seed) for seed in range(60)]
    reasons = Counter(judgement.reason for judgement in judgements)
    assert reasons[Reason.within_limit] >= 57
    assert sum(judgement.elapsed.total_seconds() for judgement in judgements) / 60 <= 360


@pytest.mark.parametrize("rate", [20, 100])
def test_five_percent_errors_are_rolled_back_quickly(rate: float) -> None:
    judgements = [run(RULES, Traffic(rate, 0.001, 0.05), seed) for seed in range(60)]
    assert {judgement.reason for judgement in judgements} == {Reason.worse}
    mean = sum(judgement.elapsed.total_seconds() for judgement in judgements) / len(judgements)
    assert mean <= 90


def test_a_canary_that_fails_everything_is_rolled_back_even_at_one_request_per_second() -> None:
    judgements = [run(RULES, Traffic(1, 0.001, 1.0), seed) for seed in range(60)]
    assert {judgement.reason for judgement in judgements} == {Reason.worse}


def test_two_bad_arms_are_neither_rolled_back_nor_promoted() -> None:
    judgements = [run(RULES, Traffic(20, 0.5, 0.5), seed, blocks=60) for seed in range(30)]
    assert {judgement.verdict for judgement in judgements} == {Verdict.HOLD}
    assert {judgement.reason for judgement in judgements} == {Reason.both_bad}


@pytest.mark.parametrize("bad", [0.0, 0.01])
def test_every_quiet_good_canary_passes_without_a_person(bad: float) -> None:
    judgements = [run(RULES, Traffic(1, bad, bad), seed) for seed in range(40)]
    promoted = [judgement for judgement in judgements if judgement.verdict is Verdict.PROMOTE]
    assert len(promoted) >= 38
