"""Each branch of the rule with its sentence, and its boundaries."""

import math
from collections.abc import Mapping
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.judge import (
    Counts,
    Judgement,
    JudgeRules,
    JudgeState,
    OnQuiet,
    PromoteBy,
    Reason,
    Verdict,
    judge,
    known,
    next_step,
    observe,
)
from domain.judge.bets import Wealth
from domain.judge.case import Case
from domain.judge.known import clearly_over
from tests.support.judge_streams import LENGTH, SINCE, after, block, counts, elapsed_of

RULES = JudgeRules(limits={"errors": 0.01}, warm_up_blocks=0)
METRICS = ("errors", "slow", "restarts")
MINUTE = timedelta(minutes=1)


def changed(rules: JudgeRules = RULES, **values: object) -> JudgeRules:
    return JudgeRules.model_validate(rules.model_dump() | values)


def judged(state: JudgeState, rules: JudgeRules, elapsed: timedelta | None = None) -> Judgement:
    return judge(state, rules, elapsed if elapsed is not None else elapsed_of(state))


def repeated(
    rules: JudgeRules, given: Counts | Mapping[str, Counts], times: int, length: timedelta = LENGTH
) -> Judgement:
    metrics = ("errors",) if isinstance(given, Counts) else tuple(given)
    state = after(rules, [given] * times, metrics, length)
    return judge(state, rules, length * times)


# --- roll back ---------------------------------------------------------------------------------


def test_a_worse_canary_is_rolled_back_and_the_sentence_shows_its_share() -> None:
    judgement = repeated(RULES, counts(90, 4, 900, 4), 2)
    assert (judgement.verdict, judgement.reason) == (Verdict.HOLD, Reason.gathering)
    judgement = repeated(RULES, counts(90, 4, 900, 4), 10)
    assert (judgement.verdict, judgement.reason) == (Verdict.ROLL_BACK, Reason.worse)
    assert judgement.sentence.startswith(
        "Rolled back after 100 s on errors: canary got 9 % of requests but 50 % of the bad ones"
        " (4.44 % vs 0.444 %, 10x) over 10 blocks; if it were no worse than 1.1x stable, evidence"
        " this strong would occur in at most 1 of "
    )
    assert "(limit 1 of 100)" in judgement.sentence
    assert "assumes nothing about the baseline" in judgement.sentence
    assert judgement.evidence >= judgement.thresholds.roll_back == 100
    assert judgement.time_needed is None


def test_a_rollback_needs_the_whole_of_its_evidence() -> None:
    state = after(RULES, [counts(90, 4, 900, 4)] * 10)
    evidence = judged(state, RULES).evidence
    assert judged(state, changed(alpha=1 / evidence)).verdict is Verdict.ROLL_BACK
    assert judged(state, changed(alpha=1 / (evidence * 1.001))).verdict is not Verdict.ROLL_BACK


def test_no_rollback_before_the_third_block() -> None:
    loud = counts(1, 1, 900, 0)
    assert repeated(RULES, loud, 2).evidence >= 100
    assert repeated(RULES, loud, 2).reason is Reason.gathering
    assert repeated(RULES, loud, 3).reason is Reason.worse


def test_a_rollback_in_a_later_step_needs_no_new_blocks() -> None:
    state = after(RULES, [counts(90, 2, 900, 4)] * 6)
    state = next_step(state, SINCE + 6 * LENGTH)
    state = observe(state, RULES, block(6, {"errors": counts(450, 200, 540, 0)}))
    state = observe(state, RULES, block(7, {"errors": counts(450, 200, 540, 0)}))
    judgement = judged(state, RULES)
    assert judgement.blocks == 2
    assert judgement.verdict is Verdict.ROLL_BACK


def test_a_canary_within_the_tolerance_is_never_rolled_back() -> None:
    state = after(RULES, [counts(1000, 11, 1000, 10)] * 720)
    assert Case(state, RULES, elapsed_of(state)).evidence() < 1


def test_a_worse_canary_is_rolled_back_also_when_both_arms_are_bad() -> None:
    judgement = repeated(RULES, counts(90, 60, 900, 60), 6)
    assert judgement.reason is Reason.worse


def test_a_rollback_does_not_wait_for_fresh_data() -> None:
    state = after(RULES, [counts(90, 20, 900, 4)] * 6)
    assert judged(state, RULES, timedelta(hours=1)).reason is Reason.worse


def test_a_stable_without_bad_events_gives_no_ratio() -> None:
    judgement = repeated(RULES, counts(90, 20, 900, 0), 4)
    assert "(22.2 % vs 0 %) over 4 blocks" in judgement.sentence


def test_one_bad_metric_of_three_rolls_back_on_the_mean_and_is_named() -> None:
    quiet = counts(90, 0, 900, 0)
    by_metric = {"errors": quiet, "slow": counts(90, 60, 900, 9), "restarts": counts(1, 0, 9, 0)}
    state = after(RULES, [by_metric] * 3, METRICS)
    case = Case(state, RULES, 3 * LENGTH)
    assert case.evidence() == pytest.approx((2 + case.regression("slow")) / 3)
    judgement = repeated(RULES, by_metric, 6)
    assert (judgement.verdict, judgement.metric) == (Verdict.ROLL_BACK, "slow")
    assert "of requests but 87 % of the slow ones" in judgement.sentence


def test_restarts_without_any_in_stable_can_roll_back() -> None:
    by_metric = {"errors": counts(9, 0, 81, 0), "restarts": counts(1, 1, 9, 0)}
    judgement = repeated(RULES, by_metric, 5)
    assert (judgement.reason, judgement.metric) == (Reason.worse, "restarts")
    assert "canary got 10 % of pod time but 100 % of the restarts" in judgement.sentence


def test_a_heavier_metric_rolls_back_sooner() -> None:
    by_metric = {"errors": counts(90, 20, 900, 4), "slow": counts(90, 0, 900, 0)}
    state = after(RULES, [by_metric] * 4, ("errors", "slow"))
    light = judged(state, changed(metric_weights={"slow": 9.0})).evidence
    heavy = judged(state, changed(metric_weights={"errors": 9.0})).evidence
    regression = Case(state, RULES, 4 * LENGTH).regression("errors")
    assert heavy == pytest.approx(0.9 * regression + 0.1)
    assert light == pytest.approx(0.1 * regression + 0.9)


def test_a_regression_under_the_floor_does_not_roll_back() -> None:
    floor = changed(floors={"errors": 0.001})
    tiny = counts(100_000, 5, 900_000, 9)
    assert repeated(RULES, tiny, 40).verdict is Verdict.ROLL_BACK
    below = after(floor, [tiny] * 40)
    case = Case(below, floor, 40 * LENGTH)
    assert case.evidence() >= 100
    assert case.counted_evidence() == 0
    assert judged(below, floor).verdict is not Verdict.ROLL_BACK


def test_a_regression_above_the_floor_rolls_back_even_after_the_rate_has_fallen() -> None:
    floor = changed(floors={"errors": 0.001})
    assert repeated(floor, counts(900, 40, 9000, 4), 6).verdict is Verdict.ROLL_BACK


def test_evidence_of_an_earlier_step_rolls_back_on_the_counts_of_the_rollout() -> None:
    state = next_step(after(RULES, [counts(90, 20, 900, 4)] * 4), SINCE + 4 * LENGTH)
    judgement = judged(state, RULES)
    assert judgement.verdict is Verdict.ROLL_BACK
    assert "(22.2 % vs 0.444 %, 50x)" in judgement.sentence


def test_without_tolerance_the_sentence_names_none() -> None:
    judgement = repeated(changed(rho0=1.0), counts(90, 20, 900, 4), 6)
    assert "if it were no worse than stable, evidence" in judgement.sentence


def test_overwhelming_evidence_is_told_in_round_numbers() -> None:
    judgement = repeated(RULES, counts(90, 60, 900, 4), 30)
    assert "in at most 1 of more than 1,000,000 rollouts" in judgement.sentence


def test_the_floor_is_passed_at_exactly_its_threshold() -> None:
    floor = changed(floors={"errors": 0.001})
    state = after(floor, [counts(90, 20, 900, 4)])

    def passed(peak: float) -> bool:
        metric = state.metrics["errors"].model_copy(update={"floor_peak": peak})
        case = Case(state.model_copy(update={"metrics": {"errors": metric}}), floor, LENGTH)
        return case.above_floor("errors")

    assert passed(100.0)
    assert not passed(99.99)


# --- no stable to compare with -----------------------------------------------------------------

ALONE = changed(control_arm=False, limits={"errors": 0.01, "slow": 0.05})


def test_a_first_release_over_its_limit_is_rolled_back_and_says_what_it_was_judged_by() -> None:
    both = {"errors": counts(100, 8, 0, 0), "slow": counts(100, 1, 0, 0)}
    judgement = repeated(ALONE, both, 6)
    assert (judgement.reason, judgement.metric) == (Reason.over_limit, "errors")
    assert judgement.sentence.startswith(
        "Rolled back after 60 s on errors: 48/600 canary bad (8 %) over 6 blocks, the plan's limit"
        " is 1 %; a canary within it would look this bad in at most 1 of "
    )
    assert judgement.sentence.endswith(
        "judged against the plan's limits only: no stable serves beside it"
    )


def test_a_first_release_needs_three_blocks_to_be_rolled_back() -> None:
    failing = counts(100, 100, 0, 0)
    alone = changed(ALONE, limits={"errors": 0.01})
    assert repeated(alone, failing, 2).evidence > 100
    assert repeated(alone, failing, 2).verdict is Verdict.HOLD
    assert repeated(alone, failing, 3).verdict is Verdict.ROLL_BACK


def test_a_first_release_at_its_limit_is_not_rolled_back() -> None:
    judgement = repeated(changed(ALONE, limits={"errors": 0.01}), counts(100, 1, 0, 0), 200)
    assert judgement.verdict is not Verdict.ROLL_BACK


def test_a_healthy_first_release_is_promoted_within_its_limits() -> None:
    both = {"errors": counts(100, 0, 0, 0), "slow": counts(100, 1, 0, 0)}
    judgement = repeated(ALONE, both, 20)
    assert judgement.reason is Reason.within_limit
    assert "0/2000 canary bad, within the limit of 1 %" in judgement.sentence
    assert "20/2000 canary slow, within the limit of 5 %" in judgement.sentence
    assert judgement.sentence.endswith(
        "judged against the plan's limits only: no stable serves beside it"
    )


def test_promote_relative_cannot_forbid_the_only_rule_a_first_release_has() -> None:
    rules = changed(ALONE, promote=PromoteBy.relative, limits={"errors": 0.01})
    assert repeated(rules, counts(100, 0, 0, 0), 20).reason is Reason.within_limit


def test_a_first_release_without_blocks_is_gathering() -> None:
    state = after(ALONE, [], ("errors", "slow"))
    judgement = judged(state, ALONE, timedelta(seconds=30))
    assert judgement.reason is Reason.gathering
    assert "needed to prove it within the limit" in judgement.sentence
    assert judgement.evidence == 1


def test_a_quiet_first_release_is_advanced_and_says_what_it_was_judged_by() -> None:
    alone = changed(ALONE, limits={"errors": 0.2}, beta=1e-9)
    judgement = repeated(alone, counts(10, 1, 0, 0), 12, timedelta(seconds=50))
    assert (judgement.verdict, judgement.reason) == (Verdict.PROMOTE, Reason.quiet)
    assert "120 canary requests, 12 bad" in judgement.sentence
    assert judgement.sentence.endswith("no stable serves beside it")


def test_a_first_release_that_restarts_is_never_promoted_without_a_person() -> None:
    both = {"errors": counts(100, 0, 0, 0), "restarts": counts(1, 1, 0, 0)}
    alone = changed(ALONE, limits={"errors": 0.01})
    state = after(alone, [both] * 240, ("errors", "restarts"))
    assert judged(state, alone, 12 * MINUTE).verdict is Verdict.HOLD
    assert judged(state, alone, 40 * MINUTE).reason is Reason.inconclusive


# --- hold: data, dependencies ------------------------------------------------------------------


def test_no_block_at_all_is_gathering_first_and_no_data_when_it_lasts() -> None:
    state = after(RULES, [])
    assert judged(state, RULES, timedelta(0)).reason is Reason.gathering
    assert judged(state, RULES, 2 * MINUTE).reason is Reason.gathering
    silent = judged(state, RULES, 2 * MINUTE + LENGTH)
    assert (silent.verdict, silent.reason) == (Verdict.HOLD, Reason.no_data)
    assert silent.sentence.startswith("Holding: no data on errors for more than 2 min")


def test_a_source_that_falls_silent_stops_every_promotion() -> None:
    clean = counts(100, 0, 900, 0)
    state = after(RULES, [clean] * 30)
    assert judged(state, RULES, 5 * MINUTE).verdict is Verdict.PROMOTE
    assert judged(state, RULES, 7 * MINUTE).verdict is Verdict.PROMOTE
    assert judged(state, RULES, 7 * MINUTE + LENGTH).reason is Reason.no_data
    assert judged(state, RULES, 60 * MINUTE).reason is Reason.no_data


def test_one_silent_metric_of_two_is_no_data_and_is_named() -> None:
    state = after(RULES, [{"errors": counts(100, 0, 900, 0)}] * 30, ("errors", "slow"))
    judgement = judged(state, RULES)
    assert (judgement.reason, judgement.metric) == (Reason.no_data, "slow")


def test_both_arms_bad_is_held_as_a_dependency_that_is_down() -> None:
    judgement = repeated(RULES, counts(100, 50, 900, 450), 30)
    assert (judgement.verdict, judgement.reason) == (Verdict.HOLD, Reason.both_bad)
    assert "both arms are over the limit of 1 % (canary 50 %, stable 50 % of late)" in (
        judgement.sentence
    )
    assert "a dependency is down" in judgement.sentence


def test_a_dependency_that_recovered_lets_the_release_go_on() -> None:
    bad, good = counts(100, 50, 900, 450), counts(100, 0, 900, 0)
    assert judged(after(RULES, [good] * 20 + [bad] * 3), RULES).reason is Reason.both_bad
    recovered = after(RULES, [bad] * 6 + [good] * 30)
    assert judged(recovered, RULES).reason is Reason.gathering
    much_later = after(RULES, [bad] * 6 + [good] * 120)
    assert judged(much_later, RULES).verdict is Verdict.PROMOTE


def test_being_better_than_a_broken_stable_promotes_nobody() -> None:
    judgement = repeated(RULES, counts(100, 0, 900, 450), 30)
    assert judgement.proof["errors"] >= 20
    assert (judgement.verdict, judgement.reason) == (Verdict.HOLD, Reason.stable_bad)
    assert "a person promotes with a reason" in judgement.sentence


@pytest.mark.parametrize(
    ("requests", "bad", "over"),
    [
        (1000, 10, False),
        (1000, 20, False),
        (1000, 22, True),
        (0, 0, False),
        (0, 3, False),
        (3, 3, True),
    ],
)
def test_clearly_over_means_three_standard_deviations(
    requests: float, bad: float, over: bool
) -> None:
    assert clearly_over(requests, bad, 0.01) is over


# --- promote -----------------------------------------------------------------------------------


def test_a_canary_proven_not_worse_is_promoted_and_the_sentence_counts() -> None:
    judgement = repeated(RULES, counts(100, 1, 900, 9), 30)
    assert (judgement.verdict, judgement.reason) == (Verdict.PROMOTE, Reason.relative)
    assert judgement.sentence.startswith(
        "Promoted: 30/3000 canary vs 270/27000 stable bad; a canary 4x worse would look this good"
        " in at most 1 of "
    )
    assert "(limit 1 of 20)" in judgement.sentence


def test_a_promotion_needs_the_whole_of_its_evidence() -> None:
    state = after(RULES, [counts(100, 1, 900, 9)] * 30)
    strict = changed(promote=PromoteBy.relative)
    proof = Case(state, strict, 5 * MINUTE).not_worse("errors")
    assert judged(state, changed(strict, beta=1 / proof)).reason is Reason.relative
    assert judged(state, changed(strict, beta=1 / (proof * 1.001))).reason is Reason.gathering


def test_a_smaller_margin_needs_more_evidence() -> None:
    state = after(RULES, [counts(100, 1, 900, 9)] * 12)
    four, three, two = (
        Case(state, changed(margin=margin), 2 * MINUTE).not_worse("errors")
        for margin in (4.0, 3.0, 2.0)
    )
    assert four > three > two > 1


def test_a_promotion_waits_for_three_blocks_of_its_own_step() -> None:
    state = next_step(after(RULES, [counts(100, 1, 900, 9)] * 60), SINCE + 60 * LENGTH)
    for index in (60, 61):
        state = observe(state, RULES, block(index, {"errors": counts(500, 5, 500, 5)}))
    assert judged(state, RULES).verdict is Verdict.HOLD
    state = observe(state, RULES, block(62, {"errors": counts(500, 5, 500, 5)}))
    assert judged(state, RULES).reason is Reason.relative


def test_a_metric_without_events_never_blocks_a_relative_promotion() -> None:
    both = {"errors": counts(100, 1, 900, 9), "restarts": counts(1, 0, 9, 0)}
    judgement = repeated(RULES, both, 30)
    assert judgement.reason is Reason.relative
    assert judgement.sentence.endswith("no event on restarts")


def test_every_metric_with_events_must_be_proven() -> None:
    both = {"errors": counts(100, 1, 900, 9), "slow": counts(100, 6, 900, 20)}
    strict = changed(promote=PromoteBy.relative, limits={"errors": 0.01, "slow": 0.5})
    assert repeated(strict, both, 8).verdict is Verdict.HOLD


def test_a_clean_canary_is_promoted_within_the_limit_once_it_has_baked() -> None:
    clean = counts(40, 0, 360, 0)
    state = after(RULES, [clean] * 18)
    assert judged(state, RULES, 3 * MINUTE - timedelta(milliseconds=1)).reason is Reason.gathering
    judgement = judged(state, RULES, 3 * MINUTE)
    assert (judgement.verdict, judgement.reason) == (Verdict.PROMOTE, Reason.within_limit)
    assert judgement.sentence.startswith(
        "Promoted: 0/720 canary bad, within the limit of 1 %; a canary at the limit would look this"
        " good in at most 1 of "
    )
    assert "assumes that requests fail independently" in judgement.sentence


def test_within_the_limit_needs_the_whole_of_its_evidence() -> None:
    state = after(RULES, [counts(40, 0, 360, 0)] * 18)
    proof = Case(state, RULES, 3 * MINUTE).under_limit("errors")
    assert judged(state, changed(beta=1 / proof)).verdict is Verdict.PROMOTE
    assert judged(state, changed(beta=1 / (proof * 1.001))).verdict is Verdict.HOLD


def test_promote_relative_forbids_the_within_limit_rule() -> None:
    judgement = repeated(changed(promote=PromoteBy.relative), counts(40, 0, 360, 0), 20)
    assert judgement.reason is Reason.gathering


def test_a_suspicious_canary_is_not_promoted_within_the_limit() -> None:
    state = after(RULES, [counts(100, 0, 900, 0)] * 40 + [counts(100, 1, 900, 0)])
    case = Case(state, RULES, elapsed_of(state))
    assert case.under_limit("errors") >= 20
    assert 3 <= case.regression("errors") < 100
    assert judged(state, RULES).verdict is Verdict.HOLD


def test_suspicion_begins_at_exactly_three() -> None:
    state = after(RULES, [counts(100, 0, 900, 0)])

    def suspicious(wealth: float) -> bool:
        worse = Wealth(bets=(wealth - 0.1, 0, 0, 0, 0), blocks=1)
        metric = state.metrics["errors"].model_copy(update={"worse": worse, "against": 1})
        case = Case(state.model_copy(update={"metrics": {"errors": metric}}), RULES, LENGTH)
        return case.suspicious()

    assert suspicious(3.0)
    assert not suspicious(2.99)


def test_a_metric_without_limit_needs_no_proof_beside_a_stable() -> None:
    both = {"errors": counts(100, 0, 900, 0), "restarts": counts(1, 0, 9, 1)}
    clean = both | {"restarts": counts(1, 0, 9, 0)}
    state = after(RULES, [both] + [clean] * 20, ("errors", "restarts"))
    judgement = judged(state, RULES)
    assert judgement.reason is Reason.within_limit


def test_within_the_limit_wants_a_proof_for_every_metric_that_has_a_limit() -> None:
    rules = changed(limits={"errors": 0.01, "slow": 0.05})
    both = {"errors": counts(10, 0, 90, 0), "slow": counts(10, 0, 90, 0)}
    judgement = repeated(rules, both, 20)
    assert judgement.proof["slow"] >= 20 > judgement.proof["errors"]
    assert judgement.verdict is Verdict.HOLD
    assert judgement.sentence.startswith("Holding on errors")


def test_one_metric_within_its_limit_and_one_not_worse_promote_together() -> None:
    rules = changed(limits={"errors": 0.01, "slow": 0.05})
    slow = counts(100, 5, 900, 45)
    once = {"errors": counts(100, 0, 900, 1), "slow": slow}
    clean = {"errors": counts(100, 0, 900, 0), "slow": slow}
    state = after(rules, [once] + [clean] * 29, ("errors", "slow"))
    judgement = judged(state, rules)
    assert (judgement.verdict, judgement.reason) == (Verdict.PROMOTE, Reason.within_limit)
    assert "0/3000 canary bad, within the limit of 1 %; 150/3000 canary vs 1350/27000 stable" in (
        judgement.sentence
    )
    assert "slow, not 4x worse than stable" in judgement.sentence
    strict = changed(rules, promote=PromoteBy.relative)
    assert judged(state, strict).verdict is Verdict.HOLD


# --- quiet -------------------------------------------------------------------------------------

TRICKLE = counts(1, 0, 9, 0)


def quiet_after(minutes: float, rules: JudgeRules = RULES, given: Counts = TRICKLE) -> Judgement:
    state = after(rules, [given] * 240)
    state = state.model_copy(update={"until": SINCE + 60 * MINUTE})
    errors = state.metrics["errors"].model_copy(update={"seen": SINCE + 60 * MINUTE})
    state = state.model_copy(update={"metrics": {"errors": errors}})
    return judged(state, rules, minutes * MINUTE)


def test_a_quiet_service_is_advanced_at_the_deadline_with_its_power() -> None:
    crawl = changed(limits={"errors": 0.001})
    state = after(crawl, [TRICKLE] * 31, length=20 * timedelta(seconds=1))
    assert judged(state, crawl, 10 * MINUTE - LENGTH).reason is Reason.gathering
    judgement = judged(state, crawl, 10 * MINUTE)
    assert (judgement.verdict, judgement.reason) == (Verdict.PROMOTE, Reason.quiet)
    assert (
        "advanced without proof at the deadline (10 min): 31 canary requests, none bad; a canary"
        " failing 20 % of requests would have been caught with probability 99 %"
    ) in judgement.sentence
    assert "not covered by the promotion limit of 1 of 20" in judgement.sentence


def test_the_deadline_is_extended_while_a_proof_is_within_reach() -> None:
    state = after(RULES, [counts(5, 0, 45, 0)] * 60)
    judgement = judged(state, RULES, 10 * MINUTE)
    assert judgement.reason is Reason.gathering
    assert judgement.time_needed is not None
    assert judgement.time_needed <= 5 * MINUTE
    short = changed(extensions=0)
    assert judged(state, short, 10 * MINUTE).reason is Reason.quiet


def test_a_proof_due_at_the_very_last_deadline_is_waited_for() -> None:
    state = after(RULES, [counts(5, 0, 45, 0)] * 30)
    assert judged(state, RULES).time_needed == 7 * MINUTE
    for seconds, reason in ((240, Reason.gathering), (239, Reason.quiet)):
        rules = changed(deadline=timedelta(seconds=seconds), extensions=2, stale_after=LENGTH)
        assert judged(state, rules).reason is reason


def test_a_silent_service_is_advanced_after_deadline_and_extensions() -> None:
    rules = changed(limits={"errors": 0.005})
    reachable = after(rules, [counts(4, 0, 36, 0)] * 60)
    assert judged(reachable, rules, 10 * MINUTE).reason is Reason.gathering
    stalled = changed(rules, stale_after=timedelta(hours=2))
    assert judged(reachable, stalled, 39 * MINUTE).reason is Reason.quiet
    assert judged(reachable, stalled, 40 * MINUTE).reason is Reason.quiet


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 3),
    st.integers(0, 3600),
    st.integers(0, 5),
)
def test_nothing_is_advanced_without_proof_before_it_has_baked(
    bake: int, deadline: int, extensions: int, seconds: int, requests: int
) -> None:
    rules = changed(
        min_bake=bake * MINUTE,
        deadline=deadline * MINUTE,
        extensions=extensions,
        limits={"errors": 0.001},
        stale_after=timedelta(hours=2),
    )
    state = after(rules, [counts(requests, 0, 9 * requests, 0)] * 60)
    judgement = judged(state, rules, timedelta(seconds=seconds))
    if judgement.reason in (Reason.quiet, Reason.quiet_hold, Reason.needs_load):
        assert seconds >= 60 * bake


def test_a_deadline_before_the_bake_does_not_shorten_it() -> None:
    rules = changed(min_bake=20 * MINUTE, deadline=MINUTE, extensions=0, limits={"errors": 0.001})
    rules = changed(rules, stale_after=timedelta(hours=2))
    state = after(rules, [TRICKLE] * 60)
    early = judged(state, rules, 19 * MINUTE)
    assert (early.verdict, early.reason) == (Verdict.HOLD, Reason.gathering)
    assert judged(state, rules, 20 * MINUTE).reason is Reason.quiet


def test_a_plan_may_hold_a_quiet_service() -> None:
    judgement = quiet_after(40, changed(on_quiet=OnQuiet.hold, limits={"errors": 0.001}))
    assert (judgement.verdict, judgement.reason) == (Verdict.HOLD, Reason.quiet_hold)
    assert "240 canary requests, none bad" in judgement.sentence


def test_a_plan_may_ask_for_load_on_a_quiet_service() -> None:
    judgement = quiet_after(40, changed(on_quiet=OnQuiet.synthetic, limits={"errors": 0.001}))
    assert (judgement.verdict, judgement.reason) == (Verdict.HOLD, Reason.needs_load)
    assert "run the plan's declared load" in judgement.sentence


def test_under_min_requests_is_no_traffic_and_held() -> None:
    rules = changed(stale_after=timedelta(hours=2), limits={"errors": 0.001})
    nineteen, twenty = (after(rules, [counts(n, 0, 9, 0)] * 4) for n in (4, 5))
    nineteen = after(rules, [counts(19, 0, 9, 0), *[counts(0, 0, 9, 0)] * 3])
    judgement = judged(nineteen, rules, 40 * MINUTE)
    assert (judgement.verdict, judgement.reason) == (Verdict.HOLD, Reason.no_traffic)
    assert judgement.sentence == (
        "Holding: no traffic: 19 canary requests in 40 min, 20 are needed; next: send synthetic"
        " load, or a person promotes with a reason"
    )
    assert judged(twenty, rules, 40 * MINUTE).reason is Reason.quiet


def test_no_request_at_all_is_no_traffic_from_the_deadline_on() -> None:
    rules = changed(stale_after=timedelta(hours=2))
    state = after(rules, [Counts()] * 60)
    assert judged(state, rules, 9 * MINUTE).reason is Reason.gathering
    assert judged(state, rules, 10 * MINUTE).reason is Reason.no_traffic


def test_a_suspicious_canary_gets_all_extensions_and_then_a_person() -> None:
    rules = changed(stale_after=timedelta(hours=2), limits={"errors": 0.2})
    state = after(rules, [counts(10, 0, 90, 0)] * 6 + [counts(10, 1, 90, 0)])
    assert judged(state, rules, 39 * MINUTE).reason is Reason.gathering
    judgement = judged(state, rules, 40 * MINUTE)
    assert (judgement.verdict, judgement.reason) == (Verdict.HOLD, Reason.inconclusive)
    assert "the last deadline (40 min) has passed" in judgement.sentence
    assert "a person promotes with a reason or aborts" in judgement.sentence


def test_a_canary_over_the_limit_without_stable_traffic_is_not_advanced() -> None:
    rules = changed(stale_after=timedelta(hours=2))
    state = after(rules, [counts(10, 10, 0, 0)] * 6)
    judgement = judged(state, rules, 40 * MINUTE)
    assert judgement.reason is Reason.inconclusive
    assert "errors is over its limit" in judgement.sentence


def test_a_canary_that_began_to_fail_without_stable_traffic_is_not_advanced() -> None:
    rules = changed(stale_after=timedelta(hours=2), beta=1e-12)
    fine, failing = counts(10, 0, 0, 0), counts(10, 10, 0, 0)
    began = after(rules, [fine] * 100 + [failing])
    ended = after(rules, [failing] * 6 + [fine] * 40)
    for state in (began, ended):
        judgement = judged(state, rules, 40 * MINUTE)
        assert judgement.reason is Reason.inconclusive
        assert "errors is over its limit" in judgement.sentence


def test_too_few_blocks_are_not_advanced() -> None:
    rules = changed(stale_after=timedelta(hours=2))
    state = after(rules, [counts(50, 0, 450, 0)] * 2)
    assert judged(state, rules, 12 * MINUTE).reason is Reason.gathering
    judgement = judged(state, rules, 40 * MINUTE)
    assert judgement.reason is Reason.inconclusive
    assert "only 2 blocks of 3" in judgement.sentence


# --- gathering ---------------------------------------------------------------------------------


def test_gathering_says_both_evidences_and_the_time_still_needed() -> None:
    judgement = repeated(RULES, counts(5, 0, 45, 0), 30)
    assert judgement.reason is Reason.gathering
    assert judgement.sentence.startswith("Holding on errors: e=")
    assert "of 20 needed to prove it within the limit; evidence of regression e=1 of 100" in (
        judgement.sentence
    )
    assert judgement.sentence.endswith("more at 0.5 req/s to the canary")
    assert judgement.time_needed is not None
    assert 7 * MINUTE <= judgement.time_needed < 8 * MINUTE


def test_gathering_for_the_comparison_names_the_margin() -> None:
    judgement = repeated(RULES, counts(100, 1, 900, 9), 5)
    assert judgement.reason is Reason.gathering
    assert "of 20 needed to rule out >4x worse" in judgement.sentence


def test_a_judgement_goes_through_json() -> None:
    judgement = repeated(RULES, counts(5, 0, 45, 0), 30)
    assert Judgement.model_validate_json(judgement.model_dump_json()) == judgement


@pytest.mark.parametrize("factor", [1, 0.01, 0.001])
def test_a_rehearsal_clock_changes_no_verdict(factor: float) -> None:
    rules = changed(min_bake=3 * MINUTE * factor, deadline=10 * MINUTE * factor)
    verdicts = [
        repeated(rules, counts(*values), times, LENGTH * factor).reason
        for values, times in (
            ((90, 20, 900, 4), 6),
            ((40, 0, 360, 0), 20),
            ((100, 1, 900, 9), 30),
            ((1, 0, 9, 0), 60),
            ((0, 0, 9, 0), 60),
        )
    ]
    assert verdicts == [
        Reason.worse,
        Reason.within_limit,
        Reason.relative,
        Reason.quiet,
        Reason.no_traffic,
    ]


def test_clearly_over_begins_at_exactly_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    exactly = 22 * math.log(22 / 10) - (22 - 10)
    monkeypatch.setattr(known, "CLEARLY_OVER", exactly)
    assert clearly_over(1000, 22, 0.01)
    monkeypatch.setattr(known, "CLEARLY_OVER", math.nextafter(exactly, math.inf))
    assert not clearly_over(1000, 22, 0.01)
