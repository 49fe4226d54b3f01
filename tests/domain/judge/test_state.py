"""The judge's memory: JSON round trip, replay, steps, and blocks that do not fit."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import PermanentFailure
from domain.judge import (
    Block,
    Counts,
    JudgeRules,
    JudgeState,
    judge,
    margin_for,
    next_step,
    observe,
    start,
)
from tests.support.judge_streams import LENGTH, SINCE, after, block, counts

RULES = JudgeRules(limits={"errors": 0.01, "slow": 0.05}, floors={"errors": 0.001})
METRICS = ("errors", "slow", "restarts")
COUNTS = st.builds(
    counts, st.integers(0, 99), st.integers(0, 9), st.integers(0, 999), st.integers(0, 9)
)
STREAM = st.lists(st.dictionaries(st.sampled_from(METRICS), COUNTS), max_size=8)


@given(STREAM)
def test_a_state_that_went_through_json_after_every_block_ends_the_same(
    stream: list[dict[str, Counts]],
) -> None:
    direct = restored = start(RULES, METRICS, SINCE)
    for index, by_metric in enumerate(stream):
        direct = observe(direct, RULES, block(index, by_metric))
        restored = JudgeState.model_validate_json(restored.model_dump_json())
        restored = observe(restored, RULES, block(index, by_metric))
    assert restored == direct
    elapsed = LENGTH * len(stream)
    assert judge(restored, RULES, elapsed) == judge(direct, RULES, elapsed)


@given(STREAM, st.permutations(METRICS))
def test_a_state_whose_metrics_are_in_another_order_is_judged_the_same_to_the_last_digit(
    stream: list[dict[str, Counts]], order: list[str]
) -> None:
    state = after(RULES, stream, METRICS)
    # A record is stored with its names in alphabetical order, whatever they were begun in.
    stored = state.model_copy(update={"metrics": {name: state.metrics[name] for name in order}})
    elapsed = LENGTH * len(stream)
    assert judge(stored, RULES, elapsed) == judge(state, RULES, elapsed)


@given(STREAM)
def test_an_auditor_recomputes_the_state_from_stored_blocks(
    stream: list[dict[str, Counts]],
) -> None:
    stored = [block(index, by_metric).model_dump_json() for index, by_metric in enumerate(stream)]
    recomputed = start(RULES, METRICS, SINCE)
    for line in stored:
        recomputed = observe(recomputed, RULES, Block.model_validate_json(line))
    assert recomputed == after(RULES, stream, METRICS)


def test_a_block_delivered_twice_counts_once() -> None:
    state = after(RULES, [counts(10, 0, 90, 1)] * 3)
    assert observe(state, RULES, block(2, {"errors": counts(10, 5, 90, 0)})) == state
    assert observe(state, RULES, block(0, {"errors": counts(10, 5, 90, 0)})) == state


def test_a_block_over_the_weight_change_is_refused() -> None:
    state = start(RULES, METRICS, SINCE + timedelta(seconds=1))
    with pytest.raises(PermanentFailure, match="starts before 2026-03-01T12:00:01"):
        observe(state, RULES, block(0, {"errors": Counts()}))


def test_a_block_over_the_last_block_is_refused() -> None:
    state = after(RULES, [counts(10, 0, 90, 1)] * 2)
    late = Block(start=SINCE + 1.5 * LENGTH, end=SINCE + 3 * LENGTH, counts={})
    with pytest.raises(PermanentFailure, match="cut blocks there"):
        observe(state, RULES, late)


def test_a_metric_the_judge_was_not_started_with_is_refused_by_name() -> None:
    state = start(RULES, ("errors",), SINCE)
    with pytest.raises(PermanentFailure, match="counts saturation, which the judge was not"):
        observe(state, RULES, block(0, {"saturation": Counts()}))


def test_other_margins_than_the_rollout_began_with_are_refused() -> None:
    state = start(RULES, ("errors",), SINCE)
    other = RULES.model_copy(update={"margins": (4.0, 1.5)})
    with pytest.raises(PermanentFailure, match="keep them for the whole rollout"):
        observe(state, other, block(0, {"errors": Counts()}))


def test_a_judge_without_metrics_is_refused() -> None:
    with pytest.raises(PermanentFailure, match="no metric"):
        start(RULES, (), SINCE)


def test_a_block_must_span_time() -> None:
    with pytest.raises(ValueError, match="not after its start"):
        Block(start=SINCE, end=SINCE)


def test_blocks_of_the_warm_up_are_seen_but_not_counted() -> None:
    rules = RULES.model_copy(update={"warm_up_blocks": 2})
    state = after(rules, [counts(10, 10, 90, 0)] * 3)
    assert state.step_blocks == 1
    assert state.metrics["errors"].step == counts(10, 10, 90, 0)
    assert after(rules, [counts(10, 10, 90, 0)] * 2).metrics["errors"].step == Counts()
    assert after(rules, [counts(10, 10, 90, 0)] * 2).metrics["errors"].seen == SINCE + 2 * LENGTH


def test_a_warm_up_in_time_skips_the_blocks_that_begin_in_it() -> None:
    rules = RULES.model_copy(update={"warm_up_blocks": 0, "warm_up": 2.5 * LENGTH})
    assert after(rules, [counts(10, 0, 90, 0)] * 3).step_blocks == 0
    assert after(rules, [counts(10, 0, 90, 0)] * 4).step_blocks == 1
    exact = RULES.model_copy(update={"warm_up_blocks": 0, "warm_up": 2 * LENGTH})
    assert after(exact, [counts(10, 0, 90, 0)] * 3).step_blocks == 1


def test_a_new_step_keeps_the_evidence_and_forgets_its_counts() -> None:
    before = after(RULES, [counts(10, 1, 90, 1)] * 5)
    state = next_step(before, SINCE + 5 * LENGTH)
    errors = state.metrics["errors"]
    assert errors.worse == before.metrics["errors"].worse
    assert errors.not_worse == before.metrics["errors"].not_worse
    assert errors.floor == before.metrics["errors"].floor
    assert errors.rollout == before.metrics["errors"].rollout
    assert errors.step == Counts()
    assert errors.recent.stable_requests == 0
    assert (state.step_blocks, state.warmed_blocks, state.rollout_blocks) == (0, 0, 4)
    assert state.step_watched == timedelta(0)


def test_a_new_step_warms_up_again() -> None:
    state = next_step(after(RULES, [counts(10, 1, 90, 1)] * 2), SINCE + 2 * LENGTH)
    state = observe(state, RULES, block(2, {"errors": counts(50, 9, 50, 0)}))
    assert state.metrics["errors"].step == Counts()


def test_a_step_cannot_begin_inside_counted_blocks() -> None:
    state = after(RULES, [counts(10, 1, 90, 1)] * 2)
    with pytest.raises(PermanentFailure, match="already counted"):
        next_step(state, SINCE + LENGTH)


def test_a_metric_missing_from_a_block_keeps_its_evidence() -> None:
    state = after(RULES, [{"errors": counts(10, 1, 90, 1)}] * 3, METRICS)
    assert state.metrics["slow"].seen is None
    assert state.metrics["slow"].worse == start(RULES, METRICS, SINCE).metrics["slow"].worse


@pytest.mark.parametrize(
    ("weight", "margin"), [(1, 4), (10, 4), (10.1, 3), (25, 3), (25.1, 2), (50, 2), (100, 2)]
)
def test_the_margin_tightens_with_the_weight(weight: float, margin: float) -> None:
    assert margin_for(weight) == margin


def test_a_margin_without_process_is_refused() -> None:
    with pytest.raises(ValueError, match="not among the rollout's margins"):
        JudgeRules(margin=5)


def test_a_scaled_plan_scales_what_counts_as_silence() -> None:
    assert JudgeRules().silent_after == timedelta(minutes=2)
    assert JudgeRules(deadline=timedelta(seconds=1)).silent_after == timedelta(seconds=0.2)
    assert JudgeRules(stale_after=timedelta(seconds=7)).silent_after == timedelta(seconds=7)
