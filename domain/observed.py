"""An observation as it is stored, and how anybody recomputes its judgement from the blocks.

The observing activity and the auditor begin, read blocks and speak by these same functions.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from pydantic import BaseModel

from domain.bundle import RecordReference
from domain.canary import ERRORS, METRICS, RESTARTS, SLOW
from domain.judge.counts import Block
from domain.judge.decision import judge
from domain.judge.rules import JudgeRules
from domain.judge.state import JudgeState, next_step, observe, start
from domain.judge.verdict import Judgement, Reason, Verdict
from domain.metrics.measure import Measure
from domain.records import Record
from domain.samples import Samples, brief
from domain.steps import ObserveStep

# Floats of another machine may differ in their last digits; nothing that was changed by hand does.
SAME = 1e-9
# What cannot be used is told by its latest examples.
TOLD_LEFT_OUT = 3
TOLD_LENGTH = 240
# Between them stands why; what would be said else is recomputed.
HELD_BACK, ELSE = "Holding: ", "; the judge would else say: "
# What states and judgements of older versions do not have: it is no difference that they lack it.
ADDED_LATER = frozenset(
    {"ratio", "ratios", "edges", "voted", "unequal", "against", "stakes", "dark", "left_out"}
)


class BlockChunk(Record):
    """Some of an observation's blocks, stored while it goes on."""

    blocks: tuple[Block, ...]


class ObservedBlocks(Record):
    """What an auditor needs to recompute a judgement: the request, every block, the answer.

    The blocks are those of the records `earlier` (each a BlockChunk), then `blocks`. `left_out`
    says what of the source could not be used since the last block.
    """

    step: ObserveStep
    earlier: tuple[RecordReference, ...]
    blocks: tuple[Block, ...]
    judgement: Judgement
    left_out: tuple[str, ...] = ()


class Recomputed(Record):
    """The judge's answer to stored blocks, the state it was given by, and what differs."""

    judgement: Judgement
    state: JudgeState
    blocks: int
    differences: tuple[str, ...]


def begin(request: ObserveStep) -> JudgeState:
    """Where the judge stands before the request's first block."""
    if request.state is None:
        return start(request.rules, judged_metrics(request.metrics.measure), request.since)
    if request.state.since < request.since:
        # Clocks of Temporal and Prometheus may differ by a moment.
        since = max(request.since, request.state.until or request.since)
        return next_step(request.state, since)
    return request.state


class Judged(Protocol):
    """What is judged by rules: a release's step, or somebody else's rollout."""

    @property
    def rules(self) -> JudgeRules:
        """The judge's rules of it."""


def take_in(
    state: JudgeState, request: Judged, blocks: Sequence[Block]
) -> tuple[JudgeState, tuple[Block, ...]]:
    """The judge after these blocks, and what of them it judged."""
    last = deque(states(state, request, blocks), maxlen=1).pop()
    return last, tuple(known_to(last, block) for block in blocks)


def states(state: JudgeState, request: Judged, blocks: Sequence[Block]) -> Iterator[JudgeState]:
    """The judge's states: before the first of these blocks, then after each of them.

    Raises PermanentFailure when a block does not fit the step or the blocks before it.
    """
    state = with_restarts(state, request, blocks)
    yield state
    for block in blocks:
        state = observe(state, request.rules, known_to(state, block))
        yield state


def unused(before: tuple[str, ...], samples: Samples) -> tuple[str, ...]:
    """What of the source could not be used since the last block, the latest last."""
    earlier = () if samples.every else before
    # What spoiled a block is told with the count of such blocks.
    known = {block.spoiled for block in samples.spoiled}
    named = [str(fault)[:TOLD_LENGTH] for fault in samples.broken if brief(fault) not in known]
    return tuple(dict.fromkeys([*earlier, *named]))[-TOLD_LEFT_OUT:]


def with_restarts(state: JudgeState, request: Judged, blocks: Iterable[Block]) -> JudgeState:
    """Judge restarts as well where the cluster counts them (kube-state-metrics is not everywhere).

    A metric joins before the first block or not at all: evidence may not be chosen afterwards.
    """
    counted = any(RESTARTS in block.counts for block in blocks)
    none_judged = not (state.warmed_blocks or state.rollout_blocks)
    if counted and none_judged and RESTARTS not in state.metrics:
        metrics = tuple(one for one in METRICS if one in state.metrics or one == RESTARTS)
        begun = start(request.rules, metrics, state.since)
        return begun.model_copy(update={"until": state.until, "left_out": state.left_out})
    return state


def judged_metrics(measure: Measure) -> tuple[str, ...]:
    """What a service's convention tells, and is therefore waited for; restarts join by themselves.

    A metric that no source tells would hold every step for want of data on it.
    """
    return (ERRORS, SLOW) if measure.tells_slow else (ERRORS,)


def known_to(state: JudgeState, block: Block) -> Block:
    """The block without metrics that came too late to be judged."""
    known = {name: counts for name, counts in block.counts.items() if name in state.metrics}
    return block.model_copy(update={"counts": known})


def is_final(request: ObserveStep, judgement: Judgement, now: datetime) -> bool:
    """Whether the observation ends with this answer; a watch ends early only to roll back."""
    if judgement.verdict is Verdict.ROLL_BACK or now >= request.ends_at:
        return True
    return judgement.verdict is Verdict.PROMOTE and not request.watch


def spoken_of(judgement: Judgement, left_out: Sequence[str]) -> Judgement:
    """The judgement that says, where there is no data, what of the source could not be used."""
    if judgement.reason is not Reason.no_data or not left_out:
        return judgement
    sentence = f"{judgement.sentence}; could not be used: {'; '.join(left_out)}"
    return judgement.model_copy(update={"sentence": sentence})


def held_back(judgement: Judgement, why: str) -> Judgement:
    """A promotion by rules that are not verified to be the plan's is a hold; the rest stands."""
    if judgement.verdict is not Verdict.PROMOTE:
        return judgement
    return judgement.model_copy(
        update={
            "verdict": Verdict.HOLD,
            "reason": Reason.plan_unverified,
            "sentence": f"{HELD_BACK}{why}{ELSE}{judgement.sentence}",
        }
    )


def recompute(record: ObservedBlocks, earlier: Iterable[Block]) -> Recomputed:
    """Judge the stored blocks again (`earlier`: those of the record's chunks, in order).

    Raises PermanentFailure when a block does not fit the step or the blocks before it.
    """
    blocks = (*earlier, *record.blocks)
    state, _ = take_in(begin(record.step), record.step, blocks)
    return conclude(record, state, len(blocks))


def conclude(record: ObservedBlocks, state: JudgeState, blocks: int) -> Recomputed:
    """The judge's answer in the state after all `blocks` of the record, against the stored one."""
    told = _of_its_time(state, record)
    judgement = judge(told, record.step.rules, record.judgement.elapsed)
    judgement = _held_back_again(spoken_of(judgement, record.left_out), record.judgement)
    return Recomputed(
        judgement=judgement,
        state=state,
        blocks=blocks,
        differences=differing(record.judgement, judgement),
    )


def differing(stored: BaseModel, found: BaseModel) -> tuple[str, ...]:
    """Each value that differs as `path: stored ..., recomputed ...`."""
    return tuple(_differences("", stored.model_dump(mode="json"), found.model_dump(mode="json")))


def _held_back_again(judgement: Judgement, stored: Judgement) -> Judgement:
    """Why it was held back no block says: that is taken from the record."""
    if stored.reason is not Reason.plan_unverified:
        return judgement
    why = stored.sentence.removesuffix(f"{ELSE}{judgement.sentence}")
    return held_back(judgement, why.removeprefix(HELD_BACK))


def _of_its_time(state: JudgeState, record: ObservedBlocks) -> JudgeState:
    """Without the interval where the record has none: its sentence did not tell it either."""
    if record.judgement.ratios:
        return state
    metrics = {
        name: metric.model_copy(update={"ratio": None}) for name, metric in state.metrics.items()
    }
    return state.model_copy(update={"metrics": metrics})


def _differences(path: str, stored: object, found: object) -> list[str]:
    if isinstance(stored, Mapping) and isinstance(found, Mapping):
        names = [*stored, *(name for name in found if name not in stored)]
        return [
            line
            for name in names
            if not (name in ADDED_LATER and not stored.get(name))
            for line in _differences(f"{path}.{name}", stored.get(name), found.get(name))
        ]
    if isinstance(stored, list) and isinstance(found, list) and len(stored) == len(found):
        pairs = enumerate(zip(stored, found, strict=True))
        return [line for at, (a, b) in pairs for line in _differences(f"{path}[{at}]", a, b)]
    if _same(stored, found):
        return []
    return [f"{path.lstrip('.')}: stored {stored!r}, recomputed {found!r}"]


def _same(stored: object, found: object) -> bool:
    if isinstance(stored, float) and isinstance(found, float):
        return math.isclose(stored, found, rel_tol=SAME)
    return stored == found
