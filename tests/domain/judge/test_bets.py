"""The bets: exact expectations by enumeration, and the figures of the formulas."""

import math
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.judge.bets import (
    FLOOR_STAKES,
    LATE_MASS,
    NON_INFERIORITY_GRID,
    REGRESSION_GRID,
    WEALTH_CAP,
    FloorBet,
    ShareBet,
    Wealth,
    non_inferiority_bet,
    regression_bet,
    within_limit,
)
from domain.judge.counts import Counts
from tests.support.judge_streams import counts

SMALL = st.integers(1, 7)
RATE = st.floats(0.001, 0.999)
BLOCKS = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 9), st.integers(0, 400), st.integers(0, 9)),
    max_size=12,
)


def binomial(requests: int, bad: int, rate: float) -> float:
    return math.comb(requests, bad) * rate**bad * (1 - rate) ** (requests - bad)


def factor(rho0: float, alternative: float, block: Counts) -> float:
    """e_t(r) of one alternative; 1 for a block that tells nothing."""
    factors = ShareBet(rho0, (alternative,), (1.0,)).factors(block)
    return factors[0] if factors else 1.0


def expected_factor(
    rho0: float, alternative: float, arms: tuple[int, int], rates: tuple[float, float]
) -> float:
    """E[e_t(r)] over every outcome of two Bernoulli arms."""
    (canary, stable), (canary_rate, stable_rate) = arms, rates
    return sum(
        binomial(canary, bad, canary_rate)
        * binomial(stable, stable_bad, stable_rate)
        * factor(rho0, alternative, counts(canary, bad, stable, stable_bad))
        for bad, stable_bad in product(range(canary + 1), range(stable + 1))
    )


@given(canary=SMALL, stable=SMALL, rate=RATE, alternative=st.sampled_from(REGRESSION_GRID))
def test_equal_rates_make_the_regression_bet_exactly_fair(
    canary: int, stable: int, rate: float, alternative: float
) -> None:
    assert expected_factor(1.0, alternative, (canary, stable), (rate, rate)) == pytest.approx(1)


@given(canary=SMALL, stable=SMALL, rate=RATE, alternative=st.sampled_from(REGRESSION_GRID))
def test_a_canary_within_the_odds_tolerance_never_makes_the_regression_bet_favourable(
    canary: int, stable: int, rate: float, alternative: float
) -> None:
    odds = 1.1 * rate / (1 - rate)
    rates = (odds / (1 + odds), rate)
    assert expected_factor(1.1, 1.1 * alternative, (canary, stable), rates) <= 1 + 1e-9


@given(
    canary=SMALL,
    stable=SMALL,
    rate=st.floats(0.001, 0.24),
    margin=st.sampled_from((4.0, 3.0, 2.0)),
    alternative=st.sampled_from(NON_INFERIORITY_GRID),
)
def test_a_canary_at_the_margin_never_makes_the_promoting_bet_favourable(
    canary: int, stable: int, rate: float, margin: float, alternative: float
) -> None:
    expected = expected_factor(margin, alternative, (canary, stable), (margin * rate, rate))
    assert expected <= 1 + 1e-9


@given(canary=SMALL, rate=RATE, shape=st.floats(0, 1))
def test_the_floor_bet_is_fair_at_its_rate_even_if_a_block_fails_as_a_whole(
    canary: int, rate: float, shape: float
) -> None:
    """Any mixture of independent and all-or-nothing failures has the same expected share."""
    bet = FloorBet(rate)
    start = bet.start()
    alone = sum(
        binomial(canary, bad, rate) * bet.evidence(bet.observe(start, counts(canary, bad, 0, 0)))
        for bad in range(canary + 1)
    )
    together = rate * bet.evidence(bet.observe(start, counts(canary, canary, 0, 0))) + (
        1 - rate
    ) * bet.evidence(bet.observe(start, counts(canary, 0, 0, 0)))
    assert shape * together + (1 - shape) * alone == pytest.approx(1)


@given(requests=st.integers(1, 40), limit=st.floats(0.001, 0.9), above=st.floats(1, 1.1))
def test_a_canary_at_the_limit_never_makes_the_within_limit_test_favourable(
    requests: int, limit: float, above: float
) -> None:
    rate = min(limit * above, 0.999)
    expected = sum(
        binomial(requests, bad, rate) * within_limit(requests, bad, limit)
        for bad in range(requests + 1)
    )
    assert expected <= 1 + 1e-9


@given(blocks=BLOCKS, silent=st.lists(st.integers(0, 12), max_size=5))
def test_blocks_without_bad_events_change_nothing_wherever_they_lie(
    blocks: list[tuple[int, int, int, int]], silent: list[int]
) -> None:
    bet = regression_bet(1.1)
    plain = with_silence = bet.start()
    for index, values in enumerate(blocks):
        for _ in range(silent.count(index)):
            with_silence = bet.observe(with_silence, counts(30, 0, 300, 0))
        plain = bet.observe(plain, counts(*values))
        with_silence = bet.observe(with_silence, counts(*values))
    assert with_silence == plain


@pytest.mark.parametrize(
    "block", [(0, 0, 100, 5), (10, 5, 0, 0), (10, 0, 100, 0), (0, 0, 0, 0), (0, 1, 0, 1)]
)
def test_a_block_that_compares_nothing_is_no_evidence(block: tuple[int, int, int, int]) -> None:
    bet = regression_bet(1.1)
    assert bet.factors(counts(*block)) is None
    assert bet.observe(bet.start(), counts(*block)) == bet.start()


def test_the_factor_is_the_formula() -> None:
    share = 3 / 4
    expected = (share * 2.2 / 1.1 + 1 - share) * (1.1 * 100 + 900) / (2.2 * 100 + 900)
    assert factor(1.1, 2.2, counts(100, 3, 900, 1)) == pytest.approx(expected)


def test_all_bad_events_on_the_canary_multiply_by_at_most_one_over_its_share() -> None:
    loud = factor(1.0, 1000.0, counts(100, 50, 900, 0))
    assert loud == pytest.approx(10, rel=0.01)
    assert loud < 10


def test_evidence_begins_at_one_and_the_late_mass_is_spent_block_by_block() -> None:
    bet = regression_bet(1.0)
    wealth = bet.start()
    assert bet.evidence(wealth) == pytest.approx(1)
    assert sum(wealth.bets) == pytest.approx(1 - LATE_MASS)
    fair = counts(50, 1, 50, 1)
    alone = ShareBet(1.0, (1.0,), (1.0,), LATE_MASS)
    for number in range(1, 5):
        wealth = alone.observe(wealth if number > 1 else alone.start(), fair)
        spent = LATE_MASS * (1 - 1 / (number + 1))
        assert sum(wealth.bets) == pytest.approx(1 - LATE_MASS + spent)
        assert alone.evidence(wealth) == pytest.approx(1)


def test_a_regression_after_a_good_hour_is_still_found_in_few_blocks() -> None:
    bet = regression_bet(1.0)
    wealth = bet.start()
    for _ in range(360):
        wealth = bet.observe(wealth, counts(100, 1, 900, 9))
    needed = 0
    while bet.evidence(wealth) < 100:
        wealth = bet.observe(wealth, counts(100, 20, 900, 9))
        needed += 1
    assert needed <= 15


def test_evidence_neither_overflows_nor_dies() -> None:
    bet = regression_bet(1.0)
    wealth = bet.start()
    for _ in range(1000):
        wealth = bet.observe(wealth, counts(10, 10, 990, 0))
    assert max(wealth.bets) == WEALTH_CAP
    for _ in range(5000):
        wealth = bet.observe(wealth, counts(10, 0, 10, 10))
    assert 0 <= bet.evidence(wealth) < 1
    assert Wealth.model_validate_json(wealth.model_dump_json()) == wealth


def test_the_margin_process_keeps_no_mass_for_later() -> None:
    bet = non_inferiority_bet(4.0)
    assert bet.start().bets == pytest.approx((0.4, 0.2, 0.2, 0.2))
    assert bet.late == 0


def test_the_floor_bet_is_the_mean_over_its_stakes() -> None:
    bet = FloorBet(0.01)
    wealth = bet.observe(bet.start(), counts(100, 5, 0, 0))
    expected = sum(1 + stake * 4 for stake in FLOOR_STAKES) / len(FLOOR_STAKES)
    assert bet.evidence(wealth) == pytest.approx(expected)
    assert bet.observe(wealth, Counts()) == wealth


def test_a_clean_canary_is_within_one_percent_after_about_370_requests() -> None:
    needed = next(n for n in range(1, 1000) if within_limit(n, 0, 0.01) >= 20)
    assert 360 <= needed <= 380


def test_within_the_limit_is_the_mean_over_four_rates() -> None:
    ratios = [(q / 0.05) ** 2 * ((1 - q) / 0.95) ** 98 for q in (0.0, 0.005, 0.015, 0.03)]
    assert within_limit(100, 2, 0.05) == pytest.approx(sum(ratios) / 4)
    assert within_limit(10**7, 0, 0.5) <= WEALTH_CAP
    assert within_limit(0, 0, 0.01) == pytest.approx(1)
