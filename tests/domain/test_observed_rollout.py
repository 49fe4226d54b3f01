"""Observe mode's record: what Tidegate would have done, and that anybody can recompute it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.canary import judge_rules
from domain.errors import PermanentFailure
from domain.judge import Block, Reason, Verdict
from domain.observed_rollout import (
    ObservedRollout,
    RolloutWatch,
    Watching,
    recompute_rollout,
    would,
)
from domain.samples import Samples
from tests.support.judge_streams import LENGTH, SINCE, counts
from tests.support.release_records import plan

WATCHED = RolloutWatch(
    environment="production",
    namespace="production",
    canary={"track": "canary"},
    stable={"track": "stable"},
    weight=10,
    rules=judge_rules(plan(), 10, has_stable=True),
    since=SINCE,
    ends_at=SINCE + timedelta(hours=1),
    block=LENGTH,
    slow_above=timedelta(milliseconds=500),
)


def block(index: int, canary_bad: int) -> Block:
    return Block(
        start=SINCE + index * LENGTH,
        end=SINCE + (index + 1) * LENGTH,
        counts={
            "errors": counts(100, canary_bad, 900, 1),
            "slow": counts(100, 0, 900, 0),
            "restarts": counts(1, 0, 9, 0),
        },
    )


def watched(canary_bad: list[int], question: RolloutWatch = WATCHED) -> Watching:
    """One block per look; it ends when there is nothing more to wait for."""
    watching = Watching.begun(question)
    for index, bad in enumerate(canary_bad):
        now = SINCE + (index + 1) * LENGTH
        samples = Samples(blocks=(block(index, bad),), broken=(), until=now)
        watching = watching.with_samples(samples).judged(now)
        if watching.is_over(now):
            break
    return watching


def test_a_bad_rollout_ends_the_watch_at_the_moment_of_the_rollback() -> None:
    watching = watched([8] * 60)
    last = watching.record.answers[-1]
    assert (last.judgement.verdict, last.judgement.reason) == (Verdict.ROLL_BACK, Reason.worse)
    assert watching.record.verdict is Verdict.ROLL_BACK
    assert len(watching.record.blocks) == last.blocks < 10
    assert would(last.judgement).startswith("would roll back after ")


def test_a_good_rollout_would_be_promoted_and_is_watched_on_to_the_end() -> None:
    watching = watched([0] * 60)
    first = watching.record.first(Verdict.PROMOTE)
    assert first is not None
    assert first.blocks < len(watching.record.blocks) == 60
    assert would(first.judgement).startswith("would promote: ")


def test_without_an_end_a_verdict_ends_the_watch() -> None:
    watching = watched([0] * 60, WATCHED.with_(until_verdict=True))
    assert watching.record.answers[-1].judgement.verdict is Verdict.PROMOTE
    assert len(watching.record.blocks) < 60


def test_a_rollback_after_a_promotion_counts_as_a_rollback() -> None:
    watching = watched([0] * 40 + [30] * 40)
    promoted, rolled_back = (
        watching.record.first(verdict) for verdict in (Verdict.PROMOTE, Verdict.ROLL_BACK)
    )
    assert promoted is not None
    assert rolled_back is not None
    assert promoted.blocks < 40 < rolled_back.blocks
    assert watching.record.verdict is Verdict.ROLL_BACK


def test_answers_that_say_the_same_are_kept_once_with_the_latest() -> None:
    watching = watched([0] * 60)
    said = [(a.judgement.verdict, a.judgement.reason) for a in watching.record.answers]
    assert all(said[i : i + 3] != [said[i]] * 3 for i in range(len(said)))
    assert watching.record.answers[-1].blocks == 60


def test_a_source_that_is_silent_is_no_evidence_and_is_told() -> None:
    silent = WATCHED.rules.silent_after + LENGTH
    watching = Watching.begun(WATCHED).without_data("Prometheus did not answer")
    watching = watching.judged(SINCE + silent)
    said = watching.record.answers[-1].judgement
    assert (said.verdict, said.reason) == (Verdict.HOLD, Reason.no_data)
    assert "could not be used: Prometheus did not answer" in would(said)
    assert watching.record.verdict is Verdict.HOLD
    assert recompute_rollout(watching.record).differences == ()


@pytest.mark.parametrize("canary_bad", [[8] * 60, [0] * 60, [0] * 40 + [30] * 40])
def test_every_answer_recomputes_from_the_stored_blocks(canary_bad: list[int]) -> None:
    record = watched(canary_bad).record
    stored = ObservedRollout.model_validate_json(record.model_dump_json())
    assert recompute_rollout(stored).differences == ()


def test_a_block_that_was_changed_afterwards_is_found() -> None:
    record = watched([8] * 60).record
    better = (block(0, 8), *(block(index, 0) for index in range(1, len(record.blocks))))
    assert any(
        "evidence: stored" in line
        for line in recompute_rollout(record.with_(blocks=better)).differences
    )


def test_an_answer_about_more_blocks_than_there_are_is_refused() -> None:
    record = watched([8] * 60).record
    with pytest.raises(PermanentFailure, match="of 2 that there are"):
        recompute_rollout(record.with_(blocks=record.blocks[:2]))
