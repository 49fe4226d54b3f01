"""Stakes by the number of bad events: exact given that number, and only for rollouts begun so."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.judge import (
    Block,
    JudgeRules,
    JudgeState,
    Stakes,
    Verdict,
    judge,
    observe,
    start,
)
from domain.judge.bets import COUNTED_GRID, WEALTH_CAP, regression_bet
from domain.observed import ObservedBlocks, recompute
from tests.support.judge_streams import LENGTH, SINCE, after, block, counts, elapsed_of

RULES = JudgeRules(limits={"errors": 0.01}, warm_up_blocks=0, stakes=Stakes.counted)
FIXED = RULES.model_copy(update={"stakes": Stakes.fixed})
STORED = sorted((Path(__file__).parent / "stored").glob("*.json"))
BLOCKS = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 9), st.integers(0, 400), st.integers(0, 9)),
    max_size=12,
)


def given_bad(canary: int, stable: int, bad: int, odds: float) -> list[tuple[int, float]]:
    """P(canary's bad events | `bad` in both arms): Fisher's noncentral hypergeometric."""
    weights = {
        hit: math.comb(canary, hit) * math.comb(stable, bad - hit) * odds**hit
        for hit in range(max(0, bad - stable), min(canary, bad) + 1)
    }
    return [(hit, weight / sum(weights.values())) for hit, weight in weights.items()]


@given(
    canary=st.integers(1, 12),
    stable=st.integers(1, 12),
    bad=st.integers(1, 24),
    stakes=st.sampled_from(Stakes),
)
def test_equal_arms_make_every_bet_fair_given_how_many_events_were_bad(
    canary: int, stable: int, bad: int, stakes: Stakes
) -> None:
    """The stake may look at their number because even given it the expectation is 1."""
    bad = min(bad, canary + stable)
    expected = [0.0] * 5
    for hit, chance in given_bad(canary, stable, bad, 1.0):
        factors = regression_bet(1.0, stakes).factors(counts(canary, hit, stable, bad - hit))
        assert factors is not None
        expected = [total + chance * each for total, each in zip(expected, factors, strict=True)]
    assert expected == pytest.approx([1.0] * 5)


@given(
    canary=st.integers(1, 12),
    stable=st.integers(1, 12),
    bad=st.integers(1, 24),
    rho0=st.sampled_from((1.05, 1.1, 1.5)),
    part=st.floats(0.2, 1),
)
def test_a_canary_within_the_odds_tolerance_makes_no_bet_favourable_given_how_many_were_bad(
    canary: int, stable: int, bad: int, rho0: float, part: float
) -> None:
    bad = min(bad, canary + stable)
    expected = [0.0] * 5
    for hit, chance in given_bad(canary, stable, bad, part * rho0):
        factors = regression_bet(rho0, Stakes.counted).factors(
            counts(canary, hit, stable, bad - hit)
        )
        assert factors is not None
        expected = [total + chance * each for total, each in zip(expected, factors, strict=True)]
    assert max(expected) <= 1 + 1e-9


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=7),
    canary=st.integers(1, 100),
    stable=st.integers(1, 900),
    rho0=st.sampled_from((1.0, 1.1)),
)
def test_causes_of_any_size_that_hit_arms_by_their_traffic_make_every_bet_fair(
    sizes: list[int], canary: int, stable: int, rho0: float
) -> None:
    """Bursts: each cause falls on one arm as a whole, whatever its size."""
    chance_of_canary = rho0 * canary / (rho0 * canary + stable)
    expected = [0.0] * 5
    for hits in product((True, False), repeat=len(sizes)):
        chance = math.prod(chance_of_canary if hit else 1 - chance_of_canary for hit in hits)
        own = sum(size for size, hit in zip(sizes, hits, strict=True) if hit)
        factors = regression_bet(rho0, Stakes.counted).factors(
            counts(canary, own, stable, sum(sizes) - own)
        )
        assert factors is not None
        expected = [total + chance * each for total, each in zip(expected, factors, strict=True)]
    assert expected == pytest.approx([1.0] * 5)


def test_one_bad_event_is_staked_as_its_alternative_says() -> None:
    bet = regression_bet(1.1, Stakes.counted)
    assert bet.sharpened(1) == pytest.approx([1.1 * ratio for ratio in COUNTED_GRID])


def test_many_bad_events_move_the_alternatives_by_their_root() -> None:
    bet = regression_bet(1.1, Stakes.counted)
    assert bet.sharpened(9) == pytest.approx([1.1 * (1 + 3 * (r - 1)) for r in COUNTED_GRID])
    share, ratio = 6 / 9, 1.1 * (1 + 3 * (5.0 - 1))
    expected = (share * ratio / 1.1 + 1 - share) * (1.1 * 100 + 900) / (ratio * 100 + 900)
    factors = bet.factors(counts(100, 6, 900, 3))
    assert factors is not None
    assert factors[2] == pytest.approx(expected)


def test_a_surer_share_is_believed_sooner() -> None:
    surer = [counts(1000, 20, 9000, 90)] * 12
    fixed, counted = after(FIXED, surer), after(RULES, surer)
    plain = judge(fixed, FIXED, 12 * LENGTH).evidence
    assert judge(counted, RULES, 12 * LENGTH).evidence > 1.4 * plain


def test_evidence_begins_at_one_and_never_overflows() -> None:
    bet = regression_bet(1.0, Stakes.counted)
    wealth = bet.start()
    assert bet.evidence(wealth) == pytest.approx(1)
    for _ in range(1000):
        wealth = bet.observe(wealth, counts(10, 10, 990, 0))
    assert max(wealth.bets) == WEALTH_CAP


@given(blocks=BLOCKS, silent=st.lists(st.integers(0, 12), max_size=5))
def test_blocks_without_bad_events_change_nothing_wherever_they_lie(
    blocks: list[tuple[int, int, int, int]], silent: list[int]
) -> None:
    bet = regression_bet(1.1, Stakes.counted)
    plain = with_silence = bet.start()
    for index, values in enumerate(blocks):
        for _ in range(silent.count(index)):
            with_silence = bet.observe(with_silence, counts(30, 0, 300, 0))
        plain = bet.observe(plain, counts(*values))
        with_silence = bet.observe(with_silence, counts(*values))
    assert with_silence == plain


@given(blocks=BLOCKS)
def test_a_state_that_went_through_json_after_every_block_ends_the_same(
    blocks: list[tuple[int, int, int, int]],
) -> None:
    state = travelled = start(RULES, ("errors",), SINCE)
    for index, values in enumerate(blocks):
        given_block = block(index, {"errors": counts(*values)})
        state = observe(state, RULES, given_block)
        travelled = JudgeState.model_validate_json(travelled.model_dump_json())
        travelled = observe(travelled, RULES, given_block)
    assert travelled == state
    assert travelled.stakes is Stakes.counted


# --- what was begun or stored before -----------------------------------------------------------


def test_a_rollout_goes_on_with_the_stakes_it_began_with() -> None:
    given_block = counts(1000, 40, 9000, 90)
    begun = after(FIXED, [given_block] * 3)
    goes_on = observe(begun, RULES, block(3, {"errors": given_block}))
    assert goes_on == observe(begun, FIXED, block(3, {"errors": given_block}))
    assert judge(goes_on, RULES, 4 * LENGTH) == judge(goes_on, FIXED, 4 * LENGTH)


def test_a_state_of_before_is_one_of_fixed_stakes() -> None:
    older = start(FIXED, ("errors",), SINCE).model_dump(mode="json")
    del older["stakes"]
    del older["metrics"]["errors"]["against"]
    state = JudgeState.model_validate(older)
    assert state.stakes is Stakes.fixed
    assert state.metrics["errors"].against is None


@pytest.mark.parametrize("file", STORED, ids=lambda file: file.stem)
def test_a_verdict_stored_by_an_older_rule_is_still_what_its_blocks_give(file: Path) -> None:
    record = ObservedBlocks.model_validate_json(file.read_bytes())
    assert recompute(record, ()).differences == ()


def test_there_are_verdicts_of_an_older_rule_of_both_kinds() -> None:
    verdicts = {
        ObservedBlocks.model_validate_json(file.read_bytes()).judgement.verdict for file in STORED
    }
    assert verdicts == {Verdict.HOLD, Verdict.ROLL_BACK}


def test_the_same_blocks_judged_by_other_stakes_do_not_agree_with_the_record() -> None:
    record = ObservedBlocks.model_validate_json(STORED[-1].read_bytes())
    rules = record.step.rules.model_copy(update={"stakes": Stakes.counted})
    changed = record.model_copy(update={"step": record.step.model_copy(update={"rules": rules})})
    assert any("evidence" in line for line in recompute(changed, ()).differences)


# --- suspicion ---------------------------------------------------------------------------------

ONE_ERROR = [counts(100, 1, 900, 0)] + [counts(100, 0, 900, 0)] * 40
TWICE = RULES.model_copy(update={"suspect_blocks": 2})


def suspected(blocks: list[tuple[int, int, int, int]], rules: JudgeRules) -> bool:
    state = after(rules, [counts(*values) for values in blocks])
    return "evidence of regression" in judge(state, rules, 40 * LENGTH * 6).sentence


def test_one_bad_block_is_no_suspicion_and_two_are() -> None:
    clean, bad = (10, 0, 90, 0), (10, 1, 90, 0)
    quiet = {"stale_after": 60 * LENGTH * 60, "limits": {"errors": 0.2}}
    once, twice = (rules.model_copy(update=quiet) for rules in (RULES, TWICE))
    assert suspected([bad, clean, clean, clean], once)
    assert not suspected([bad, clean, clean, clean], twice)
    assert suspected([bad, clean, bad, clean], twice)


def test_one_restart_is_suspicion_since_no_limit_says_how_many_there_may_be() -> None:
    """A version that restarts every two minutes must not pass between two of its restarts."""
    rules = TWICE.model_copy(update={"warm_up_blocks": 0, "rho0": 1.1})
    state = start(rules, ("errors", "restarts"), SINCE)
    for index in range(18):
        restarted = {"restarts": counts(1, int(index == 4), 9, 0)}
        state = observe(state, rules, block(index, {"errors": counts(100, 0, 900, 0)} | restarted))
    judgement = judge(state, rules, 18 * LENGTH)
    assert judgement.proof["errors"] >= rules.promote_at
    assert judgement.verdict is Verdict.HOLD


def test_a_promotion_within_the_limits_tells_of_events_without_a_limit() -> None:
    state = start(TWICE, ("errors", "restarts"), SINCE)
    for index in range(18):
        shared = {"restarts": counts(1, 0, 9, int(index == 4))}
        state = observe(state, TWICE, block(index, {"errors": counts(100, 0, 900, 0)} | shared))
    judgement = judge(state, TWICE, 18 * LENGTH)
    assert judgement.verdict is Verdict.PROMOTE
    assert (
        "0/18 canary vs 1/162 stable restarts, which proves nothing either way"
        in judgement.sentence
    )


def test_a_quiet_promotion_says_in_how_many_blocks_something_spoke_against_it() -> None:
    rules = TWICE.model_copy(update={"stale_after": 1000 * LENGTH})
    state = after(rules, [counts(1, 1, 9, 0), *[counts(1, 0, 9, 0)] * 40])
    sentence = judge(state, rules, rules.last_deadline).sentence
    assert "not enough (in 1 block) spoke against it" in sentence


def test_a_block_that_speaks_for_the_canary_is_none_against_it() -> None:
    state = after(TWICE, [counts(10, 1, 90, 0), counts(10, 0, 90, 3), counts(10, 1, 90, 9)])
    assert state.metrics["errors"].against == 1


def test_a_rollout_begun_before_votes_were_counted_is_suspicious_by_its_evidence_alone() -> None:
    state = after(TWICE, ONE_ERROR)
    errors = state.metrics["errors"].model_copy(update={"against": None})
    older = state.model_copy(update={"metrics": {"errors": errors}})
    again = observe(older, TWICE, block(len(ONE_ERROR), {"errors": counts(100, 0, 900, 0)}))
    assert again.metrics["errors"].against is None
    assert judge(state, TWICE, elapsed_of(state)).verdict is Verdict.PROMOTE
    assert judge(older, TWICE, elapsed_of(state)).verdict is Verdict.HOLD


def test_without_a_stable_one_bad_block_is_suspicion() -> None:
    alone = TWICE.model_copy(update={"control_arm": False, "stale_after": 60 * LENGTH})
    state = after(alone, [counts(1, 1, 0, 0), *[counts(400, 0, 0, 0)] * 2])
    assert state.metrics["errors"].against == 0
    judgement = judge(state, alone, alone.min_bake)
    assert judgement.proof["errors"] >= alone.promote_at
    assert judgement.verdict is Verdict.HOLD


# --- warm-up -----------------------------------------------------------------------------------


def both(index: int) -> Block:
    return block(index, {"errors": counts(10, 1, 90, 1), "slow": counts(10, 5, 90, 1)})


def test_the_first_block_counts_for_metrics_that_need_no_warm_up() -> None:
    rules = RULES.model_copy(update={"warm_up_blocks": 1, "warmed": ("slow",)})
    state = observe(start(rules, ("errors", "slow"), SINCE), rules, both(0))
    assert state.metrics["errors"].step == counts(10, 1, 90, 1)
    assert state.metrics["slow"].step == counts(0, 0, 0, 0)
    assert state.metrics["slow"].seen == SINCE + LENGTH
    assert (state.step_blocks, state.warmed_blocks) == (1, 1)
    state = observe(state, rules, both(1))
    assert state.metrics["slow"].step == counts(10, 5, 90, 1)
    assert (state.step_blocks, state.warmed_blocks) == (2, 1)


def test_a_warm_up_in_time_leaves_out_every_metric() -> None:
    rules = RULES.model_copy(update={"warm_up": LENGTH, "warmed": ("slow",)})
    state = observe(start(rules, ("errors", "slow"), SINCE), rules, both(0))
    assert state.metrics["errors"].step == counts(0, 0, 0, 0)
    assert state.step_blocks == 0
