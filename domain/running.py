"""A step that is being judged, up to its last heartbeat: a trace that claims nothing yet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from domain.bundle import RecordReference
from domain.judge.counts import Block
from domain.judge.decision import judge
from domain.judge.rules import JudgeRules
from domain.judge.state import JudgeState
from domain.judge.verdict import Reason, Verdict
from domain.observed import ObservedBlocks, spoken_of
from domain.records import Record
from domain.samples import SILENT_INTERVALS
from domain.steps import ObserveStep
from domain.trace import Trace, trace

CLAIMS_NOTHING = "no verdict yet: nothing is claimed, and none of it is evidence"


class RunningStep(Record):
    """What was asked of the observer, and what its heartbeat of `as_of` carried.

    Its blocks are those of the records `chunks` (each a BlockChunk), then `blocks`.
    """

    step: ObserveStep
    as_of: datetime
    state: JudgeState
    chunks: tuple[RecordReference, ...] = ()
    blocks: tuple[Block, ...] = ()
    left_out: tuple[str, ...] = ()

    def ended_as(self, record: ObservedBlocks) -> bool:
        """Whether that is the record of this very observation: it has ended since."""
        mine, other = self.step, record.step
        return (mine.since, mine.ends_at, mine.weight, mine.watch, mine.target.release_id) == (
            other.since, other.ends_at, other.weight, other.watch, other.target.release_id
        )  # fmt: skip


def running_trace(running: RunningStep, earlier: Sequence[Block] | None) -> Trace:
    """The way so far; `earlier` are the blocks of its chunks, None when some cannot be read."""
    step = running.step.with_(rules=_patient(running, earlier or ()))
    judgement = judge(running.state, step.rules, running.as_of - step.since)
    observed = ObservedBlocks(
        step=step,
        earlier=running.chunks,
        blocks=running.blocks,
        judgement=spoken_of(judgement, running.left_out),
        left_out=running.left_out,
    )
    found = trace(observed, None, earlier).with_(as_of=running.as_of, assumes=CLAIMS_NOTHING)
    if judgement.verdict is Verdict.HOLD:
        return found
    # A watch goes on although the judge would promote; so would what is about to end.
    until = f"until {step.ends_at:%H:%M:%S} UTC" if step.watch else "its verdict is due"
    return found.with_(
        verdict=Verdict.HOLD,
        reason=Reason.gathering,
        sentence=f"nothing against the canary so far; it is watched {until}"
        if judgement.verdict is Verdict.PROMOTE and step.watch
        else f"the judge has seen enough; {until}",
    )


def _patient(running: RunningStep, earlier: Sequence[Block]) -> JudgeRules:
    """The rules with the patience that a slowly scraped source needs, as its observer has it."""
    rules = running.step.rules
    lengths = [block.end - block.start for block in (*earlier, *running.blocks)]
    if not lengths or SILENT_INTERVALS * min(lengths) <= rules.silent_after:
        return rules
    return rules.model_copy(update={"stale_after": SILENT_INTERVALS * min(lengths)})
