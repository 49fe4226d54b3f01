"""The interval of the ratio: exact by enumeration, holding at every block, shown to people."""

import random
from datetime import timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.judge import Counts, JudgeRules, RatioInterval, judge, observe
from domain.judge.bets import WEALTH_CAP, Wealth
from domain.judge.interval import (
    CANDIDATES,
    REFUTED,
    STAKES,
    observe_ratio,
    ratio_interval,
    start_ratio,
)
from tests.domain.judge.test_bets import binomial
from tests.support.judge_streams import LENGTH, Bursting, Drifting, Traffic, after, block, counts

RULES = JudgeRules(limits={"errors": 0.01}, warm_up_blocks=0)
ROW = len(CANDIDATES)
SMALL = st.integers(1, 5)


def expectations(canary: int, stable: int, rates: tuple[float, float]) -> list[float]:
    """E[e_t] of every bet over every outcome of two Bernoulli arms."""
    before = start_ratio()
    total = [0.0] * len(before.bets)
    for bad, stable_bad in product(range(canary + 1), range(stable + 1)):
        chance = binomial(canary, bad, rates[0]) * binomial(stable, stable_bad, rates[1])
        worth = observe_ratio(before, counts(canary, bad, stable, stable_bad)).bets
        total = [
            sum_ + chance * bet / start
            for sum_, bet, start in zip(total, worth, before.bets, strict=True)
        ]
    return total


def by_ratio(ratio: float, rate: float) -> tuple[float, float]:
    """Rates whose risk ratio is `ratio`, both within (0, 1)."""
    return (ratio * rate, rate) if ratio <= 1 else (rate, rate / ratio)


def by_odds(ratio: float, rate: float) -> tuple[float, float]:
    odds = ratio * rate / (1 - rate)
    return odds / (1 + odds), rate


@given(SMALL, SMALL, st.floats(0.01, 0.99), st.integers(0, ROW - 1))
def test_no_bet_of_the_interval_is_favourable_where_its_hypothesis_is_true(
    canary: int, stable: int, rate: float, index: int
) -> None:
    """Against "at most" by risk up to 1 and by odds from 1 on; "at least" is its mirror image."""
    ratio = CANDIDATES[index]
    risk = expectations(canary, stable, by_ratio(ratio, rate))
    odds = expectations(canary, stable, by_odds(ratio, rate))
    for row in range(len(STAKES)):
        more, less = row * ROW + index, (len(STAKES) + row) * ROW + index
        assert (risk if ratio <= 1 else odds)[more] <= 1 + 1e-9
        assert (odds if ratio <= 1 else risk)[less] <= 1 + 1e-9


def test_the_factors_are_the_formula() -> None:
    block = counts(100, 3, 900, 1)
    worth = observe_ratio(start_ratio(), block).bets
    share = 3 / 4
    for index, ratio in enumerate(CANDIDATES):
        part = ratio * 100 / (ratio * 100 + 900)
        for row, stake in enumerate(STAKES):
            more = 1 + stake * (share / part - 1)
            less = 1 + stake * ((1 - share) / (1 - part) - 1)
            at, mirrored = row * ROW + index, (len(STAKES) + row) * ROW + index
            assert worth[at] * len(STAKES) == pytest.approx(more)
            assert worth[mirrored] * len(STAKES) == pytest.approx(less)


@pytest.mark.parametrize("given_", [(0, 0, 100, 5), (10, 5, 0, 0), (10, 0, 100, 0)])
def test_a_block_that_compares_nothing_leaves_the_interval(
    given_: tuple[int, int, int, int],
) -> None:
    assert observe_ratio(start_ratio(), counts(*given_)) == start_ratio()


@pytest.mark.parametrize("kind", [Traffic, Drifting, Bursting])
@pytest.mark.parametrize("ratio", [0.5, 1.0, 3.0])
def test_the_true_ratio_leaves_the_interval_at_no_block_in_19_of_20_rollouts(
    kind: type[Traffic], ratio: float
) -> None:
    draw, missed, runs = kind(50, 0.02, 0.02 * ratio), 0, 60
    for seed in range(runs):
        source = random.Random(seed)  # noqa: S311 - simulated traffic
        wealth, left = start_ratio(), False
        for index in range(60):
            wealth = observe_ratio(wealth, draw(source, index))
            found = ratio_interval(wealth)
            left |= found is not None and not (
                found.lower <= ratio <= (found.upper or float("inf"))
            )
        missed += left
    assert missed <= runs * 0.05


def interval_after(given_: Counts, times: int) -> RatioInterval | None:
    wealth = start_ratio()
    for _ in range(times):
        wealth = observe_ratio(wealth, given_)
    return ratio_interval(wealth)


def test_the_interval_narrows_around_the_ratio_of_the_counts() -> None:
    early, late = (
        interval_after(counts(90, 4, 900, 10), 15),
        interval_after(counts(90, 4, 900, 10), 200),
    )
    assert early is not None
    assert late is not None
    assert early.lower <= late.lower < 4 < (late.upper or 0) <= (early.upper or 1e9)
    assert (late.lower, late.upper, late.confidence) == (3.0, 6.0, 0.95)


def test_one_side_may_be_bounded_alone() -> None:
    assert interval_after(counts(90, 0, 900, 10), 60) == RatioInterval(lower=0.0, upper=1.0)
    assert interval_after(counts(90, 5, 900, 0), 3) == RatioInterval(lower=2.0, upper=None)


def test_a_candidate_is_refuted_at_exactly_two_over_the_error() -> None:
    def of(worth: float) -> RatioInterval | None:
        bets = [0.0] * len(start_ratio().bets)
        bets[CANDIDATES.index(1.0)] = worth
        return ratio_interval(Wealth(bets=tuple(bets)))

    assert of(REFUTED) == RatioInterval(lower=1.0)
    assert of(REFUTED * 0.999) is None
    mirrored = [0.0] * len(start_ratio().bets)
    mirrored[len(STAKES) * ROW + CANDIDATES.index(2.0)] = REFUTED
    assert ratio_interval(Wealth(bets=tuple(mirrored))) == RatioInterval(upper=2.0)
    mirrored[len(STAKES) * ROW + CANDIDATES.index(2.0)] = REFUTED * 0.999
    assert ratio_interval(Wealth(bets=tuple(mirrored))) is None


def test_a_ratio_that_changed_over_the_rollout_gives_no_interval_rather_than_an_empty_one() -> None:
    bets = [0.0] * len(start_ratio().bets)
    bets[CANDIDATES.index(2.0)] = REFUTED
    bets[len(STAKES) * ROW + CANDIDATES.index(2.0)] = REFUTED
    assert ratio_interval(Wealth(bets=tuple(bets))) is None
    with pytest.raises(ValueError, match="no ratio lies above 3 and below 3"):
        RatioInterval(lower=3, upper=3)


def test_the_wealth_of_the_interval_never_overflows() -> None:
    wealth = start_ratio()
    for _ in range(3000):
        wealth = observe_ratio(wealth, counts(10, 10, 990, 0))
    assert max(wealth.bets) == WEALTH_CAP
    assert ratio_interval(wealth) == RatioInterval(lower=CANDIDATES[-1])


def test_a_rollback_shows_its_interval() -> None:
    judgement = judge(after(RULES, [counts(90, 20, 900, 4)] * 12), RULES, 12 * LENGTH)
    found = judgement.ratios["errors"]
    assert found.lower >= 2
    assert judgement.sentence.endswith(
        f"; canary / stable over the rollout: errors more than {found.lower:g}x (95 % interval)"
    )


def test_a_promotion_shows_its_interval() -> None:
    judgement = judge(after(RULES, [counts(100, 1, 900, 9)] * 60), RULES, timedelta(minutes=10))
    assert judgement.ratios["errors"] == RatioInterval(lower=0.9, upper=2.0)
    assert (
        "; canary / stable over the rollout: errors 0.9x to 2x (95 % interval)"
        in judgement.sentence
    )


def test_the_intervals_of_several_metrics_are_told_in_one_clause() -> None:
    both = {"errors": counts(100, 1, 900, 9), "slow": counts(100, 5, 900, 45)}
    judgement = judge(after(RULES, [both] * 60, ("errors", "slow")), RULES, timedelta(minutes=10))
    assert "over the rollout: errors 0.9x to 2x, slow 0.9x to 2x (95 % interval)" in (
        judgement.sentence
    )


def test_nothing_is_said_of_a_ratio_that_is_not_known() -> None:
    judgement = judge(after(RULES, [counts(100, 0, 900, 0)] * 30), RULES, timedelta(minutes=5))
    assert judgement.ratios == {}
    assert "interval" not in judgement.sentence


def test_a_bound_that_says_nothing_is_not_put_into_words() -> None:
    judgement = judge(after(RULES, [counts(90, 5, 900, 0)]), RULES, LENGTH)
    assert judgement.ratios["errors"] == RatioInterval(lower=0.1)
    assert "interval" not in judgement.sentence


def test_a_rollout_that_began_before_there_were_intervals_gets_one_from_then_on() -> None:
    state = after(RULES, [counts(90, 20, 900, 4)] * 12)
    errors = state.metrics["errors"].model_copy(update={"ratio": None})
    state = state.model_copy(update={"metrics": {"errors": errors}})
    assert judge(state, RULES, 12 * LENGTH).ratios == {}
    for index in range(12, 24):
        state = observe(state, RULES, block(index, {"errors": counts(90, 20, 900, 4)}))
    assert judge(state, RULES, 24 * LENGTH).ratios["errors"].lower >= 2


def test_a_candidate_is_refuted_by_stakes_that_only_together_reach_the_bound() -> None:
    bets = [0.0] * len(start_ratio().bets)
    for row in range(len(STAKES)):
        bets[row * ROW + CANDIDATES.index(1.0)] = REFUTED / len(STAKES)
    assert sum(bets) == REFUTED
    assert ratio_interval(Wealth(bets=tuple(bets))) == RatioInterval(lower=1.0)
