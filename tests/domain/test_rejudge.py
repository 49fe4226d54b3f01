"""Past releases under other rules: what changes, when, and what is not invented."""

from __future__ import annotations

from typing import Any

import pytest

from domain.errors import PermanentFailure
from domain.judge import Reason, Verdict, judge, observe
from domain.observed import begin
from domain.plan import ServicePlan
from domain.rejudge import (
    Change,
    Plans,
    RejudgedStep,
    StoredVerdict,
    ended_well,
    rejudge,
    rules_under,
    total,
)
from domain.soak import SoakProgress, SoakRecord
from domain.soak_replay import soak_under
from tests.support.judge_streams import LENGTH
from tests.support.release_records import plan
from tests.support.stored_verdicts import PastRelease


def good() -> PastRelease:
    """10, 50, 100 % and the watch; nothing bad in the canary."""
    release = PastRelease()
    for weight in (10, 50, 100):
        release.take(weight)
    release.take(100, watch=True)
    return release


def changes(steps: tuple[RejudgedStep, ...]) -> list[Change]:
    return [step.change for step in steps]


def under(release: PastRelease, **sections: Any) -> tuple[RejudgedStep, ...]:
    return rejudge(release.stored, Plans(release.plan, plan(**sections)))


def test_under_its_own_plan_every_verdict_is_the_same() -> None:
    steps = under(good())
    assert changes(steps) == [Change.SAME] * 4
    assert all(step.new == step.old and step.recomputes for step in steps)
    assert not any(step.supposing or step.unknown for step in steps)
    assert ended_well(steps)


def test_where_the_old_rule_stopped_a_longer_bake_is_still_holding_and_nothing_is_invented() -> (
    None
):
    release = good()
    steps = under(release, canary={"min_bake": "8m"})
    first = steps[0]
    assert (first.old.judgement.verdict, first.change) == (Verdict.PROMOTE, Change.HOLDING)
    assert first.new is not None
    assert first.new.judgement.verdict is Verdict.HOLD
    assert first.new.block == first.blocks == len(release.stored[0].blocks)
    assert first.new.at == first.old.at
    assert [step.supposing for step in steps] == [False, True, True, True]


def test_an_earlier_verdict_names_its_block() -> None:
    steps = under(good(), canary={"min_bake": "1m"})
    assert steps[0].change is Change.EARLIER
    assert steps[0].new is not None
    assert (steps[0].new.block, steps[0].blocks) == (6, 18)
    assert steps[0].new.at == steps[0].old.at - 12 * LENGTH


def test_a_rollback_that_the_other_rules_bring_ends_the_release_there() -> None:
    """A 100 % step is judged by the limit alone: 0.8 % errors pass 1 %, and fail 0.3 %."""
    release = PastRelease()
    release.take(10)
    release.take(50)
    release.take(100, canary_bad=(8,), requests=1000)
    release.take(100, watch=True)
    steps = under(release, limits={"errors": "0.3%"})
    assert [step.old.judgement.verdict for step in steps] == [Verdict.PROMOTE] * 4
    assert steps[2].change is Change.ROLLBACK_GAINED
    assert steps[2].new is not None
    assert steps[2].new.judgement.verdict is Verdict.ROLL_BACK
    assert steps[2].new.block < steps[2].blocks
    assert (steps[3].change, steps[3].new) == (Change.UNKNOWN, None)
    assert steps[3].unknown == ("not reached: the new rules had rolled back at 100 %",)
    totals = total([(steps, ended_well(steps))])
    assert (totals.releases, totals.verdicts, totals.changed) == (1, 4, 1)
    assert totals.false_by_hindsight == 1


def test_a_rollback_that_the_other_rules_do_not_make_goes_on_holding() -> None:
    release = PastRelease(limits={"errors": "0.3%"})
    release.take(10)
    release.take(50)
    release.take(100, canary_bad=(8,), requests=1000)
    assert release.stored[-1].record.judgement.verdict is Verdict.ROLL_BACK
    steps = under(release, limits={"errors": "1%"})
    assert steps[2].change is Change.ROLLBACK_LOST
    assert total([(steps, False)]).changes[Change.ROLLBACK_LOST] == 1


def test_a_release_that_went_on_because_its_gate_only_observed_ends_where_the_gate_acts() -> None:
    release = PastRelease(limits={"errors": "0.3%"}, gates={"canary": "observe"})
    release.take(50)
    release.take(100, canary_bad=(8,), requests=1000)
    release.take(100, watch=True)
    strict = under(release, limits={"errors": "0.3%"})
    assert changes(strict) == [Change.SAME, Change.SAME, Change.UNKNOWN]
    assert strict[2].unknown == ("not reached: the new rules had rolled back at 100 %",)
    loose = under(release, limits={"errors": "0.3%"}, gates={"canary": "observe"})
    assert changes(loose) == [Change.SAME] * 3


def test_a_hold_and_the_look_after_it_are_one_step() -> None:
    release = PastRelease()
    whole = release.take(10)
    first, rest = whole.blocks[:6], whole.blocks[6:]
    record = whole.record
    state = begin(record.step)
    for block in first:
        state = observe(state, record.step.rules, block)
    held = record.with_(
        blocks=first, judgement=judge(state, record.step.rules, first[-1].end - record.step.since)
    )
    after = record.with_(step=record.step.with_(state=state), blocks=rest)
    pieces = [StoredVerdict(after, rest), StoredVerdict(held, first)]
    (step,) = rejudge(pieces, Plans(release.plan, release.plan))
    assert (step.change, step.blocks, step.old.judgement) == (Change.SAME, 18, record.judgement)


def test_what_is_slower_is_counted_at_the_stored_edge_nearest_to_the_new_limit() -> None:
    release = PastRelease()
    release.take(10)
    (step,) = under(release, limits={"p95": "250ms"})
    assert step.change is Change.HOLDING
    assert step.new is not None
    assert (step.new.judgement.metric, step.new.judgement.reason) == ("slow", Reason.both_bad)
    assert not step.unknown


def test_without_stored_edges_another_latency_limit_is_not_knowable() -> None:
    steps = under(good(), limits={"p95": "250ms"})
    told = "how many requests took longer than 0.25s: the blocks say it of 0.5s alone"
    assert not steps[0].unknown
    release = PastRelease()
    release.take(100)
    (alone,) = under(release, limits={"p95": "250ms"})
    assert alone.unknown == (told,)


def test_another_weight_than_the_plan_has_is_said_and_judged_at_the_weight_it_had() -> None:
    release = PastRelease()
    release.take(10)
    release.take(50)
    steps = under(release, canary={"steps": [5, 25, 100]})
    assert "the new plan has no step of 10 %" in steps[0].unknown[0]
    assert "(5, 25, 100 %) do not exist" in steps[1].unknown[0]


def test_a_longer_watch_than_was_watched_is_not_knowable() -> None:
    steps = under(good(), canary={"watch": "1h"})
    assert steps[3].unknown == ("the new plan watches 30m longer: no blocks of that time exist",)


def test_a_step_alone_is_judged_only_by_rules_that_count_alike() -> None:
    release = PastRelease()
    release.take(10)
    second = release.take(50)
    (kept,) = rejudge([second], Plans(release.plan, plan(canary={"min_bake": "1m"})))
    assert kept.new is not None
    (lost,) = rejudge([second], Plans(release.plan, plan(limits={"p95": "250ms"})))
    assert (lost.new, lost.change) == (None, Change.UNKNOWN)
    assert "the blocks of the steps before it are not among the records" in lost.unknown[-1]


def test_another_alpha_rolls_back_earlier_and_one_step_alone_can_be_judged_by_it() -> None:
    release = PastRelease()
    release.take(10)
    second = release.take(50, canary_bad=(3,))
    (step,) = rejudge([second], Plans(release.plan, plan(canary={"alpha": "20%"})))
    assert step.old.judgement.verdict is Verdict.ROLL_BACK
    assert step.change is Change.EARLIER
    (lost,) = rejudge([second], Plans(release.plan, plan(canary={"tolerance": 1.0})))
    assert (lost.new, lost.change) == (None, Change.UNKNOWN)


def test_only_what_the_new_plan_says_otherwise_is_otherwise() -> None:
    """Rules of an older version keep what neither plan speaks of."""
    release = PastRelease()
    request = release.take(10).record.step
    older = request.with_(rules=request.rules.model_copy(update={"alpha": 0.05}))
    rules = rules_under(older, Plans(release.plan, plan(canary={"min_requests": 50})))
    assert (rules.alpha, rules.min_requests) == (0.05, 50)
    assert rules_under(older, Plans(None, release.plan)).alpha == 0.01


def test_a_record_that_its_own_rules_do_not_give_is_said() -> None:
    release = PastRelease()
    stored = release.take(10)
    forged = stored.record.judgement.model_copy(update={"sentence": "Promoted: trust me"})
    record = stored.record.with_(judgement=forged)
    (step,) = rejudge([StoredVerdict(record, stored.blocks)], Plans(release.plan, release.plan))
    assert not step.recomputes


def test_blocks_that_do_not_fit_are_refused() -> None:
    release = PastRelease()
    stored = release.take(10)
    twisted = (stored.blocks[0], stored.blocks[0].model_copy(update={"end": stored.blocks[3].end}))
    record = stored.record.with_(blocks=twisted)
    with pytest.raises(PermanentFailure, match="cut blocks there"):
        rejudge([StoredVerdict(record, twisted)], Plans(release.plan, release.plan))


# --- the soak ----------------------------------------------------------------------------------


def soaked(old: ServicePlan, **progress: Any) -> SoakRecord:
    done = SoakProgress(goal=old.pace.soak, earned=old.pace.soak, windows=48, **progress)
    return SoakRecord(plan=old.soak, progress=done)


def test_a_soak_that_was_too_short_says_what_is_missing_and_what_nobody_knows() -> None:
    old, new = plan(), plan(soak={"duration": "48h"})
    judged = soak_under(soaked(old), old, new)
    assert judged.enough is False
    assert "1d of 2d healthy time earned: 1d more had been asked" in judged.sentence


def test_a_soak_is_told_in_plan_time_under_a_rehearsal_clock() -> None:
    old = plan(rehearsal={"soak": "1h = 1s"})
    judged = soak_under(soaked(old), old, old)
    assert (judged.enough, judged.sentence) == (True, "1d of 1d healthy time earned")


@pytest.mark.parametrize(
    ("sections", "progress", "said"),
    [
        ({"limits": {"errors": "0.1%"}}, {}, "limits changed"),
        ({"soak": {"on_unhealthy": "reset"}}, {"unhealthy": 2}, "on_unhealthy changed"),
    ],
)
def test_what_single_windows_would_have_been_is_not_knowable(
    sections: dict[str, Any], progress: dict[str, Any], said: str
) -> None:
    old = plan()
    judged = soak_under(soaked(old, **progress), old, plan(**sections))
    assert judged.enough is None
    assert f"not knowable: {said}, and its windows are not stored" in judged.sentence


def test_a_skipped_soak_stays_one() -> None:
    old = plan()
    record = soaked(old).with_(skipped_by="rita", skip_reason="hotfix")
    assert "skipped by rita: hotfix" in soak_under(record, old, old).sentence
