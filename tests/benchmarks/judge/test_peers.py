"""Argo Rollouts', Flagger's and Kayenta's rules do what their source and documentation say."""

from __future__ import annotations

import pytest

from benchmarks.judge.alarms import Alarms, oracle
from benchmarks.judge.kayenta import Kayenta, is_high, standing
from benchmarks.judge.peers import FAILURE_LIMITS, MULTIPLES, Argo, ArgoGrid, Flagger
from benchmarks.judge.rollouts import Course, End, argo, flagger
from benchmarks.judge.streams import IID, Service, Tally

GOOD, BAD, EMPTY = (100, 0), (100, 6), (0, 0)


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_argo_fails_at_one_failure_more_than_its_limit(limit: int) -> None:
    rule = Argo(0.05, failure_limit=limit)
    assert [rule.measure(*BAD) for _ in range(limit + 1)] == [False] * limit + [True]


def test_argo_counts_failures_over_successes_between() -> None:
    rule = Argo(0.05, failure_limit=1)
    assert [rule.measure(*one) for one in (BAD, GOOD, GOOD, BAD)] == [False, False, False, True]


def test_argo_is_content_at_exactly_the_allowed_rate() -> None:
    assert not Argo(0.05).measure(100, 5)


def test_argo_without_requests_fails_a_success_condition_and_no_failure_condition() -> None:
    assert Argo(0.05).measure(*EMPTY)
    assert not Argo(0.05, nan_fails=False).measure(*EMPTY)


def test_flagger_rolls_back_at_its_threshold_and_never_resets_the_count() -> None:
    rule = Flagger(0.05, threshold=3)
    answers = [rule.check(*one) for one in (BAD, GOOD, BAD, GOOD, GOOD, BAD)]
    assert [rolls_back for _, rolls_back in answers] == [False] * 5 + [True]


def test_flagger_holds_the_weight_at_a_failed_check() -> None:
    rule = Flagger(0.05)
    assert [rule.check(*one)[0] for one in (GOOD, BAD, GOOD)] == [True, False, True]


def test_flagger_without_requests_fails_the_check() -> None:
    assert Flagger(0.05, threshold=1).check(*EMPTY) == (False, True)


def test_flagger_promotes_after_five_good_minutes() -> None:
    ended = flagger(Course(Service(IID, 100, 0.0), "good"), Flagger(0.01))
    assert (ended.end, ended.seconds) == (End.promoted, 300)


def test_argo_of_the_docs_needs_four_failures_of_five_minutes() -> None:
    course = Course(Service(IID, 100, 0.2), "bad")
    ended = argo(course, (20, 40, 60, 80), Argo(0.05, 3), 5)
    assert (ended.end, ended.seconds) == (End.rolled_back, 1200)


def test_the_grid_answers_as_single_rules_do() -> None:
    rates = [0, 3, 1, 7, 0, 40, 2, 2, 15, 1, 30, 0, 9] * 5
    grid = ArgoGrid(0.01)
    for index, bad in enumerate(rates):
        grid.measure(index, Tally(100, bad, 900, 9))
    for position, multiple in enumerate(MULTIPLES):
        for limit in range(FAILURE_LIMITS):
            rule = Argo(multiple * 0.01, limit, nan_fails=False)
            alone = next((at for at, bad in enumerate(rates) if rule.measure(100, bad)), None)
            moments = grid.moments[position]
            assert (moments[limit] if limit < len(moments) else None) == alone


def test_the_oracle_takes_the_fastest_setting_that_is_quiet_on_good_canaries() -> None:
    null, worse = Alarms(), Alarms()
    noisy, bad = ArgoGrid(0.01), ArgoGrid(0.01)
    for index, (calm, broken) in enumerate([(0, 5), (3, 5), (0, 5)]):
        noisy.measure(index, Tally(100, calm, 900, 9))
        bad.measure(index, Tally(100, broken, 900, 9))
    null.add_grid(noisy)
    worse.add_grid(bad)
    setting = oracle(null, worse)
    assert setting is not None
    position, limit = setting
    assert (MULTIPLES[position] * 0.01 >= 0.03, limit) == (True, 0)


def test_the_oracle_finds_nothing_when_every_setting_alarms() -> None:
    alarms, grid = Alarms(), ArgoGrid(0.001)
    for index in range(FAILURE_LIMITS):
        grid.measure(index, Tally(10, 10, 90, 0))
    alarms.add_grid(grid)
    assert oracle(alarms, alarms) is None


def test_kayenta_finds_a_clear_shift_at_its_first_look() -> None:
    judge = Kayenta(first_look=10)
    answers = [judge.add(0.05 + index / 1000, 0.01 + index / 1000) for index in range(10)]
    assert answers == [False] * 9 + [True]


def test_kayenta_passes_sparse_errors_against_a_clean_baseline() -> None:
    sparse = [0, 1, 2, 1, 0, 0]
    assert not is_high([float(bad) for bad in sparse], [0.0] * 6)


def test_kayenta_passes_equal_data_and_a_better_canary() -> None:
    values = [0.01, 0.02, 0.03, 0.02, 0.01]
    assert not is_high(values, list(values))
    assert not is_high([value / 10 for value in values], values)


def test_kayenta_ignores_how_many_requests_stand_behind_a_point() -> None:
    """A shift below a quarter of itself is none: the interval must exclude it, not only zero."""
    stable = [0.010, 0.011, 0.012, 0.013, 0.014, 0.015, 0.016, 0.017, 0.018, 0.019]
    slightly = [value + 0.004 for value in stable]
    assert not is_high(slightly, stable)
    assert is_high([value + 0.04 for value in stable], stable)


def test_kayenta_removes_minutes_without_requests() -> None:
    judge = Kayenta(first_look=5)
    assert not any(judge.add(None, 0.01) for _ in range(5))
    assert judge.stable == [0.01] * 5


def test_the_rank_statistic_is_that_of_the_textbook() -> None:
    """x = 1..4 above y = 5..8 shifted by 10: U = 16, z = (16 - 8 - .5) / sqrt(12)."""
    z = standing([15.0, 16.0, 17.0, 18.0], [1.0, 2.0, 3.0, 4.0], 0.0)
    assert z == pytest.approx(7.5 / 12**0.5)


def test_the_rank_statistic_is_corrected_for_ties() -> None:
    """x = {1, 2}, y = {1, 1}: U = 3, variance 4 / 12 (5 - 24 / 12)."""
    assert standing([1.0, 2.0], [1.0, 1.0], 0.0) == pytest.approx(0.5)
