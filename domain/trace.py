"""One observation, block by block: what the judge knew after each, recomputed from the record.

`domain.report` puts the traces of a release together; the judging is `domain.observed`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise

from pydantic import Field

from domain.bundle import RecordReference
from domain.errors import PermanentFailure
from domain.judge.case import Case
from domain.judge.counts import Block, Counts
from domain.judge.interval import RatioInterval
from domain.judge.rules import JudgeRules
from domain.judge.state import JudgeState
from domain.judge.unseen import dark_arms
from domain.judge.verdict import Reason, Thresholds, Verdict
from domain.observed import ObservedBlocks, begin, conclude, states
from domain.records import Record

# What the verdict's rule takes for granted and which error it may make, for who has to trust it.
ASSUMES: dict[Reason, str] = {
    Reason.worse: "compares the arms block by block, each block one vote however many errors it"
    " holds; true for every baseline, asked at any time; not if a fault sticks to one pod over"
    " blocks where pods are not compared one by one",
    Reason.over_limit: "looks at the canary alone: nothing served beside it; true for every"
    " pattern of errors inside a block, asked at any time",
    Reason.worse_than_known: "looks at the canary alone, against what the old revision counted"
    " before it: nothing serves beside it; assumes that nothing else has changed since",
    Reason.relative: "compares the arms block by block, each block one vote; assumes nothing about"
    " the baseline, asked at any time",
    Reason.within_limit: "looks at the canary alone, against the plan's limits; assumes that"
    " requests fail independently of each other",
    Reason.quiet: "nothing is proven: too few requests, and not enough spoke against it; no error"
    " rate covers this promotion, the sentence says what it would have caught",
}
HELD = "no verdict: nothing is claimed, and traffic stayed where it was"


class MetricPoint(Record):
    """One metric after one block: the block's counts, the step's, and the three evidences.

    `counts` is None where the block says nothing of it. `worse` is its part's E_up, `not_worse`
    E_ni at the step's margin, `under_limit` E_abs at the plan's limit (0 where there is none).
    """

    counts: Counts | None
    step: Counts
    worse: float
    not_worse: float
    under_limit: float


class Point(Record):
    """The judge after one block that ended `at`; `evidence` is E_up merged over the metrics."""

    start: datetime
    at: datetime
    evidence: float
    warm_up: bool
    metrics: dict[str, MetricPoint]


class Stretch(Record):
    """Time in which no block said anything."""

    start: datetime
    end: datetime


class Trace(Record):
    """One stored verdict with the way to it; `differences` are to what was stored.

    With `as_of` none is stored yet: it is the way so far, and has no `record`.

    `bars` are shares that roll back where they are not the limits: by what the old revision was.

    `problem` says why it could not be recomputed: then there are no points.
    """

    record: RecordReference | None
    release_id: str
    service: str
    revision: str
    weight: int
    since: datetime
    judged_at: datetime
    is_watch: bool
    verdict: Verdict
    reason: Reason
    sentence: str
    assumes: str
    evidence: float
    thresholds: Thresholds
    alpha: float
    beta: float
    margin: float
    compared: bool
    limits: dict[str, float]
    bars: dict[str, float] = Field(default_factory=dict)
    ratios: dict[str, RatioInterval]
    blocks: int = 0
    points: tuple[Point, ...] = ()
    silences: tuple[Stretch, ...] = ()
    differences: tuple[str, ...] = ()
    problem: str = ""
    as_of: datetime | None = None

    @property
    def order(self) -> tuple[datetime, datetime, str]:
        """By which a release's traces are sorted."""
        return self.since, self.judged_at, str(self.record.digest) if self.record else ""

    @property
    def is_held(self) -> bool:
        """Whether traffic stayed for a reason, not only until there is enough evidence."""
        return self.verdict is Verdict.HOLD and self.reason is not Reason.gathering

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that were judged, in their order."""
        return tuple(self.points[-1].metrics) if self.points else ()


def trace(
    record: ObservedBlocks, reference: RecordReference | None, earlier: Sequence[Block] | None
) -> Trace:
    """Recompute an observation; `earlier` are the blocks of its chunks, None when some are lost."""
    plain = _told(record, reference)
    if earlier is None:
        told = "blocks of it are not in the registry: it cannot be recomputed"
        return plain.with_(problem=told)
    try:
        return _recomputed(plain, record, (*earlier, *record.blocks))
    except PermanentFailure as failure:
        return plain.with_(problem=f"it cannot be recomputed: {failure}")


def _told(record: ObservedBlocks, reference: RecordReference | None) -> Trace:
    step, said = record.step, record.judgement
    return Trace(
        record=reference,
        release_id=step.target.release_id,
        service=step.target.service,
        revision=step.target.revision,
        weight=step.weight,
        since=step.since,
        judged_at=step.since + said.elapsed,
        is_watch=step.watch,
        verdict=said.verdict,
        reason=said.reason,
        sentence=said.sentence,
        assumes=ASSUMES.get(said.reason, HELD),
        evidence=said.evidence,
        thresholds=said.thresholds,
        alpha=step.rules.alpha,
        beta=step.rules.beta,
        margin=step.rules.margin,
        compared=step.rules.control_arm,
        limits=step.rules.limits,
        bars=_bars(step.rules),
        ratios=said.ratios,
    )


def _bars(rules: JudgeRules) -> dict[str, float]:
    if rules.control_arm:
        return {}
    bars = {name: rules.bar(name) for name in (*rules.limits, *rules.last_known)}
    return {name: b for name, b in bars.items() if b is not None and b != rules.limits.get(name)}


def _recomputed(plain: Trace, record: ObservedBlocks, blocks: Sequence[Block]) -> Trace:
    step = record.step
    found = states(begin(step), step, blocks)
    opening = state = next(found)
    points: list[Point] = []
    for block, after in zip(blocks, found, strict=True):
        points.append(_point(block, step.rules, state, after))
        state = after
    again = conclude(record, state, len(blocks))
    return plain.with_(
        blocks=len(blocks),
        points=tuple(points),
        silences=_silences(opening, plain.judged_at, step.rules, blocks),
        differences=again.differences,
    )


def _point(block: Block, rules: JudgeRules, before: JudgeState, after: JudgeState) -> Point:
    case = Case(after, rules, block.end - after.since)
    return Point(
        start=block.start,
        at=block.end,
        evidence=case.evidence(),
        warm_up=after.warmed_blocks > before.warmed_blocks,
        metrics={
            name: MetricPoint(
                counts=block.counts.get(name),
                step=after.metrics[name].step,
                worse=case.regression(name),
                not_worse=case.not_worse(name),
                under_limit=case.under_limit(name),
            )
            for name in case.metrics
        },
    )


def _silences(
    opening: JudgeState, until: datetime, rules: JudgeRules, blocks: Iterable[Block]
) -> tuple[Stretch, ...]:
    """Where the judge had to say "no data", by the rules' own measure of silence."""
    longest = rules.silent_after
    told = [
        block.end
        for block in blocks
        if block.counts and not any(dark_arms(block, name, rules) for name in block.dark)
    ]
    gaps = pairwise([opening.until or opening.since, *told, max([until, *told[-1:]])])
    return tuple(Stretch(start=a, end=b) for a, b in gaps if b - a > longest)
