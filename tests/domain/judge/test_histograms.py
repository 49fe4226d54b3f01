"""Latency evidence over all bucket edges: exact, order-free, told by the edge that spoke."""

from datetime import timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.judge import (
    Block,
    Counts,
    Histogram,
    JudgeRules,
    JudgeState,
    Reason,
    judge,
    observe,
    start,
)
from domain.judge.bets import regression_bet
from domain.judge.case import Case
from tests.domain.judge.test_bets import binomial
from tests.support.judge_streams import LENGTH, SINCE, after, counts

RULES = JudgeRules(limits={"slow": 0.05}, warm_up_blocks=0)


def slow_block(
    index: int, slow: Counts, above: dict[float, tuple[int, int]] | None = None
) -> Block:
    histograms = {}
    if above is not None:
        canary, stable = zip(*above.values(), strict=True)
        histograms["slow"] = Histogram(edges=tuple(above), canary_above=canary, stable_above=stable)
    begins = SINCE + index * LENGTH
    return Block(start=begins, end=begins + LENGTH, counts={"slow": slow}, histograms=histograms)


def watched(blocks: list[Block], rules: JudgeRules = RULES) -> JudgeState:
    state = start(rules, ("slow",), SINCE)
    for block in blocks:
        state = observe(state, rules, block)
    return state


def evidence(state: JudgeState, rules: JudgeRules = RULES) -> float:
    return Case(state, rules, LENGTH).regression("slow")


def test_the_evidence_is_the_mean_over_the_limit_and_every_other_edge() -> None:
    state = watched([slow_block(0, counts(90, 9, 900, 20), {0.1: (40, 300), 1.0: (5, 1)})])
    bet = regression_bet(RULES.rho0)
    alone = [
        bet.evidence(bet.observe(bet.start(), counts(90, bad, 900, stable)))
        for bad, stable in ((9, 20), (40, 300), (5, 1))
    ]
    assert evidence(state) == pytest.approx(sum(alone) / 3)


@given(
    canary=st.integers(1, 3),
    stable=st.integers(1, 3),
    rates=st.tuples(st.floats(0.05, 0.6), st.floats(0.05, 0.35)),
)
def test_two_edges_over_the_same_requests_are_fair_together(
    canary: int, stable: int, rates: tuple[float, float]
) -> None:
    """Each request is fast, slow, or slower than the second edge, alike in both arms."""
    slower, slowest = rates
    rules = JudgeRules(rho0=1.0, limits={"slow": 0.05}, warm_up_blocks=0)
    expected = 0.0
    for bad, stable_bad in product(range(canary + 1), range(stable + 1)):
        chance = binomial(canary, bad, slower) * binomial(stable, stable_bad, slower)
        for high, stable_high in product(range(bad + 1), range(stable_bad + 1)):
            weight = (
                chance * binomial(bad, high, slowest) * binomial(stable_bad, stable_high, slowest)
            )
            block = slow_block(
                0, counts(canary, bad, stable, stable_bad), {5.0: (high, stable_high)}
            )
            expected += weight * evidence(watched([block], rules), rules)
    assert expected == pytest.approx(1)


def test_requests_that_hang_are_found_though_the_limit_sees_too_few() -> None:
    """1 % of the canary's requests hang; at the limit's edge 5 % of both arms are slow."""
    slow = counts(100, 6, 900, 45)
    plain = watched([slow_block(index, slow) for index in range(12)])
    hanging = watched(
        [
            slow_block(index, slow, {0.25: (20, 180), 5.0: (1, 0), 10.0: (1, 0)})
            for index in range(12)
        ]
    )
    assert evidence(plain) < 3
    judgement = judge(hanging, RULES, 12 * LENGTH)
    assert judgement.reason is Reason.worse
    assert (
        "canary got 10 % of requests but 100 % of the ones slower than 5 s (1 % vs 0 %)"
        in judgement.sentence
    )


def test_where_the_limit_speaks_loudest_the_sentence_shows_its_counts() -> None:
    blocks = [slow_block(index, counts(90, 60, 900, 9), {0.1: (80, 700)}) for index in range(6)]
    judgement = judge(watched(blocks), RULES, 6 * LENGTH)
    assert "of requests but 87 % of the slow ones" in judgement.sentence


def test_an_edge_that_speaks_no_louder_than_the_limit_is_not_named() -> None:
    state = watched([slow_block(0, counts(90, 9, 900, 20), {1.0: (9, 20), 5.0: (0, 0)})])
    assert Case(state, RULES, LENGTH).leading_edge("slow") is None


def test_without_histograms_the_evidence_is_that_of_the_limit_alone() -> None:
    slow = counts(90, 9, 900, 20)
    state = watched([slow_block(index, slow) for index in range(5)])
    assert state == after(RULES, [{"slow": slow}] * 5, ("slow",))
    assert state.metrics["slow"].edges == ()


def test_edges_do_not_join_once_the_limit_has_evidence() -> None:
    slow = counts(90, 9, 900, 20)
    blocks = [slow_block(0, slow), slow_block(1, slow, {1.0: (5, 1)})]
    assert watched(blocks).metrics["slow"].edges == ()


def test_edges_join_while_nothing_was_bad_yet() -> None:
    blocks = [slow_block(0, counts(9, 0, 90, 0)), slow_block(1, counts(9, 1, 90, 0), {1.0: (1, 0)})]
    assert [edge.edge for edge in watched(blocks).metrics["slow"].edges] == [1.0]


def test_an_edge_that_is_missing_in_a_block_keeps_its_evidence_and_a_new_one_is_ignored() -> None:
    slow = counts(90, 9, 900, 20)
    first = watched([slow_block(0, slow, {1.0: (5, 1)})])
    second = observe(first, RULES, slow_block(1, slow, {2.0: (5, 1)}))
    assert second.metrics["slow"].edges == first.metrics["slow"].edges
    third = observe(second, RULES, slow_block(2, slow))
    assert third.metrics["slow"].edges == first.metrics["slow"].edges


def test_the_order_of_the_edges_changes_nothing() -> None:
    slow, above = counts(90, 9, 900, 20), {0.1: (40, 300), 1.0: (5, 1), 2.5: (2, 0)}
    turned = dict(reversed(above.items()))
    ahead = watched([slow_block(index, slow, above) for index in range(5)])
    mixed = watched([slow_block(index, slow, turned if index else above) for index in range(5)])
    assert ahead == mixed


def test_the_margin_and_the_limit_are_proven_at_the_edge_of_the_limit_alone() -> None:
    slow = counts(100, 0, 900, 0)
    plain = watched([slow_block(index, slow) for index in range(20)])
    high = watched([slow_block(index, slow, {0.1: (10, 90)}) for index in range(20)])
    for state in (plain, high):
        judgement = judge(state, RULES, timedelta(minutes=5))
        assert judgement.reason is Reason.within_limit
    assert plain.metrics["slow"].not_worse == high.metrics["slow"].not_worse


STREAM = st.lists(
    st.dictionaries(
        st.sampled_from((0.1, 0.25, 1.0, 5.0)),
        st.tuples(st.integers(0, 9), st.integers(0, 9)),
        min_size=1,
    ),
    max_size=6,
)


@given(STREAM)
def test_a_state_with_edges_survives_json_after_every_block(
    stream: list[dict[float, tuple[int, int]]],
) -> None:
    direct = restored = start(RULES, ("slow",), SINCE)
    for index, above in enumerate(stream):
        block = slow_block(index, counts(9, 2, 90, 3), above)
        stored = Block.model_validate_json(block.model_dump_json())
        direct = observe(direct, RULES, block)
        restored = observe(
            JudgeState.model_validate_json(restored.model_dump_json()), RULES, stored
        )
    assert restored == direct


def test_a_histogram_without_a_count_per_edge_is_refused() -> None:
    with pytest.raises(ValueError, match="one count of each arm for each of"):
        Histogram(edges=(0.1, 0.5), canary_above=(1,), stable_above=(1, 2))
    with pytest.raises(ValueError, match="one count of each arm for each of"):
        Histogram(edges=(0.1, 0.1), canary_above=(1, 1), stable_above=(1, 2))
