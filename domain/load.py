"""The declared load of a quiet canary: how much, to which arm, and what came back."""

from __future__ import annotations

import math
from datetime import timedelta

from pydantic import Field

from domain.canary import SILENT_BLOCKS
from domain.judge.rules import JudgeRules, OnQuiet
from domain.judge.verdict import Judgement, Reason, Verdict
from domain.plan import ServicePlan
from domain.probes import Probe
from domain.records import Record
from domain.soak import exceeds
from domain.steps import RevisionRequest

# Whatever rate and deadline a plan names, one load is never longer.
MOST_REQUESTS = 10_000
# So much more than `min_requests`, since the judge skips the blocks of its warm-up.
SPARE = 1.5
WANTED_BY = frozenset({Reason.needs_load, Reason.no_traffic})
# Answers that are mostly not what the plan declares: it is no load, or no healthy version.
MOSTLY = 0.5


class SendLoad(Record):
    """Send the load of the bundle's plan: `weight` percent of it to the revision, as of users."""

    target: RevisionRequest
    weight: int


class Tally(Record):
    """What one arm answered; `problem` is the last answer that was not as declared."""

    sent: int = 0
    unexpected: int = 0
    problem: str = ""

    def add(self, problem: str) -> Tally:
        """Count one answer; the empty problem is one as declared."""
        return Tally(
            sent=self.sent + 1,
            unexpected=self.unexpected + bool(problem),
            problem=problem or self.problem,
        )

    def is_wrong(self, limit: float = MOSTLY) -> bool:
        """Tell whether more answers than `limit` were not as declared, beyond chance."""
        return exceeds(self.sent, self.unexpected, limit)

    @property
    def sentence(self) -> str:
        """Say it to a person."""
        told = f"{self.sent - self.unexpected} of {self.sent} answered as declared"
        return f"{told}, last: {self.problem}" if self.problem else told


class LoadReport(Record):
    """A load as far as it was sent; also what a heartbeat carries over a lost worker."""

    canary: Tally = Field(default_factory=Tally)
    stable: Tally = Field(default_factory=Tally)

    def of(self, *, canary: bool) -> Tally:
        """One arm's answers."""
        return self.canary if canary else self.stable

    def add(self, problem: str, *, canary: bool) -> LoadReport:
        """Count one answer of an arm; the empty problem is one as declared."""
        tally = self.of(canary=canary).add(problem)
        return self.with_(canary=tally) if canary else self.with_(stable=tally)

    @property
    def sent(self) -> int:
        """Requests to both arms."""
        return self.canary.sent + self.stable.sent

    @property
    def sentence(self) -> str:
        """Say it to a person."""
        arms = [f"canary: {self.canary.sentence}"]
        arms += [f"stable: {self.stable.sentence}"] if self.stable.sent else []
        return f"declared load sent, {self.sent} requests; {'; '.join(arms)}"


def to_canary(number: int, weight: int) -> bool:
    """Whether the load's request `number` (from 0) is the canary's: `weight` of each 100, evenly.

    The arms share it as they share the users: another mix of requests in one arm would look like
    another version.
    """
    return (number + 1) * weight // 100 > number * weight // 100


def wants_load(judgement: Judgement) -> bool:
    """Whether a hold is for want of requests, which the plan's load would end."""
    return judgement.verdict is Verdict.HOLD and judgement.reason in WANTED_BY


def requests_of(plan: ServicePlan, probe: Probe, weight: int) -> int:
    """How many: one more deadline at the probe's rate, or what the canary needs if that is more."""
    in_time = plan.pace.step_deadline.total_seconds() * probe.rate
    needed = plan.canary.min_requests * SPARE * 100 / max(weight, 1)
    return min(MOST_REQUESTS, math.ceil(max(in_time, needed)))


def lasts(plan: ServicePlan, probe: Probe, weight: int) -> timedelta:
    """How long that takes at the probe's rate, until it is scraped."""
    sending = timedelta(seconds=requests_of(plan, probe, weight) / probe.rate)
    return sending + SILENT_BLOCKS * plan.pace.block


def rules_under_load(rules: JudgeRules, deadline: timedelta) -> JudgeRules:
    """The step's rules with a deadline at the load's end; quiet then is all that there is."""
    return rules.model_copy(
        update={"deadline": deadline, "extensions": 0, "on_quiet": OnQuiet.advance}
    )
