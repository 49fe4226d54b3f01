from __future__ import annotations

import random
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.judge import Block, Counts, Reason
from domain.judge.known import LastKnown
from domain.observed import recompute
from domain.trace import ASSUMES, HELD, trace
from tests.support.judged_releases import (
    Judged,
    promoted,
    reference,
    rolled_back,
    silent_between,
    traffic,
)

PROMOTED, ROLLED_BACK = promoted(), rolled_back()


@pytest.mark.parametrize("judged", [PROMOTED, ROLLED_BACK], ids=["promoted", "rolled back"])
def test_the_last_point_is_what_was_judged_and_stored(judged: Judged) -> None:
    for record in judged.records:
        found = trace(record, reference(record), judged.earlier(record))
        last = found.points[-1]
        assert (found.differences, found.problem) == ((), "")
        assert last.evidence == record.judgement.evidence == found.evidence
        assert {name: one.step for name, one in last.metrics.items()} == record.judgement.counts
        for name, one in last.metrics.items():
            assert max(one.not_worse, one.under_limit) == record.judgement.proof[name]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), bad=st.floats(0, 0.2), rate=st.floats(0.2, 30))
def test_recomputed_block_by_block_is_recomputed_at_once(
    seed: int, bad: float, rate: float
) -> None:
    judged = Judged(seed=seed)
    judged.step(10, traffic(rate, 0.01, bad), longest=40)
    (record,) = judged.records
    found = trace(record, reference(record), judged.earlier(record))
    again = recompute(record, judged.earlier(record))
    assert found.points[-1].evidence == again.judgement.evidence == record.judgement.evidence
    assert found.blocks == again.blocks == len(found.points)
    assert found.differences == again.differences == ()


def test_evidence_passes_the_threshold_with_the_verdict_and_not_before() -> None:
    (record,) = ROLLED_BACK.records
    found = trace(record, reference(record), ())
    over = [point.evidence >= found.thresholds.roll_back for point in found.points]
    assert over == [False] * (len(over) - 1) + [True]


def test_the_first_block_is_warm_up_and_counts_no_slowness() -> None:
    found = trace(PROMOTED.records[0], reference(PROMOTED.records[0]), ())
    assert [point.warm_up for point in found.points[:3]] == [True, False, False]
    assert found.points[0].metrics["slow"].step == Counts()
    assert found.points[0].metrics["slow"].counts != Counts()


def test_time_without_data_is_a_stretch_by_the_rules_own_measure() -> None:
    (record,) = ROLLED_BACK.records
    (gap,) = trace(record, reference(record), ()).silences
    since, block = record.step.since, record.step.block
    assert (gap.start, gap.end) == (since + 3 * block, since + 21 * block)
    shorter = Judged()
    shorter.step(10, silent_between(traffic(20, 0.002, 0.002), 3, 9))
    assert trace(shorter.records[0], reference(shorter.records[0]), ()).silences == ()


def test_a_source_that_never_answered_is_one_stretch_without_points() -> None:
    judged = Judged()
    judged.step(10, lambda *_: None, longest=30)
    found = trace(judged.records[0], reference(judged.records[0]), ())
    assert (found.reason, found.points, found.metrics) == (Reason.no_data, (), ())
    assert [gap.end - gap.start for gap in found.silences] == [30 * judged.records[0].step.block]
    assert found.assumes == HELD


def test_lost_blocks_and_blocks_that_do_not_fit_are_a_problem_not_an_error() -> None:
    (record,) = ROLLED_BACK.records
    lost = trace(record, reference(record), None)
    assert ("not in the registry" in lost.problem, lost.points) == (True, ())
    twice = record.with_(blocks=(record.blocks[0], *record.blocks))
    moved = record.blocks[1].model_copy(update={"start": record.blocks[0].start})
    overlapping = record.with_(blocks=(record.blocks[0], moved, *record.blocks[2:]))
    assert trace(twice, reference(record), ()).problem == ""
    assert "cannot be recomputed: block" in trace(overlapping, reference(record), ()).problem


def test_a_changed_block_is_named_by_what_differs() -> None:
    (record,) = ROLLED_BACK.records
    errors = Counts(canary_requests=20, canary_bad=20, stable_requests=180)
    last = record.blocks[-1]
    worse = Block(start=last.start, end=last.end, counts={**last.counts, "errors": errors})
    found = trace(record.with_(blocks=(*record.blocks[:-1], worse)), reference(record), ())
    assert any(line.startswith("evidence: stored") for line in found.differences)


def test_every_rule_that_promotes_or_rolls_back_says_what_it_assumes() -> None:
    deciding = (Reason.relative, Reason.within_limit, Reason.quiet, Reason.worse)
    assert set(ASSUMES) >= {*deciding, Reason.over_limit, Reason.worse_than_known}


def test_a_bar_that_the_old_revision_set_is_told_where_it_is_not_the_limit() -> None:
    record = PROMOTED.records[-1]
    known = dict.fromkeys(("errors", "restarts"), LastKnown(requests=100_000, bad=10))
    rules = record.step.rules.model_copy(update={"last_known": known})
    watch = record.with_(step=record.step.with_(rules=rules))
    found = trace(watch, reference(record), PROMOTED.earlier(record))
    assert found.bars == {name: rules.bar(name) for name in known}
    assert trace(record, reference(record), PROMOTED.earlier(record)).bars == {}


def test_a_watch_of_thousands_of_blocks_is_traced_over_all_its_chunks() -> None:
    judged = Judged()
    good = traffic(20, 0.002, 0.002)(random.Random(1), 100, 0)  # noqa: S311
    assert good is not None
    judged.step(100, lambda *_: good, longest=2_000, watch=True)
    (record,) = judged.records
    found = trace(record, reference(record), judged.earlier(record))
    assert (len(found.points), found.differences) == (2_000, ())
    assert found.judged_at - found.since == timedelta(seconds=20_000)
