"""Verdicts of a rehearsal told in plan time: its blocks, stretched, judged by the plan's times."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from domain.judge.counts import Block
from domain.judge.state import JudgeState
from domain.observed import ObservedBlocks
from domain.plan import ServicePlan
from domain.records import Record
from domain.rehearsal import in_plan_time
from domain.rejudge import Spoken, StoredVerdict, steps_of, walk
from domain.steps import ObserveStep


class ToldStep(Record):
    """One verdict as it would have come by the plan's clock, and the step it is of."""

    weight: int
    watch: bool
    spoken: Spoken


def told_in_plan_time(verdicts: Sequence[StoredVerdict], plan: ServicePlan) -> tuple[ToldStep, ...]:
    """Each verdict of one rehearsed release, in order; `plan` is the one on the rehearsal clock.

    A verdict comes with the block that brings it: how late the rehearsal's own machine looked at
    that block is not in it.
    """
    steps = steps_of(verdicts)
    told: list[ToldStep] = []
    state: JudgeState | None = None
    for looks in steps:
        stretch = _Stretch(steps[0][0].record.step.since, plan)
        step = stretch.step(looks[0].record.step, state)
        blocks = [stretch.blocks(look.blocks) for look in looks]
        spoken, state = walk(step, blocks, stretch.record(looks[-1].record))
        told.append(ToldStep(weight=step.weight, watch=step.watch, spoken=spoken))
    return tuple(told)


class _Stretch:
    """Times of the rehearsal as they would be by the plan, counted from one origin."""

    def __init__(self, origin: datetime, plan: ServicePlan) -> None:
        clock = plan.rehearsal.canary
        self._origin, self._plan = origin, plan
        self._factor = clock.planned / clock.real

    def step(self, step: ObserveStep, state: JudgeState | None) -> ObserveStep:
        return step.with_(
            rules=in_plan_time(step.rules, self._plan),
            since=self._moment(step.since),
            ends_at=self._moment(step.ends_at),
            block=self._length(step.block),
            state=None if step.state is None else state,
        )

    def blocks(self, blocks: Sequence[Block]) -> tuple[Block, ...]:
        return tuple(
            block.model_copy(
                update={"start": self._moment(block.start), "end": self._moment(block.end)}
            )
            for block in blocks
        )

    def record(self, record: ObservedBlocks) -> ObservedBlocks:
        elapsed = self._length(record.judgement.elapsed)
        return record.with_(judgement=record.judgement.model_copy(update={"elapsed": elapsed}))

    def _moment(self, moment: datetime) -> datetime:
        return self._origin + (moment - self._origin) * self._factor

    def _length(self, length: timedelta) -> timedelta:
        return length * self._factor
