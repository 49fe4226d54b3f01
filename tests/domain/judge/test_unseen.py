"""Arms that nobody scraped and blocks that could not be used: no data, counted and named."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import pytest

from domain.judge import (
    Block,
    Counts,
    Judgement,
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
from domain.judge.counts import ArmName
from tests.support.judge_streams import LENGTH, SINCE, block, counts, elapsed_of

RULES = JudgeRules(limits={"errors": 0.01}, warm_up_blocks=0)
SHORT = RULES.model_copy(
    update={"deadline": 6 * LENGTH, "stale_after": timedelta(hours=1), "min_bake": 2 * LENGTH}
)
METRICS = ("errors", "restarts")
CLEAN = {"errors": counts(100, 0, 900, 0), "restarts": counts(2, 0, 18, 0)}
WHY = "value nan is not a count (pod c2)"


def dark(index: int, *arms: ArmName, given: dict[str, Counts] | None = None) -> Block:
    """A block that the requests of these arms were not scraped for; restarts are known."""
    one = block(index, {"errors": counts(0, 0, 900, 0), **CLEAN} if given is None else given)
    return one.model_copy(update={"dark": {"errors": arms}})


def clean(index: int) -> Block:
    return block(index, CLEAN)


def spoiled(index: int) -> Block:
    return block(index, {}).model_copy(update={"spoiled": WHY})


def after(
    blocks: Iterable[Block], rules: JudgeRules = RULES, metrics: tuple[str, ...] = METRICS
) -> JudgeState:
    state = start(rules, metrics, SINCE)
    for one in blocks:
        state = observe(state, rules, one)
    return state


def judged(state: JudgeState, rules: JudgeRules = RULES) -> Judgement:
    return judge(state, rules, elapsed_of(state))


def went_dark(clean_blocks: int, dark_blocks: int, *arms: ArmName) -> JudgeState:
    blocks = [clean(index) for index in range(clean_blocks)]
    return after([*blocks, *(dark(clean_blocks + index, *arms) for index in range(dark_blocks))])


@pytest.mark.parametrize("arm", ["canary", "stable"])
def test_an_arm_that_nobody_scrapes_is_no_data_although_the_other_is_heard(arm: ArmName) -> None:
    assert judged(went_dark(20, 0)).verdict is Verdict.PROMOTE
    waiting = judged(went_dark(20, 12, arm))
    assert (waiting.verdict, waiting.reason) == (Verdict.HOLD, Reason.gathering)
    assert f"; no pod of the {arm} was scraped of late" in waiting.sentence
    silent = judged(went_dark(20, 13, arm))
    assert (silent.verdict, silent.reason) == (Verdict.HOLD, Reason.no_data)
    assert silent.metric == "errors"
    assert silent.sentence.startswith(
        f"Holding: no data on errors of the {arm} for more than 2 min: no evidence either way"
    )


def test_nothing_is_promoted_from_the_first_block_in_which_an_arm_is_dark() -> None:
    assert judged(went_dark(20, 1, "canary")).verdict is Verdict.HOLD
    assert judged(went_dark(20, 1, "canary")).time_needed is None
    again = observe(went_dark(20, 5, "canary"), RULES, clean(25))
    assert judged(again).verdict is Verdict.PROMOTE


def test_a_relative_proof_promotes_no_canary_that_is_dark() -> None:
    proven = [block(index, {"errors": counts(500, 1, 4500, 45)}) for index in range(30)]
    rules = RULES.model_copy(update={"promote": "relative"})
    assert judged(after(proven, rules, ("errors",)), rules).reason is Reason.relative
    none = dark(30, "canary", given={"errors": counts(0, 0, 9, 0)})
    unseen = after([*proven, none], rules, ("errors",))
    assert judged(unseen, rules).reason is Reason.gathering


def test_a_dark_arm_at_the_deadline_is_no_data_and_not_no_traffic() -> None:
    few = block(0, {"errors": counts(3, 0, 27, 0)})
    enough = block(0, {"errors": counts(30, 0, 270, 0)})
    for first in (few, enough):
        blocks = [first, *(dark(index, "canary") for index in range(1, 6))]
        state = after(blocks, SHORT)
        almost = judge(state, SHORT, 6 * LENGTH - timedelta(seconds=1))
        assert almost.reason is Reason.gathering
        held = judged(state, SHORT)
        assert (held.verdict, held.reason) == (Verdict.HOLD, Reason.no_data)
        assert "no data on errors of the canary for 50 s:" in held.sentence


def test_a_quiet_arm_that_is_scraped_stays_quiet() -> None:
    none = after([block(index, {"errors": counts(0, 0, 900, 0)}) for index in range(6)], SHORT)
    assert judged(none, SHORT).reason is Reason.no_traffic
    few = [block(index, {"errors": counts(5, 0, 45, 0)}) for index in range(6)]
    quiet = SHORT.model_copy(update={"extensions": 0})
    assert judged(after(few, quiet), quiet).reason is Reason.quiet


def test_where_no_stable_is_compared_its_scrapes_are_not_missed() -> None:
    alone = RULES.model_copy(update={"control_arm": False})
    blocks = [clean(index) for index in range(20)]
    beside = after([*blocks, dark(20, "stable", given=CLEAN)], alone)
    assert judged(beside, alone).verdict is Verdict.PROMOTE
    gone = after([*blocks, dark(20, "canary", "stable")], alone)
    assert judged(gone, alone).verdict is Verdict.HOLD
    assert Case(gone, alone, 21 * LENGTH).dark() == ["canary"]


def test_a_dark_arm_without_any_counts_is_dark_too() -> None:
    state = after([clean(0), dark(1, "canary", given={"restarts": counts(2, 0, 18, 0)})])
    assert state.metrics["errors"].dark == ("canary",)
    assert state.metrics["errors"].seen == SINCE + LENGTH
    assert state.metrics["restarts"].seen == SINCE + 2 * LENGTH


def test_a_warm_up_in_the_dark_is_not_seen() -> None:
    rules = RULES.model_copy(update={"warm_up_blocks": 2})
    state = after([dark(0, "canary"), clean(1)], rules)
    assert state.metrics["errors"].seen == SINCE + 2 * LENGTH
    assert after([dark(0, "canary")], rules).metrics["errors"].seen is None


def test_a_rollback_needs_no_arm_to_be_scraped() -> None:
    bad = [block(index, {"errors": counts(90, 20, 900, 4)}) for index in range(6)]
    state = after([*bad, *(dark(index, "canary") for index in range(6, 40))])
    assert judged(state).reason is Reason.worse


def test_a_new_step_is_not_blind_for_the_one_before() -> None:
    state = next_step(went_dark(3, 3, "canary"), SINCE + 6 * LENGTH)
    assert not Case(state, RULES, timedelta(0)).unseen()


def test_blocks_that_could_not_be_used_are_counted_and_named_in_every_sentence() -> None:
    told = f"; 2 of 23 blocks could not be used, the latest: {WHY}"
    blocks = [spoiled(i) if i in (3, 7) else clean(i) for i in range(23)]
    promoted = judged(after(blocks))
    assert promoted.verdict is Verdict.PROMOTE
    assert promoted.sentence.endswith(told)
    bad = [spoiled(0), *(block(i, {"errors": counts(90, 20, 900, 4)}) for i in range(1, 6))]
    rolled_back = judged(after(bad))
    assert rolled_back.verdict is Verdict.ROLL_BACK
    assert rolled_back.sentence.endswith(f"; 1 of 6 blocks could not be used: {WHY}")
    holding = judged(after(bad[:2]))
    assert holding.sentence.endswith(f"; 1 of 2 blocks could not be used: {WHY}")


def test_a_spoiled_block_is_no_evidence_and_no_time_watched() -> None:
    spared = after([clean(0), clean(2), clean(3)])
    among = after([clean(0), spoiled(1), clean(2), clean(3)])
    assert among.left_out.blocks == 1
    assert among.model_copy(update={"left_out": spared.left_out}) == spared


def test_a_spoiled_block_that_is_delivered_twice_counts_once() -> None:
    state = after([clean(0), spoiled(1)])
    assert observe(state, RULES, spoiled(1)) == state


def test_nothing_is_promoted_while_the_last_block_could_not_be_used() -> None:
    state = after([*(clean(index) for index in range(20)), spoiled(20)])
    held = judged(state)
    assert (held.verdict, held.reason, held.time_needed) == (Verdict.HOLD, Reason.gathering, None)
    assert "; not seen just now; 1 of 21 blocks" in held.sentence
    assert judged(observe(state, RULES, clean(21))).verdict is Verdict.PROMOTE


def test_a_quiet_step_is_not_promoted_on_a_spoiled_block_either() -> None:
    rules = SHORT.model_copy(update={"extensions": 0, "promote": "relative"})
    quiet = [block(index, {"errors": counts(5, 0, 45, 0)}) for index in range(6)]
    spoiled_last = [*quiet, spoiled(6)]
    assert judged(after(quiet, rules, ("errors",)), rules).reason is Reason.quiet
    assert judged(after(spoiled_last, rules, ("errors",)), rules).reason is Reason.gathering
    longer = rules.model_copy(update={"extensions": 3})
    assert judged(after(spoiled_last, longer, ("errors",)), longer).reason is Reason.gathering


def test_a_step_of_spoiled_blocks_alone_is_no_data_and_never_no_traffic() -> None:
    state = after([spoiled(index) for index in range(6)], SHORT)
    held = judged(state, SHORT)
    assert (held.verdict, held.reason) == (Verdict.HOLD, Reason.no_data)
    assert "no data on errors, restarts for 60 s:" in held.sentence
    assert held.sentence.endswith(f"; 6 of 6 blocks could not be used, the latest: {WHY}")
    one = judge(after([spoiled(0)], SHORT), SHORT, 6 * LENGTH)
    assert one.sentence.endswith(f"; the only block could not be used: {WHY}")


def test_one_spoiled_block_makes_no_silence_of_a_metric_that_is_only_late() -> None:
    one = [block(index, {"errors": counts(1, 0, 9, 0)}) for index in range(5)]
    assert judged(after([spoiled(0), *one[1:]], SHORT), SHORT).reason is Reason.gathering
    late = judge(after([spoiled(0), *one[1:]], SHORT), SHORT, 6 * LENGTH)
    assert late.reason is Reason.no_traffic


def test_a_new_step_counts_its_own_blocks() -> None:
    state = next_step(after([clean(0), spoiled(1)]), SINCE + 2 * LENGTH)
    state = observe(observe(state, RULES, spoiled(2)), RULES, clean(3))
    assert (state.left_out.blocks, state.left_out.of) == (1, 2)


def test_a_spoiled_block_with_counts_is_refused() -> None:
    with pytest.raises(ValueError, match="is spoiled and has counts"):
        Block(start=SINCE, end=SINCE + LENGTH, counts=CLEAN, spoiled=WHY)


def test_states_and_blocks_from_before_there_was_darkness_are_judged_as_before() -> None:
    state = after(block(index, {**CLEAN, "errors": counts(0, 0, 900, 0)}) for index in range(60))
    plain = state.model_dump(mode="json")
    plain.pop("left_out")
    for metric in plain["metrics"].values():
        metric.pop("dark")
    old = JudgeState.model_validate(plain)
    later = judge(old, RULES, 60 * LENGTH)
    assert later.reason is Reason.no_traffic
    assert later.sentence == judge(state, RULES, 60 * LENGTH).sentence
