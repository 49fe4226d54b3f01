"""Observe mode: somebody else's rollout, judged read-only by the rules of our own canaries.

What the judge would have done and when is kept with every block, so that anybody can recompute it
(`tidegate judge observe`, `tidegate judge replay`).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from domain.errors import PermanentFailure
from domain.judge.counts import Block
from domain.judge.decision import judge
from domain.judge.rules import JudgeRules
from domain.judge.state import JudgeState, start
from domain.judge.verdict import Judgement, Reason, Verdict
from domain.metrics.plan import MetricsPlan
from domain.observed import (
    TOLD_LENGTH,
    differing,
    judged_metrics,
    spoken_of,
    take_in,
    unused,
)
from domain.records import Record
from domain.samples import Samples, Span

WORDS = {
    Verdict.ROLL_BACK: ("Rolled back", "would roll back"),
    Verdict.PROMOTE: ("Promoted", "would promote"),
    Verdict.HOLD: ("Holding", "would hold"),
}


class RolloutWatch(Record):
    """Two arms named by the labels of their pods, and the rules they are judged by.

    `stable` are the pods it is compared with, whichever `rules.control` says they are; `weight` is
    the canary's share of traffic in percent: it sets how good the proof must be.
    Watching ends at `ends_at`, at a reason to roll back, and with `until_verdict` at any verdict.
    """

    environment: str
    namespace: str
    canary: dict[str, str]
    stable: dict[str, str]
    weight: int
    rules: JudgeRules
    since: datetime
    ends_at: datetime
    block: timedelta
    slow_above: timedelta
    until_verdict: bool = False
    metrics: MetricsPlan = MetricsPlan()


class Answer(Record):
    """What the judge said after so many of the blocks."""

    blocks: int
    judgement: Judgement
    left_out: tuple[str, ...] = ()

    def says_the_same_as(self, other: Answer) -> bool:
        """Whether the same branch of the rule spoke."""
        return self._branch == other._branch

    @property
    def _branch(self) -> tuple[Verdict, Reason]:
        return self.judgement.verdict, self.judgement.reason


class ObservedRollout(Record):
    """Everything an auditor needs: the question, every block, and the judge's answers.

    Of answers that follow each other and say the same there are the first and the last.
    """

    watched: RolloutWatch
    blocks: tuple[Block, ...] = ()
    answers: tuple[Answer, ...] = ()

    def first(self, verdict: Verdict) -> Answer | None:
        """When the judge first said so."""
        return next((one for one in self.answers if one.judgement.verdict is verdict), None)

    @property
    def verdict(self) -> Verdict:
        """What Tidegate would have done: a rollback counts whatever was said before it."""
        for verdict in (Verdict.ROLL_BACK, Verdict.PROMOTE):
            if self.first(verdict) is not None:
                return verdict
        return Verdict.HOLD


class Watching(Record):
    """How far the watching is: the judge, where the last block ended, what is recorded."""

    state: JudgeState
    after: datetime
    record: ObservedRollout
    left_out: tuple[str, ...] = ()
    heard: bool = True

    @classmethod
    def begun(cls, watched: RolloutWatch) -> Watching:
        """Before the first block."""
        state = start(watched.rules, judged_metrics(watched.metrics.measure), watched.since)
        return cls(state=state, after=watched.since, record=ObservedRollout(watched=watched))

    def span(self, now: datetime) -> Span:
        """The time to cut into blocks now."""
        watched = self.record.watched
        return Span.following(watched.since, self.after, now, watched.block)

    def without_data(self, why: str) -> Watching:
        """The source did not answer: no block, and no evidence."""
        return self.with_(left_out=(why[:TOLD_LENGTH],), heard=False)

    def with_samples(self, samples: Samples) -> Watching:
        """Judge what was sampled."""
        state, judged = take_in(self.state, self.record.watched, samples.every)
        record = self.record.with_(blocks=(*self.record.blocks, *judged))
        left_out = unused(self.left_out, samples)
        return self.with_(
            state=state, after=samples.until, record=record, left_out=left_out, heard=True
        )

    def judged(self, now: datetime) -> Watching:
        """With the judge's answer of now; one that says the same as the last replaces it."""
        record = self.record
        elapsed = now - record.watched.since
        said = judge(self.state, record.watched.rules, elapsed)
        answer = Answer(
            blocks=len(record.blocks),
            judgement=spoken_of(said, self.left_out),
            left_out=self.left_out,
        )
        kept = record.answers
        if len(kept) > 1 and all(answer.says_the_same_as(one) for one in kept[-2:]):
            kept = kept[:-1]
        return self.with_(record=record.with_(answers=(*kept, answer)))

    def is_over(self, now: datetime) -> bool:
        """Whether there is nothing more to wait for."""
        watched, verdict = self.record.watched, self.record.verdict
        decided = verdict is Verdict.PROMOTE and watched.until_verdict
        return verdict is Verdict.ROLL_BACK or decided or now >= watched.ends_at


class RecomputedRollout(Record):
    """The judge's answers to the stored blocks, and what differs from the stored ones."""

    answers: tuple[Answer, ...]
    differences: tuple[str, ...]


def recompute_rollout(record: ObservedRollout) -> RecomputedRollout:
    """Judge the stored blocks again and give every answer anew.

    Raises PermanentFailure when a block does not fit those before it, or an answer is about more
    blocks than there are.
    """
    watched = record.watched
    state, taken, answers = Watching.begun(watched).state, 0, []
    for stored in record.answers:
        if not taken <= stored.blocks <= len(record.blocks):
            raise PermanentFailure(
                f"an answer is about {stored.blocks} blocks, after one about {taken}, of"
                f" {len(record.blocks)} that there are"
            )
        state, _ = take_in(state, watched, record.blocks[taken : stored.blocks])
        taken = stored.blocks
        said = judge(state, watched.rules, stored.judgement.elapsed)
        answers.append(stored.with_(judgement=spoken_of(said, stored.left_out)))
    differences = tuple(
        f"after {again.blocks} blocks: {line}"
        for stored, again in zip(record.answers, answers, strict=True)
        for line in differing(stored.judgement, again.judgement)
    )
    return RecomputedRollout(answers=tuple(answers), differences=differences)


def would(judgement: Judgement) -> str:
    """The judge's sentence about what Tidegate would have done: it did nothing here."""
    done, would_do = WORDS[judgement.verdict]
    if judgement.sentence.startswith(done):
        return would_do + judgement.sentence.removeprefix(done)
    return f"{would_do}: {judgement.sentence}"
