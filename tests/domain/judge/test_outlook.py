"""Time still needed, power, and durations for people."""

from datetime import timedelta

import pytest

from domain.judge import JudgeRules
from domain.judge.case import Case
from domain.judge.outlook import caught_probability, request_rate, time_needed
from domain.judge.sentences import spoken
from tests.support.judge_streams import after, counts, elapsed_of

RULES = JudgeRules(limits={"errors": 0.01}, warm_up_blocks=0)


def case_of(values: tuple[int, int, int, int], times: int, rules: JudgeRules = RULES) -> Case:
    state = after(rules, [counts(*values)] * times)
    return Case(state, rules, elapsed_of(state))


def test_the_estimate_is_when_a_clean_canary_is_then_proven() -> None:
    early = time_needed(case_of((5, 0, 45, 0), 30))
    assert early is not None
    blocks = 30 + round(early / timedelta(seconds=10))
    assert case_of((5, 0, 45, 0), blocks + 1).proof("errors") >= 20
    assert case_of((5, 0, 45, 0), blocks - 1).proof("errors") < 20


def test_the_relative_estimate_extrapolates_its_growth() -> None:
    case = case_of((100, 1, 900, 9), 8, RULES.model_copy(update={"limits": {}}))
    needed = time_needed(case)
    assert needed is not None
    blocks = 8 + round(needed / timedelta(seconds=10))
    proven = next(n for n in range(1, 60) if case_of((100, 1, 900, 9), n).not_worse("errors") >= 20)
    assert abs(blocks - proven) <= 2


def test_a_proof_that_waits_for_its_bake_needs_what_is_left_of_it() -> None:
    assert time_needed(case_of((100, 0, 900, 0), 12)) == timedelta(minutes=1)


@pytest.mark.parametrize("values", [(0, 0, 90, 0), (10, 1, 90, 0)])
def test_no_traffic_or_no_progress_has_no_estimate(values: tuple[int, int, int, int]) -> None:
    assert time_needed(case_of(values, 10)) is None


def test_a_rule_that_is_forbidden_promises_nothing() -> None:
    strict = RULES.model_copy(update={"promote": "relative"})
    assert time_needed(case_of((5, 0, 45, 0), 30, strict)) is None


def test_a_metric_without_limit_and_events_needs_no_time() -> None:
    both = {"errors": counts(5, 0, 45, 0), "restarts": counts(1, 0, 9, 0)}
    state = after(RULES, [both] * 30, ("errors", "restarts"))
    needed = time_needed(Case(state, RULES, elapsed_of(state)))
    assert needed == time_needed(case_of((5, 0, 45, 0), 30))


def test_there_is_no_rate_before_the_first_block() -> None:
    assert request_rate(case_of((5, 0, 45, 0), 0)) is None
    assert request_rate(case_of((5, 0, 45, 0), 10)) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("requests", "bad", "probability"),
    [(0, 0, 0.0), (1, 0, 0.2), (31, 0, 1 - 0.8**31), (10, 1, 1 - 0.8**10 - 2 * 0.8**9), (3, 3, 0)],
)
def test_the_power_is_the_binomial_tail(requests: int, bad: int, probability: float) -> None:
    assert caught_probability(requests, bad) == pytest.approx(probability)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.82, "0.8 s"),
        (9.96, "10.0 s"),
        (50, "50 s"),
        (119, "119 s"),
        (120, "2 min"),
        (1680, "28 min"),
        (3600, "1 h"),
        (3900, "1 h 5 min"),
    ],
)
def test_durations_are_spoken(seconds: float, words: str) -> None:
    assert spoken(timedelta(seconds=seconds)) == words
