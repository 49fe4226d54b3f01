"""A step that is being judged, drawn as far as its observer has come."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.judge.verdict import Verdict
from domain.observed import ObservedBlocks, recompute
from domain.report_sources import compile_report
from domain.running import RunningStep, running_trace
from domain.trace import trace
from tests.support.judged_releases import Judged, promoted, reference, state_of

PROMOTED = promoted()
STEP, WATCH = PROMOTED.records[0], PROMOTED.records[-1]


def running(record: ObservedBlocks, of: Judged, blocks: int, *, chunks: int = 0) -> RunningStep:
    """The observation when it had so many blocks, the first `chunks` records of them stored."""
    every = (*of.earlier(record), *record.blocks)[:blocks]
    kept = sum(len(of.chunks[one.digest].blocks) for one in record.earlier[:chunks])
    return RunningStep(
        step=record.step,
        as_of=every[-1].end + timedelta(seconds=2),
        state=recompute(record.with_(blocks=every), ()).state,
        chunks=record.earlier[:chunks],
        blocks=every[kept:],
    )


def test_it_is_the_way_of_the_later_verdict_as_far_as_it_has_come() -> None:
    so_far = running_trace(running(STEP, PROMOTED, 10), ())
    later = trace(STEP, reference(STEP), PROMOTED.earlier(STEP))
    assert so_far.points == later.points[:10]
    assert (so_far.record, so_far.differences, so_far.problem) == (None, (), "")
    assert (so_far.as_of, so_far.judged_at) == (later.points[9].at + timedelta(seconds=2),) * 2
    assert "none of it is evidence" in so_far.assumes


def test_stored_chunks_come_before_the_blocks_of_the_heartbeat() -> None:
    half = running(WATCH, PROMOTED, 100, chunks=1)
    chunk = list(PROMOTED.chunks[half.chunks[0].digest].blocks)
    assert len(running_trace(half, chunk).points) == 100
    lost = running_trace(half, None)
    assert (lost.points, "not in the registry" in lost.problem) == ((), True)


def test_what_the_judge_thinks_before_the_end_is_no_verdict() -> None:
    watched = running_trace(running(WATCH, PROMOTED, 179, chunks=0), ())
    assert watched.verdict is Verdict.HOLD
    assert watched.sentence.startswith("nothing against the canary so far; it is watched until")
    due = running_trace(running(STEP, PROMOTED, len(STEP.blocks)), ())
    assert (due.verdict, due.sentence) == (
        Verdict.HOLD, "the judge has seen enough; its verdict is due"
    )  # fmt: skip


def test_a_report_shows_it_and_does_not_take_it_for_a_verdict() -> None:
    so_far = running_trace(running(STEP, PROMOTED, 10), ())
    forged = so_far.with_(differences=("evidence: stored 1, recomputed 2",))
    sources = Judged().sources(traces=(forged,), state=state_of(PROMOTED, weight=10))
    report = compile_report(sources)
    assert report.running == forged
    assert not report.differs
    assert [(step.title, step.end) for step in report.steps] == [("10 %", so_far.judged_at)]
    assert not any("a step's blocks are stored with its verdict" in note for note in report.notes)


def test_an_observation_whose_record_is_there_is_not_running_any_more() -> None:
    assert running(STEP, PROMOTED, 3).ended_as(STEP)
    assert not running(STEP, PROMOTED, 3).ended_as(PROMOTED.records[1])
    longer = STEP.step.with_(ends_at=STEP.step.ends_at + timedelta(hours=1))
    assert not running(STEP, PROMOTED, 3).ended_as(STEP.with_(step=longer))


@pytest.mark.parametrize(("spacing", "silent"), [(1, True), (10, False)])
def test_a_source_that_is_scraped_slowly_is_not_silent_for_that(spacing: int, silent: bool) -> None:
    """Its observer has more patience than the step's rules say; blocks tell how slow it is."""
    found = running(STEP, PROMOTED, 4)
    length = timedelta(seconds=10) * spacing
    blocks = tuple(
        block.model_copy(update={
            "start": STEP.step.since + at * length, "end": STEP.step.since + (at + 1) * length
        })
        for at, block in enumerate(found.blocks)
    )  # fmt: skip
    state = recompute(STEP.with_(blocks=blocks), ()).state
    late = blocks[-1].end + timedelta(minutes=4)
    slow = found.model_copy(update={"blocks": blocks, "state": state, "as_of": late})
    assert bool(running_trace(slow, ()).silences) is silent
