"""Several canaries at once share alpha; the control may be a baseline of the canary's age."""

import random

import pytest

from domain.judge import JudgeRules, Reason, Verdict, judge
from domain.judge.bets import WEALTH_CAP
from domain.judge.case import Case
from domain.judge.rules import Control
from tests.support.judge_streams import LENGTH, Traffic, after, counts, run

RULES = JudgeRules(limits={"errors": 0.01}, warm_up_blocks=0)


def changed(**values: object) -> JudgeRules:
    return JudgeRules.model_validate(RULES.model_dump() | values)


def test_each_of_three_canaries_needs_three_times_the_evidence() -> None:
    state = after(RULES, [counts(90, 4, 900, 4)] * 10)
    evidence = judge(state, RULES, 10 * LENGTH).evidence
    exact, short = changed(arms=3, alpha=3 / evidence), changed(arms=3, alpha=2.99 / evidence)
    assert judge(state, exact, 10 * LENGTH).verdict is Verdict.ROLL_BACK
    assert judge(state, short, 10 * LENGTH).verdict is not Verdict.ROLL_BACK
    assert judge(state, exact, 10 * LENGTH).thresholds.roll_back == pytest.approx(evidence)


def test_the_sentence_says_that_alpha_is_shared() -> None:
    state = after(RULES, [counts(90, 20, 900, 4)] * 12)
    judgement = judge(state, changed(arms=3), 12 * LENGTH)
    assert "(limit 1 of 300: 3 canaries share 1 %)" in judgement.sentence
    assert "(limit 1 of 100)" in judge(state, RULES, 12 * LENGTH).sentence


def test_a_floor_is_shared_as_well() -> None:
    rules = changed(floors={"errors": 0.001})
    state = after(rules, [counts(900, 40, 9000, 4)] * 6)
    peak = state.metrics["errors"].floor_peak
    assert 100 < peak < WEALTH_CAP
    few, many = int(peak / 100), int(peak / 100) + 1
    assert Case(state, changed(floors=rules.floors, arms=few), LENGTH).above_floor("errors")
    assert not Case(state, changed(floors=rules.floors, arms=many), LENGTH).above_floor("errors")


def test_promoting_is_not_shared_every_canary_must_prove_itself() -> None:
    state = after(RULES, [counts(100, 1, 900, 9)] * 30)
    assert judge(state, changed(arms=9), 30 * LENGTH).reason is Reason.relative
    assert judge(state, changed(arms=9), 30 * LENGTH).thresholds.promote == 20


def test_any_of_many_good_canaries_is_rolled_back_in_one_of_a_hundred_waves_at_most() -> None:
    """60 waves of 4 canaries, each as good as stable: none of them may be lost to chance."""
    seeds = random.Random(5)  # noqa: S311 - simulated traffic
    rules, draw = changed(arms=4, rho0=1.0), Traffic(40, 0.02, 0.02)
    lost = sum(
        run(rules, draw, seeds.randrange(10**6), blocks=60).verdict is Verdict.ROLL_BACK
        for _ in range(60 * 4)
    )
    assert lost <= 1


def test_against_a_young_baseline_every_sentence_names_it() -> None:
    rules = changed(control=Control.baseline)
    worse = judge(after(rules, [counts(90, 20, 900, 4)] * 12), rules, 12 * LENGTH)
    assert "if it were no worse than 1.1x baseline, evidence" in worse.sentence
    good = judge(after(rules, [counts(100, 1, 900, 9)] * 30), rules, 30 * LENGTH)
    assert good.sentence.startswith("Promoted: 30/3000 canary vs 270/27000 baseline bad;")
    assert "compared with a baseline of the canary's age" in good.sentence
    broken = judge(after(rules, [counts(100, 0, 900, 450)] * 30), rules, 30 * LENGTH)
    assert broken.reason is Reason.stable_bad
    assert broken.sentence.startswith("Holding on errors: baseline is over the limit of 1 %")
    assert "better than a broken baseline proves nothing" in broken.sentence
    both = judge(after(rules, [counts(100, 50, 900, 450)] * 30), rules, 30 * LENGTH)
    assert "baseline 50 % of late" in both.sentence


def test_the_control_changes_words_and_nothing_else() -> None:
    state = after(RULES, [counts(90, 20, 900, 4)] * 12)
    plain, young = (
        judge(state, changed(control=control), 12 * LENGTH).model_dump(exclude={"sentence"})
        for control in Control
    )
    assert plain == young
