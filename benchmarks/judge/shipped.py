"""The shipped `domain.judge`, driven block by block on a stream: what the twin must equal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from benchmarks.judge.streams import BLOCK, Tally
from benchmarks.judge.twin import Twin
from domain.judge import (
    Block,
    Counts,
    Judgement,
    JudgeRules,
    JudgeState,
    judge,
    next_step,
    observe,
    start,
)

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Shipped:
    """One rollout as the workflow drives it: observe a block, judge at its end."""

    rules: JudgeRules
    state: JudgeState
    now: datetime = EPOCH

    @classmethod
    def begin(cls, rules: JudgeRules) -> Shipped:
        """Before the first block."""
        return cls(rules, start(rules, [Twin.METRIC], EPOCH))

    def take_step(self, rules: JudgeRules) -> None:
        """The next weight took effect now."""
        self.rules = rules
        self.state = next_step(self.state, self.now)

    def observe(self, tally: Tally) -> None:
        """One block of the stream."""
        end = self.now + timedelta(seconds=BLOCK)
        counts = Counts(
            canary_requests=tally.canary,
            canary_bad=tally.canary_bad,
            stable_requests=tally.stable,
            stable_bad=tally.stable_bad,
        )
        block = Block(start=self.now, end=end, counts={Twin.METRIC: counts})
        self.state = observe(self.state, self.rules, block)
        self.now = end

    def judge(self) -> Judgement:
        """The answer at the end of the last block."""
        return judge(self.state, self.rules, self.now - self.state.since)
