"""Past releases under another plan: what would have been decided, when, and what nobody can know.

The stored blocks are judged by the judge's own functions, under other rules. Blocks after the old
verdict do not exist: where the new rules have none by then, they would still have been holding.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import NamedTuple

from domain.canary import judge_rules
from domain.gates import Gate, GateMode
from domain.judge.counts import Block
from domain.judge.decision import judge
from domain.judge.rules import JudgeRules
from domain.judge.state import JudgeState
from domain.judge.verdict import Judgement, Verdict
from domain.observed import (
    ObservedBlocks,
    begin,
    is_final,
    recompute,
    spoken_of,
    states,
)
from domain.plan import ServicePlan
from domain.quantities import format_duration
from domain.records import Record
from domain.slow_edges import at_limit, tells_other_edges
from domain.steps import ObserveStep


@dataclass(frozen=True)
class StoredVerdict:
    """One verdict record and all of its blocks, those of its chunks first."""

    record: ObservedBlocks
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Plans:
    """The plan a release was judged by (None: not known), and the one to judge it by now."""

    old: ServicePlan | None
    new: ServicePlan


class Change(StrEnum):
    """What the other rules make of a step; the order is that of what matters most."""

    ROLLBACK_GAINED = "rolled back now"
    ROLLBACK_LOST = "no longer rolled back"
    PROMOTED = "promoted now"
    HOLDING = "still holding"
    EARLIER = "same, earlier"
    LATER = "same, later"
    SAME = "same"
    UNKNOWN = "not knowable"


# What of the rules is in the evidence itself, not in what is decided upon it.
GATHERING = (
    "margins", "rho0", "floors", "pod_votes", "stakes",
    "warm_up", "warm_up_blocks", "warmed", "suspect_blocks",
)  # fmt: skip
# Another verdict than was given; the rest is the same answer, or none.
CHANGED = (Change.ROLLBACK_GAINED, Change.ROLLBACK_LOST, Change.PROMOTED, Change.HOLDING)


class Spoken(Record):
    """A verdict, and when it came: after which of the step's blocks, and how long into the step."""

    judgement: Judgement
    block: int
    at: datetime


class RejudgedStep(Record):
    """One step (or the watch) of a release, under the old rules and under the new ones.

    `supposing`: the new rules had parted from the old before, and the step is judged as if the
    release had gone on as it did. `unknown` says what the stored blocks cannot answer.
    """

    weight: int
    watch: bool
    blocks: int
    old: Spoken
    new: Spoken | None
    change: Change
    supposing: bool = False
    recomputes: bool = True
    unknown: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether the verdict itself is another."""
        return self.change in CHANGED


class Totals(Record):
    """How many releases and verdicts there were, and how many of each change."""

    releases: int
    verdicts: int
    changed: int
    changes: dict[Change, int]
    false_by_hindsight: int


class _Walked(NamedTuple):
    """A step, and the judge's state after it under the new rules."""

    step: RejudgedStep
    state: JudgeState | None


class _Before(NamedTuple):
    """Where the new rules stand before a step, and what they made of the steps before it."""

    state: JudgeState | None
    parted: bool
    rolled_back_at: int | None


def rejudge(verdicts: Sequence[StoredVerdict], plans: Plans) -> tuple[RejudgedStep, ...]:
    """One release's verdicts, in the order of time, under the new plan.

    Raises PermanentFailure when blocks do not fit the step they are stored with.
    """
    done: list[RejudgedStep] = []
    steps = steps_of(verdicts)
    asked = _asked(steps, plans)
    before = _Before(None, parted=False, rolled_back_at=None)
    for step, request in zip(steps, asked, strict=True):
        judged, state = _rejudged(step, request, plans, before)
        done.append(judged)
        rolled_back = _rolls_back(judged, plans.new)
        before = _Before(
            state,
            parted=before.parted or judged.change is not Change.SAME,
            rolled_back_at=judged.weight if rolled_back else before.rolled_back_at,
        )
    return tuple(done)


def _rolls_back(judged: RejudgedStep, plan: ServicePlan) -> bool:
    """Whether the release ends there by the new plan, whose gate may also ask or only observe."""
    gate = plan.gates.mode_of(Gate.WATCH if judged.watch else Gate.CANARY)
    said = judged.new is not None and _verdict(judged.new) is Verdict.ROLL_BACK
    return said and gate is GateMode.ACT


def total(releases: Iterable[tuple[tuple[RejudgedStep, ...], bool]]) -> Totals:
    """Sum over releases, each with its steps and whether it ended well (its watch was clean)."""
    found = list(releases)
    steps = [step for of_release, _ in found for step in of_release]
    changes = {change: sum(step.change is change for step in steps) for change in Change}
    return Totals(
        releases=len(found),
        verdicts=len(steps),
        changed=sum(step.changed for step in steps),
        changes={change: count for change, count in changes.items() if count},
        false_by_hindsight=sum(
            good and any(step.change is Change.ROLLBACK_GAINED for step in of_release)
            for of_release, good in found
        ),
    )


def ended_well(steps: Iterable[RejudgedStep]) -> bool:
    """Whether the release's own watch found nothing: it was a good one, as far as was seen."""
    return any(step.watch and _verdict(step.old) is Verdict.PROMOTE for step in steps)


def rules_under(request: ObserveStep, plans: Plans) -> JudgeRules:
    """The step's rules with what the new plan says otherwise, and nothing else."""
    has_stable = request.target.stable is not None
    after = judge_rules(plans.new, request.weight, has_stable=has_stable)
    if plans.old is None:
        return after.model_copy(update={"last_known": request.rules.last_known})
    before = judge_rules(plans.old, request.weight, has_stable=has_stable)
    changed = {
        name: getattr(after, name)
        for name in JudgeRules.model_fields
        if getattr(after, name) != getattr(before, name)
    }
    return JudgeRules.model_validate(request.rules.model_dump() | changed)


def steps_of(verdicts: Sequence[StoredVerdict]) -> list[list[StoredVerdict]]:
    """Observations of the same step belong together: a hold, and the look after it."""
    ordered = sorted(
        verdicts, key=lambda one: (one.record.step.since, one.record.judgement.elapsed)
    )
    return [
        list(group)
        for _, group in groupby(
            ordered,
            lambda one: (one.record.step.since, one.record.step.weight, one.record.step.watch),
        )
    ]


def _asked(steps: list[list[StoredVerdict]], plans: Plans) -> list[ObserveStep]:
    """Every step as the new plan asks it; a margin's process runs from the first block on."""
    requests = [step[0].record.step for step in steps]
    rules = [rules_under(request, plans) for request in requests]
    margins = tuple(sorted({margin for one in rules for margin in one.margins}, reverse=True))
    return [
        request.with_(
            rules=one.model_copy(update={"margins": margins}), slow_above=plans.new.limits.p95
        )
        for request, one in zip(requests, rules, strict=True)
    ]


def _rejudged(
    step: list[StoredVerdict], asked: ObserveStep, plans: Plans, before: _Before
) -> _Walked:
    request, last = step[0].record.step, step[-1].record
    old = _old(step)
    unknown = _unknown(step, plans)
    judged = RejudgedStep(
        weight=request.weight,
        watch=request.watch,
        blocks=old.block,
        old=old,
        new=None,
        change=Change.UNKNOWN,
        recomputes=not any(recompute(one.record, one.blocks).differences for one in step),
        unknown=unknown,
    )
    if before.rolled_back_at is not None:
        why = f"not reached: the new rules had rolled back at {before.rolled_back_at} %"
        return _Walked(judged.with_(unknown=(why,)), None)
    begun = _begun(asked, request, before.state)
    if begun is None:
        why = "the blocks of the steps before it are not among the records, and the new rules count"
        return _Walked(judged.with_(unknown=(*unknown, f"{why} them otherwise")), None)
    blocks = [at_limit(one.blocks, request.slow_above, asked.slow_above) for one in step]
    new, state = walk(begun, blocks, last)
    if (asked.rules, asked.slow_above) == (request.rules, request.slow_above):
        new = old if _verdict(new) is _verdict(old) else new
    change = _change(old, new, walk(request, [one.blocks for one in step], last)[0])
    return _Walked(judged.with_(new=new, change=change, supposing=before.parted), state)


def _old(step: list[StoredVerdict]) -> Spoken:
    """What was said, after all blocks of the step: there it stopped."""
    record = step[-1].record
    return Spoken(
        judgement=record.judgement,
        block=len({block.end for one in step for block in one.blocks}),
        at=record.step.since + record.judgement.elapsed,
    )


def _begun(
    asked: ObserveStep, request: ObserveStep, state: JudgeState | None
) -> ObserveStep | None:
    """The step as the new rules would have begun it; None where that cannot be known."""
    if request.state is None or state is not None:
        return asked.with_(state=None if request.state is None else state)
    return asked if _counts_alike(asked, request) else None


def _counts_alike(one: ObserveStep, other: ObserveStep) -> bool:
    """Whether evidence that was gathered by one's rules is what the other's had gathered."""

    def gathering(step: ObserveStep) -> tuple[object, ...]:
        return step.slow_above, *(getattr(step.rules, name) for name in GATHERING)

    return gathering(one) == gathering(other)


def walk(
    request: ObserveStep, blocks: list[tuple[Block, ...]], last: ObservedBlocks
) -> tuple[Spoken, JudgeState]:
    """Judge after every block; without a verdict by the last one, when the old verdict came."""
    every = tuple(block for part in blocks for block in part)
    found = states(begin(request), request, every)
    state = next(found)
    first: Spoken | None = None
    for number, (block, after) in enumerate(zip(every, found, strict=True), start=1):
        state = after
        if first is None:
            judgement = judge(state, request.rules, block.end - request.since)
            if _ends(request, judgement, block.end):
                first = Spoken(judgement=judgement, block=number, at=block.end)
    if first is None:
        elapsed = last.judgement.elapsed
        judgement = spoken_of(judge(state, request.rules, elapsed), last.left_out)
        first = Spoken(judgement=judgement, block=len(every), at=request.since + elapsed)
    return first, state


def _ends(request: ObserveStep, judgement: Judgement, at: datetime) -> bool:
    return judgement.verdict is not Verdict.HOLD and is_final(request, judgement, at)


def _verdict(spoken: Spoken) -> Verdict:
    return spoken.judgement.verdict


def _change(old: Spoken, new: Spoken, walked: Spoken) -> Change:
    """`walked` is what the old rules say block by block: several blocks may come at one look."""
    if _verdict(new) is not _verdict(old):
        return _other(old, new)
    then = walked.block if _verdict(walked) is _verdict(old) else old.block
    if _verdict(old) is Verdict.HOLD or new.block in (then, old.block):
        return Change.SAME
    return Change.EARLIER if new.block < then else Change.LATER


def _other(old: Spoken, new: Spoken) -> Change:
    if _verdict(new) is Verdict.ROLL_BACK:
        return Change.ROLLBACK_GAINED
    if _verdict(old) is Verdict.ROLL_BACK:
        return Change.ROLLBACK_LOST
    return Change.PROMOTED if _verdict(new) is Verdict.PROMOTE else Change.HOLDING


def _unknown(step: list[StoredVerdict], plans: Plans) -> tuple[str, ...]:
    """What no stored block answers about a step."""
    request, new = step[0].record.step, plans.new
    told: list[str] = []
    if request.target.stable is not None and request.weight not in new.canary.steps:
        told.append(
            f"the new plan has no step of {request.weight} %: blocks at its own weights "
            f"({', '.join(map(str, new.canary.steps))} %) do not exist"
        )
    if request.watch and plans.old is not None and new.pace.watch > plans.old.pace.watch:
        longer = format_duration(new.canary.watch - plans.old.canary.watch)
        told.append(f"the new plan watches {longer} longer: no blocks of that time exist")
    if plans.old is not None and plans.old.metrics != new.metrics:
        told.append("the new plan measures otherwise: the blocks hold what the old one measured")
    finer = new.limits.p95 != request.slow_above
    if finer and not all(tells_other_edges(block) for one in step for block in one.blocks):
        told.append(
            f"how many requests took longer than {format_duration(new.limits.p95)}: the blocks say "
            f"it of {format_duration(request.slow_above)} alone"
        )
    return tuple(told)
