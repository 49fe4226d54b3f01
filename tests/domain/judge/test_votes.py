"""Per-pod votes: exact by enumeration, when they apply, and what they cost and gain."""

import math
from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.judge import (
    Block,
    Counts,
    JudgeRules,
    JudgeState,
    Pods,
    Reason,
    Stakes,
    Verdict,
    judge,
    observe,
    start,
)
from domain.judge.bets import WEALTH_CAP, regression_bet
from domain.judge.votes import EQUAL_TRAFFIC, POD_STAKES, equal_traffic, pod_factors, several
from tests.support.judge_streams import LENGTH, SINCE, counts

RULES = JudgeRules(limits={"errors": 0.01}, warm_up_blocks=0)


def pods_of(
    canary: tuple[int, ...],
    bad: tuple[int, ...],
    stable: tuple[int, ...],
) -> Pods:
    return Pods(
        canary_requests=canary,
        canary_bad={"errors": bad},
        stable_pods=len(stable),
        stable_least=min(stable, default=0),
        stable_most=max(stable, default=0),
    )


def factors(
    canary: tuple[int, ...], stable: tuple[int, ...], bad: tuple[int, ...], rho0: float
) -> tuple[float, ...]:
    """e_t(l) of one outcome: `bad` events per pod, the canary's first."""
    own = bad[: len(canary)]
    total = counts(sum(canary), sum(own), sum(stable), sum(bad) - sum(own))
    found = pod_factors(pods_of(canary, own, stable), own, total, rho0)
    return found or (1.0,) * len(POD_STAKES)


@given(
    bad=st.lists(st.integers(0, 30), min_size=3, max_size=5),
    canary=st.integers(2, 3),
    rho0=st.sampled_from((1.0, 1.1)),
)
def test_pods_that_could_change_places_never_make_the_votes_favourable(
    bad: list[int], canary: int, rho0: float
) -> None:
    """Whatever the pods counted, every way to name the canaries among them is as likely."""
    canary = min(canary, len(bad) - 1)
    orders = list(permutations(bad))
    arms = (10,) * canary, (10,) * (len(bad) - canary)
    for stake in range(len(POD_STAKES)):
        mean = sum(factors(*arms, order, rho0)[stake] for order in orders) / len(orders)
        assert mean <= 1 + 1e-9


@given(
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=4),
    canary=st.tuples(st.integers(5, 10), st.integers(5, 10)),
    stable=st.lists(st.integers(5, 10), min_size=1, max_size=2),
    rho0=st.sampled_from((1.0, 1.1, 2.0)),
    by_traffic=st.booleans(),
)
def test_causes_of_any_size_that_hit_pods_alike_never_make_the_votes_favourable(
    sizes: list[int],
    canary: tuple[int, int],
    stable: list[int],
    rho0: float,
    by_traffic: bool,
) -> None:
    """Each cause picks a pod, by traffic or not, a canary's rho0 times as often."""
    traffic = (*canary, *stable) if by_traffic else (1,) * (2 + len(stable))
    chances = [rho0 * traffic[0], rho0 * traffic[1], *traffic[2:]]
    chances = [chance / sum(chances) for chance in chances]
    expected = [0.0] * len(POD_STAKES)
    for hit in product(range(len(traffic)), repeat=len(sizes)):
        bad = tuple(
            sum(size for size, at in zip(sizes, hit, strict=True) if at == pod)
            for pod in range(len(traffic))
        )
        chance = math.prod(chances[pod] for pod in hit)
        found = factors(canary, tuple(stable), bad, rho0)
        expected = [total + chance * each for total, each in zip(expected, found, strict=True)]
    assert max(expected) <= 1 + 1e-9


def test_the_factor_is_the_formula() -> None:
    found = factors((10, 10), (10, 10, 10), (5, 2, 1, 1, 1), 1.0)
    assert found == pytest.approx(
        [(1 + stake * (5 / 2 - 1)) * (1 + stake * (2 / 2 - 1)) for stake in POD_STAKES]
    )


def test_the_order_of_the_pods_changes_nothing() -> None:
    ahead = factors((10, 12, 9), (10, 10), (5, 2, 0, 1, 1), 1.1)
    assert factors((9, 10, 12), (10, 10), (0, 5, 2, 1, 1), 1.1) == pytest.approx(ahead)


def test_a_thousand_canary_pods_neither_overflow_nor_die_of_it() -> None:
    loud = factors((10,) * 1000, (10,) * 9000, (3,) * 1000 + (0,) * 9000, 1.0)
    assert max(loud) <= WEALTH_CAP * 1.001
    assert min(factors((10,) * 1000, (10,) * 9000, (0,) * 9999 + (1,), 1.0)) == 0


def test_no_event_anywhere_is_no_vote() -> None:
    pods = pods_of((10, 10), (0, 0), (10, 10))
    assert pod_factors(pods, (0, 0), counts(20, 0, 20, 0), 1.1) is None


# --- when they apply ---------------------------------------------------------------------------


def test_one_canary_pod_or_no_stable_pod_is_nothing_to_compare() -> None:
    assert not several(pods_of((10,), (0,), (10, 10)))
    assert not several(pods_of((10, 10), (0, 0), ()))
    assert several(pods_of((10, 10), (0, 0), (10,)))


@pytest.mark.parametrize(
    ("canary", "stable", "equal"),
    [
        ((10, 20), (20, 20), True),
        ((10, 10), (10, 20), True),
        ((10, 21), (20, 20), False),
        ((10, 10), (10, 21), False),
        ((9, 10), (9, 19), False),
        ((20, 20), (9, 20), False),
        ((0, 0), (0, 0), False),
    ],
)
def test_about_equal_traffic_is_at_most_twice(
    canary: tuple[int, ...], stable: tuple[int, ...], equal: bool
) -> None:
    assert EQUAL_TRAFFIC == 2
    assert equal_traffic(pods_of(canary, (0,) * len(canary), stable)) is equal


def pod_block(index: int, block: Counts, pods: Pods | None) -> Block:
    begins = SINCE + index * LENGTH
    return Block(start=begins, end=begins + LENGTH, counts={"errors": block}, pods=pods)


def watched(block: Counts, pods: Pods | None, times: int, rules: JudgeRules = RULES) -> JudgeState:
    state = start(rules, ("errors",), SINCE)
    for index in range(times):
        state = observe(state, rules, pod_block(index, block, pods))
    return state


BAD = counts(300, 15, 700, 7)
WORSE = pods_of((100, 100, 100), (5, 5, 5), (100,) * 7)


def test_three_canary_pods_that_agree_are_believed_sooner_than_one_arm() -> None:
    by_arm = judge(watched(BAD, None, 5), RULES, 5 * LENGTH)
    by_pod = judge(watched(BAD, WORSE, 5), RULES, 5 * LENGTH)
    assert by_arm.evidence < 100 <= by_pod.evidence
    assert by_pod.reason is Reason.worse
    assert (
        "assumes nothing about the baseline, but that causes hit pods, not an arm: in 5 blocks of"
        " the rollout its pods were compared one by one" in by_pod.sentence
    )


def test_pods_that_agree_may_roll_back_before_arms_may() -> None:
    loud, pods = counts(300, 60, 700, 7), pods_of((100,) * 3, (20,) * 3, (100,) * 7)
    two = RULES.model_copy(update={"min_voted_blocks": 2})
    assert judge(watched(loud, pods, 1, two), two, LENGTH).verdict is Verdict.HOLD
    assert judge(watched(loud, pods, 1, two), two, LENGTH).evidence < 100
    assert judge(watched(loud, pods, 2, two), two, 2 * LENGTH).reason is Reason.worse
    assert judge(watched(loud, pods, 2), RULES, 2 * LENGTH).verdict is Verdict.HOLD
    assert judge(watched(loud, pods, 3), RULES, 3 * LENGTH).reason is Reason.worse


def test_one_voted_block_rolls_nothing_back_however_loud() -> None:
    canary = 20
    loud = counts(100 * canary, 50 * canary, 8000, 0)
    pods = pods_of((100,) * canary, (50,) * canary, (100,) * 80)
    two = RULES.model_copy(update={"min_voted_blocks": 2})
    assert judge(watched(loud, pods, 1, two), two, LENGTH).evidence > 100
    assert judge(watched(loud, pods, 1, two), two, LENGTH).verdict is Verdict.HOLD
    assert judge(watched(loud, pods, 2, two), two, 2 * LENGTH).verdict is Verdict.ROLL_BACK


@pytest.mark.parametrize("cold", [1, 5])
def test_errors_of_cold_pods_in_one_block_never_roll_back_a_version_that_is_fine_after_it(
    cold: int,
) -> None:
    """One failed request of each new pod while its caches fill, beside a stable without any."""
    rules = RULES.model_copy(update={"min_voted_blocks": 2, "stakes": Stakes.counted})
    state = start(rules, ("errors",), SINCE)
    first, then = (
        pods_of((30,) * 4, (cold,) * 4, (30,) * 30),
        pods_of(*[(30,) * 4, (0,) * 4, (30,) * 30]),
    )
    state = observe(state, rules, pod_block(0, counts(120, 4 * cold, 900, 0), first))
    for index in range(1, 20):
        state = observe(state, rules, pod_block(index, counts(120, 0, 900, 0), then))
        judgement = judge(state, rules, (index + 1) * LENGTH)
        assert judgement.evidence > 100
        assert judgement.verdict is not Verdict.ROLL_BACK
    state = observe(
        state,
        rules,
        pod_block(20, counts(120, 4, 900, 0), pods_of((30,) * 4, (1,) * 4, (30,) * 30)),
    )
    assert judge(state, rules, 21 * LENGTH).verdict is Verdict.ROLL_BACK


ONCE = RULES.model_copy(
    update={
        **{"min_voted_blocks": 2, "suspect_blocks": 2, "excused": 10.0},
        **{"stakes": Stakes.counted, "limits": {"errors": 0.05}},
    }
)


def after_one_bad_block(rules: JudgeRules, blocks: int) -> JudgeState:
    """Every canary pod failed once in the first block, none in those that follow."""
    bad, fine = (pods_of((30,) * 4, (failed,) * 4, (30,) * 30) for failed in (1, 0))
    first = pod_block(0, counts(120, 4, 900, 0), bad)
    state = observe(start(rules, ("errors",), SINCE), rules, first)
    for index in range(1, blocks):
        state = observe(state, rules, pod_block(index, counts(120, 0, 900, 0), fine))
    return state


def test_one_block_in_which_all_pods_failed_is_promoted_by_nobody_but_a_person() -> None:
    """However well it does afterwards: the evidence is more than one block may be excused for."""
    excusing = ONCE.model_copy(update={"excused": None})
    found = {}
    for rules in (ONCE, excusing):
        state = after_one_bad_block(rules, 20)
        judgement = judge(state, rules, 20 * LENGTH)
        assert judgement.evidence > rules.roll_back_at
        assert judgement.proof["errors"] >= rules.promote_at
        found[rules.excused] = judgement.verdict
    assert found == {10.0: Verdict.HOLD, None: Verdict.PROMOTE}
    late = ONCE.model_copy(update={"stale_after": ONCE.last_deadline})
    last = judge(after_one_bad_block(late, 20), late, late.last_deadline)
    assert last.reason is Reason.inconclusive
    assert "evidence of regression is e=" in last.sentence


def test_one_block_is_excused_below_the_bound_exactly() -> None:
    state = after_one_bad_block(ONCE, 20)
    evidence = judge(state, ONCE, 20 * LENGTH).evidence
    held, promoted = (
        judge(state, ONCE.model_copy(update={"excused": excused}), 20 * LENGTH)
        for excused in (evidence, evidence * 1.001)
    )
    assert held.verdict is Verdict.HOLD
    assert promoted.verdict is Verdict.PROMOTE
    assert "; not enough (in 1 block) spoke against it (e=" in promoted.sentence


def test_blocks_that_arms_decided_do_not_count_as_voted() -> None:
    loud, pods = counts(500, 250, 500, 0), pods_of((100,) * 5, (50,) * 5, (100,) * 5)
    two = RULES.model_copy(update={"min_voted_blocks": 2, "alpha": 0.2})
    state = observe(watched(loud, pods, 1, two), two, pod_block(1, loud, None))
    assert state.metrics["errors"].voted == 1
    judgement = judge(state, two, 2 * LENGTH)
    assert judgement.evidence >= two.roll_back_at
    assert judgement.verdict is Verdict.HOLD


def test_a_fault_of_one_canary_pod_is_not_taken_for_a_fault_of_the_version() -> None:
    one = pods_of((100,) * 5, (30, 0, 0, 0, 0), (100,) * 5)
    block = counts(500, 30, 500, 0)
    assert judge(watched(block, None, 10), RULES, 10 * LENGTH).reason is Reason.worse
    assert judge(watched(block, one, 10), RULES, 10 * LENGTH).reason is not Reason.worse


def test_pods_of_unequal_traffic_leave_the_comparison_to_the_arms_and_the_sentence_says_so() -> (
    None
):
    unequal = pods_of((150, 75, 75), (5, 5, 5), (100, 100, 100, 100, 100, 100, 100))
    unequal = unequal.model_copy(update={"stable_most": 151})
    state, plain = watched(BAD, unequal, 8), watched(BAD, None, 8)
    assert state.metrics["errors"].worse == plain.metrics["errors"].worse
    assert (
        "no fault sticks to one pod over blocks (pods were not compared one by one: in 8 blocks"
        " one had more than 2x the traffic of another)" in judge(state, RULES, 8 * LENGTH).sentence
    )


def test_the_plan_may_leave_votes_out() -> None:
    rules = RULES.model_copy(update={"pod_votes": False})
    assert watched(BAD, WORSE, 8, rules) == watched(BAD, None, 8, rules)


@pytest.mark.parametrize("pods", [None, pods_of((300,), (15,), (100,) * 7)])
def test_a_canary_of_one_pod_is_compared_by_arm(pods: Pods | None) -> None:
    state = watched(BAD, pods, 4)
    bet = regression_bet(RULES.rho0)
    wealth = bet.start()
    for _ in range(4):
        wealth = bet.observe(wealth, BAD)
    assert state.metrics["errors"].worse == wealth
    assert (state.metrics["errors"].voted, state.metrics["errors"].unequal) == (0, 0)


def test_votes_touch_neither_the_margin_nor_the_interval() -> None:
    by_arm, by_pod = (
        watched(BAD, None, 5).metrics["errors"],
        watched(BAD, WORSE, 5).metrics["errors"],
    )
    assert (by_arm.not_worse, by_arm.ratio) == (by_pod.not_worse, by_pod.ratio)


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(40, 120)),
        max_size=6,
    )
)
def test_a_state_with_votes_survives_json_after_every_block(
    stream: list[tuple[int, int, int, int]],
) -> None:
    direct = restored = start(RULES, ("errors",), SINCE)
    for index, (first, second, stable, requests) in enumerate(stream):
        pods = pods_of((requests, 60), (first, second), (60, 60))
        total = counts(requests + 60, first + second, 120, stable)
        block = pod_block(index, total, pods)
        stored = Block.model_validate_json(block.model_dump_json())
        direct = observe(direct, RULES, block)
        restored = observe(
            JudgeState.model_validate_json(restored.model_dump_json()), RULES, stored
        )
    assert restored == direct


def test_pods_without_a_count_each_are_refused() -> None:
    with pytest.raises(ValueError, match="errors of 1 canary pods, requests of 2"):
        pods_of((10, 10), (1,), (10,))
