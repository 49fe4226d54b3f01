"""Where the old revision serves no more: the limit, and what it was last known like."""

from __future__ import annotations

from itertools import product

import pytest

from domain.canary import known_of_stable
from domain.judge import (
    Counts,
    JudgeRules,
    JudgeState,
    Reason,
    Verdict,
    judge,
    next_step,
    observe,
    start,
)
from domain.judge.case import Case
from domain.judge.known import LastKnown
from tests.support.judge_streams import LENGTH, SINCE, after, block, counts, elapsed_of

ALONE = JudgeRules(limits={"errors": 0.01}, warm_up_blocks=0, control_arm=False)
BESIDE = JudgeRules(limits={"errors": 0.01}, warm_up_blocks=0)
# 0.05 % of 8000, surely under 0.168 %: 5x that is 0.84 %, inside the limit.
GOOD = LastKnown(requests=8000, bad=4)
# A dependency was down: 20 %, surely over 18.8 %.
WAS_OVER = LastKnown(requests=8000, bad=1600, over=True)


def knowing(known: LastKnown, rules: JudgeRules = ALONE, **values: object) -> JudgeRules:
    return rules.model_copy(update={"last_known": {"errors": known}, **values})


def alone(requests: int, bad: int) -> Counts:
    return counts(requests, bad, 0, 0)


def told(state: JudgeState, rules: JudgeRules) -> str:
    return judge(state, rules, elapsed_of(state)).sentence


def test_a_version_that_restarts_again_and_again_after_its_promotion_is_rolled_back() -> None:
    """The plan has no limit for restarts; the old revision had none in an hour."""
    beside = {"errors": counts(1000, 0, 9000, 0), "restarts": counts(10, 0, 90, 0)}
    state = start(BESIDE, ("errors", "restarts"), SINCE)
    for index in range(30):
        state = observe(state, BESIDE, block(index, beside))
    rules = ALONE.model_copy(update={"last_known": known_of_stable(state)})
    watch = start(rules, ("errors", "restarts"), SINCE)
    for index in range(12):
        looping = {"errors": counts(1000, 0, 0, 0), "restarts": counts(100, 30, 0, 0)}
        watch = observe(watch, rules, block(index, looping))
    judgement = judge(watch, rules, 12 * LENGTH)
    assert (judgement.verdict, judgement.reason) == (Verdict.ROLL_BACK, Reason.worse_than_known)
    assert "no limit is planned, the old revision was last known at 0 %" in judgement.sentence


def test_one_restart_in_the_watch_is_no_objection_where_the_old_revision_is_known() -> None:
    known = {"restarts": LastKnown(requests=2700, bad=2)}
    rules = ALONE.model_copy(update={"last_known": known, "stale_after": 200 * LENGTH})
    state = start(rules, ("errors", "restarts"), SINCE)
    for index in range(60):
        seen = {"errors": counts(9, 0, 0, 0), "restarts": counts(10, int(index == 3), 0, 0)}
        state = observe(state, rules, block(index, seen))
    assert judge(state, rules, 60 * LENGTH).verdict is Verdict.PROMOTE


# --- what was known ----------------------------------------------------------------------------


def test_what_it_surely_was_is_the_score_interval_of_a_poisson_rate() -> None:
    none = LastKnown(requests=1000, bad=0)
    assert (none.share, none.least) == (0.0, 0.0)
    assert none.most == pytest.approx(2.576**2 / 1000)
    some = LastKnown(requests=1000, bad=25)
    assert some.share == 0.025
    # Its ends are the rates from which 25 is 2.576 standard deviations away.
    for end in (some.least, some.most):
        assert abs(25 - 1000 * end) / (1000 * end) ** 0.5 == pytest.approx(2.576)
    assert some.least < some.share < some.most


def test_what_stable_counted_while_it_was_within_the_limit_is_known_of_it() -> None:
    state = after(BESIDE, [counts(100, 0, 900, 2)] * 6)
    assert known_of_stable(state) == {"errors": LastKnown(requests=5400, bad=12)}


def test_an_outage_that_is_over_is_left_out_of_what_is_known_as_good() -> None:
    good, outage = counts(100, 0, 900, 2), counts(100, 50, 900, 450)
    state = after(BESIDE, [*[good] * 6, *[outage] * 4, *[good] * 40])
    known = known_of_stable(state)["errors"]
    assert not known.over
    assert known.share == pytest.approx(2 / 900)
    assert 6 * 900 < known.requests < 46 * 900


def test_where_stable_was_over_the_limit_in_the_end_that_is_what_is_known() -> None:
    good, outage = counts(100, 0, 900, 2), counts(100, 50, 900, 450)
    known = known_of_stable(after(BESIDE, [*[good] * 6, *[outage] * 4]))["errors"]
    assert known == LastKnown(requests=4 * 900, bad=4 * 450, over=True)


def test_at_100_percent_nothing_of_it_is_lost_and_nothing_added() -> None:
    state = after(BESIDE, [counts(100, 0, 900, 2)] * 6)
    known = known_of_stable(state)
    state = next_step(state, elapsed_of(state) + SINCE)
    for index in range(6, 12):
        state = observe(state, ALONE, block(index, {"errors": alone(1000, 500)}))
    assert known_of_stable(state) == known


def test_without_a_request_nothing_is_known_and_without_a_limit_all_is() -> None:
    assert known_of_stable(None) == {}
    assert known_of_stable(after(BESIDE, [alone(100, 1)] * 3)) == {}
    without = JudgeRules(warm_up_blocks=0)
    known = known_of_stable(after(without, [counts(100, 0, 900, 2)] * 3))
    assert known == {"errors": LastKnown(requests=2700, bad=6)}


# --- the bar -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "bar"),
    [
        (GOOD, 5 * GOOD.most),
        (LastKnown(requests=8000, bad=72), 0.01),
        # Few requests prove nothing good, and excuse nothing.
        (LastKnown(requests=20, bad=0), 0.01),
        (LastKnown(requests=20, bad=1), 0.01),
        (WAS_OVER, 1.1 * WAS_OVER.least),
        (LastKnown(requests=100, bad=5, over=True), 1.1 * 0.0167),
        (LastKnown(requests=1000, bad=11, over=True), 0.01),
    ],
)
def test_the_bar_is_the_limit_unless_the_old_revision_was_much_better_or_surely_over_it(
    known: LastKnown, bar: float
) -> None:
    assert knowing(known).bar("errors") == pytest.approx(bar, rel=0.01)
    assert knowing(known).bar("slow") is None
    assert ALONE.bar("errors") == 0.01


@pytest.mark.parametrize("known", [GOOD, WAS_OVER])
def test_evidence_at_the_bar_has_expectation_one_by_enumeration(known: LastKnown) -> None:
    """Every sequence of 8 one-request blocks of a revision that is exactly as bad as the bar."""
    rules = knowing(known)
    bar = rules.bar("errors")
    assert bar is not None
    expected = 0.0
    for sequence in product((0, 1), repeat=8):
        state = after(rules, [alone(1, bad) for bad in sequence])
        chance = bar ** sum(sequence) * (1 - bar) ** (8 - sum(sequence))
        expected += chance * Case(state, rules, elapsed_of(state)).regression("errors")
    assert expected == pytest.approx(1.0)


# --- judged by it ------------------------------------------------------------------------------

INSIDE = [alone(2000, 17)] * 40
"""0.85 %: inside the limit of 1 %, and 17x what the old revision was known at."""


def first_rollback(rules: JudgeRules, blocks: list[Counts]) -> int | None:
    for count in range(1, len(blocks) + 1):
        state = after(rules, blocks[:count])
        if judge(state, rules, elapsed_of(state)).verdict is Verdict.ROLL_BACK:
            return count
    return None


def test_what_is_much_worse_than_the_old_revision_was_is_rolled_back_inside_the_limit() -> None:
    worse = [alone(2000, 19)] * 60
    assert first_rollback(ALONE, worse) is None
    rules = knowing(GOOD)
    at = first_rollback(rules, worse)
    assert at is not None
    judgement = judge(after(rules, worse[:at]), rules, at * LENGTH)
    assert judgement.reason is Reason.worse_than_known
    assert (
        "the plan's limit is 1 %, the old revision was last known at 0.05 % (4/8000): 5x the"
        " 0.168 % that it surely did not exceed is the bar, 0.84 %" in judgement.sentence
    )
    assert "a canary within it would look this bad in at most 1 of 1" in judgement.sentence
    assert "what the old revision was last known like: none serves beside it" in judgement.sentence


def test_what_is_no_worse_than_the_tolerance_stays() -> None:
    assert first_rollback(knowing(GOOD), [alone(2000, 15)] * 60) is None


def test_over_the_limit_is_rolled_back_whatever_good_was_known() -> None:
    over = [alone(2000, 60)] * 20
    for known in (GOOD, LastKnown(requests=8000, bad=72), LastKnown(requests=20, bad=0)):
        assert first_rollback(knowing(known), over) is not None


def test_over_the_limit_as_the_old_revision_was_is_held_and_names_both() -> None:
    rules = knowing(WAS_OVER)
    state = after(rules, [alone(1000, 200)] * 30)
    judgement = judge(state, rules, elapsed_of(state))
    assert (judgement.verdict, judgement.reason) == (Verdict.HOLD, Reason.as_before)
    assert judgement.metric == "errors"
    assert judgement.sentence.startswith(
        "Holding on errors: over the limit of 1 % (20 % of late), the old revision was last known"
        " at 20 % (1600/8000) and surely at 18.8 %: the bar is 20.6 %; it is not worse than that"
    )
    assert "going back would help nobody" in judgement.sentence


def test_what_is_worse_than_an_old_revision_that_was_over_the_limit_is_rolled_back() -> None:
    worse = [alone(1000, 400)] * 30
    rules = knowing(WAS_OVER)
    at = first_rollback(rules, worse)
    assert at is not None
    assert judge(after(rules, worse[:at]), rules, at * LENGTH).reason is Reason.over_limit


@pytest.mark.parametrize(
    "known", [LastKnown(requests=8000, bad=72), LastKnown(requests=1000, bad=11, over=True)]
)
def test_an_old_revision_that_was_not_surely_over_the_limit_excuses_nothing(
    known: LastKnown,
) -> None:
    rules = knowing(known)
    assert rules.bar("errors") == 0.01
    state = after(rules, [alone(1000, 25)] * 6)
    assert Case(state, rules, elapsed_of(state)).canary_over_limit("errors")
    assert judge(state, rules, elapsed_of(state)).reason is Reason.gathering


def test_the_hold_is_over_when_it_is_within_the_limit_again() -> None:
    rules = knowing(WAS_OVER)
    blocks = [*[alone(1000, 200)] * 6, *[alone(1000, 0)] * 40]
    held = after(rules, blocks[:6])
    assert judge(held, rules, elapsed_of(held)).reason is Reason.as_before
    healthy = after(rules, blocks)
    assert judge(healthy, rules, elapsed_of(healthy)).reason is not Reason.as_before


def test_beside_a_stable_nothing_but_the_comparison_counts() -> None:
    rules = knowing(WAS_OVER, BESIDE)
    state = after(rules, [counts(100, 1, 900, 2)] * 6)
    plain = after(BESIDE, [counts(100, 1, 900, 2)] * 6)
    assert judge(state, rules, elapsed_of(state)) == judge(plain, BESIDE, elapsed_of(plain))
    both = after(rules, [counts(100, 20, 900, 180)] * 6)
    assert judge(both, rules, elapsed_of(both)).reason is Reason.both_bad


def test_the_state_and_the_rules_survive_as_json() -> None:
    rules = knowing(GOOD)
    state = after(rules, INSIDE)
    assert JudgeState.model_validate_json(state.model_dump_json()) == state
    assert JudgeRules.model_validate_json(rules.model_dump_json()) == rules
    assert "bar is" not in told(state, ALONE)
