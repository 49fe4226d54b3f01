"""Reports for the tests of those who show them; made once."""

from __future__ import annotations

import random

from domain.phases import Outcome
from domain.records import digest_of
from domain.report import Report
from domain.report_sources import compile_report
from tests.support.judged_releases import (
    Judged,
    frozen,
    promoted,
    rolled_back,
    state_of,
    traffic,
)
from tests.support.release_records import REHEARSAL, plan


def of(judged: Judged, outcome: Outcome) -> Report:
    """The report of a release with its evidence."""
    evidence = frozen(judged)
    known = ((digest_of(evidence), evidence),)
    return compile_report(judged.sources(state=state_of(judged, outcome), evidence=known))


def long_watch(blocks: int) -> Report:
    """A release that was watched for days."""
    judged = Judged()
    drawn = [traffic(20, 0.004, 0.004)(random.Random(at), 100, at) for at in range(50)]  # noqa: S311
    judged.step(100, lambda _, __, at: drawn[at % 50], longest=blocks, watch=True)
    return of(judged, Outcome.RELEASED)


def stretched(report: Report, blocks: int) -> Report:
    """The same release with so many blocks in its last verdict."""
    step = report.steps[-1]
    (trace,) = step.traces
    length = trace.points[0].at - trace.points[0].start
    points = tuple(
        trace.points[at % len(trace.points)].with_(
            start=step.start + at * length, at=step.start + (at + 1) * length
        )
        for at in range(blocks)
    )
    longer = step.with_(end=points[-1].at, traces=(trace.with_(points=points),))
    return report.with_(steps=(*report.steps[:-1], longer))


def rehearsed() -> Report:
    """A release whose clocks were shortened."""
    judged = Judged(plan=plan(rehearsal=REHEARSAL))
    judged.step(10, traffic(2000, 0.002, 0.002))
    return of(judged, Outcome.RELEASED)


PROMOTED = of(promoted(), Outcome.RELEASED)
ROLLED_BACK = of(rolled_back(), Outcome.ROLLED_BACK)
REHEARSED = rehearsed()
LONG_WATCH = long_watch(1_200)
