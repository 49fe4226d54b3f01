"""The shipped judge for one metric as plain arithmetic: fast, and proven equal by a test.

`Worse` is the evidence of regression alone, `Twin` the whole rule of one metric. The formulas are
those of `domain.judge`; only pydantic, sentences and further metrics are left out.
"""

from __future__ import annotations

import math

from benchmarks.judge.streams import Tally
from domain.judge import JudgeRules, Reason, Stakes, Verdict
from domain.judge.bets import (
    NON_INFERIORITY_GRID,
    NON_INFERIORITY_PRIOR,
    WEALTH_CAP,
    regression_bet,
    within_limit,
)
from domain.judge.case import SUSPICION
from domain.judge.known import clearly_over
from domain.judge.outlook import REQUESTS_HORIZON, WATCHED_HORIZON
from domain.judge.state import RECENT_DECAY, RISEN


class Worse:
    """Evidence that the canary is worse than `rho0` times stable; `evidence` after each block."""

    __slots__ = (
        *("a", "b", "c", "d", "e", "counted", "against", "blocks", "evidence", "excess", "late"),
        *("prior", "rho0"),
    )

    def __init__(self, rho0: float, stakes: Stakes) -> None:
        bet = regression_bet(rho0, stakes)
        self.rho0, self.counted, self.late = rho0, bet.counted, bet.late
        self.excess = tuple(ratio - rho0 for ratio in bet.alternatives)
        self.prior = bet.prior
        self.a, self.b, self.c, self.d, self.e = bet.start().bets
        self.blocks = self.against = 0
        self.evidence = 1.0

    def observe(self, canary: int, canary_bad: int, stable: int, stable_bad: int) -> float:
        """The evidence after one block."""
        bad = canary_bad + stable_bad
        if bad == 0 or canary == 0 or stable == 0:
            return self.evidence
        share, rho0, root = canary_bad / bad, self.rho0, math.sqrt(bad) if self.counted else 1.0
        gain, rest, scale = share / rho0, 1 - share, rho0 * canary + stable
        self.blocks = block = self.blocks + 1
        refill = self.late / (block * (block + 1))
        p1, p2, p3, p4, p5 = self.prior
        x1, x2, x3, x4, x5 = self.excess
        r1, r2, r3 = rho0 + x1 * root, rho0 + x2 * root, rho0 + x3 * root
        r4, r5 = rho0 + x4 * root, rho0 + x5 * root
        a = (self.a + p1 * refill) * (gain * r1 + rest) * scale / (r1 * canary + stable)
        b = (self.b + p2 * refill) * (gain * r2 + rest) * scale / (r2 * canary + stable)
        c = (self.c + p3 * refill) * (gain * r3 + rest) * scale / (r3 * canary + stable)
        d = (self.d + p4 * refill) * (gain * r4 + rest) * scale / (r4 * canary + stable)
        e = (self.e + p5 * refill) * (gain * r5 + rest) * scale / (r5 * canary + stable)
        evidence = a + b + c + d + e
        if evidence > WEALTH_CAP:
            a, b, c, d, e = (min(wealth, WEALTH_CAP) for wealth in (a, b, c, d, e))
            evidence = a + b + c + d + e
        self.a, self.b, self.c, self.d, self.e = a, b, c, d, e
        evidence += self.late / (block + 1)
        self.against += evidence > self.evidence * RISEN
        self.evidence = evidence
        return evidence


class NotWorse:
    """Evidence that the canary is not worse than `margin` times stable."""

    __slots__ = ("bets", "evidence", "margin")

    def __init__(self, margin: float) -> None:
        self.margin = margin
        self.bets = list(NON_INFERIORITY_PRIOR)
        self.evidence = 1.0

    def observe(self, canary: int, canary_bad: int, stable: int, stable_bad: int) -> float:
        """The evidence after one block."""
        bad = canary_bad + stable_bad
        if bad == 0 or canary == 0 or stable == 0:
            return self.evidence
        share = canary_bad / bad
        rest, gain, scale = 1 - share, share / self.margin, self.margin * canary + stable
        bets = self.bets
        for index, ratio in enumerate(NON_INFERIORITY_GRID):
            wealth = bets[index] * (gain * ratio + rest) * scale / (ratio * canary + stable)
            bets[index] = wealth if wealth < WEALTH_CAP else WEALTH_CAP
        self.evidence = sum(bets)
        return self.evidence


class Twin:
    """One metric beside a stable, all steps of a rollout; times in seconds."""

    METRIC = "errors"

    def __init__(self, rules: JudgeRules) -> None:
        self.worse = Worse(rules.rho0, rules.stakes)
        self.not_worse = {margin: NotWorse(margin) for margin in rules.margins}
        self.rollout_blocks = 0
        self.rollout_bad = 0
        self.rollout_watched = 0.0
        self.take_step(rules)

    def take_step(self, rules: JudgeRules) -> None:
        """The next weight took effect: evidence stays, the step's counts go."""
        self.rules = rules
        self.limit = rules.limits.get(self.METRIC)
        self.deadline = rules.deadline.total_seconds()
        self.last_deadline = rules.last_deadline.total_seconds()
        self.min_bake = rules.min_bake.total_seconds()
        left_out = rules.warmed is None or self.METRIC in rules.warmed
        self.warm_up_blocks = rules.warm_up_blocks if left_out else 0
        self.warmed = self.step_blocks = 0
        self.step = [0, 0, 0, 0]
        self.step_watched = 0.0
        self.recent = [0.0, 0.0, 0.0, 0.0]

    def observe(self, tally: Tally, length: float) -> None:
        """One block of `length` seconds."""
        if self.warmed < self.warm_up_blocks:
            self.warmed += 1
            return
        self.worse.observe(*tally)
        for process in self.not_worse.values():
            process.observe(*tally)
        for index, count in enumerate(tally):
            self.step[index] += count
            self.recent[index] = RECENT_DECAY * self.recent[index] + count
        self.rollout_bad += tally.canary_bad + tally.stable_bad
        self.step_blocks += 1
        self.rollout_blocks += 1
        self.step_watched += length
        self.rollout_watched += length

    def judge(self, elapsed: float) -> tuple[Verdict, Reason]:
        """The shipped order of rules, `elapsed` seconds after the step's weight took effect."""
        rules = self.rules
        if self.rollout_blocks >= rules.min_blocks and self.worse.evidence >= rules.roll_back_at:
            return Verdict.ROLL_BACK, Reason.worse
        if self._over(self.recent[2], self.recent[3]):
            both = self._over(self.recent[0], self.recent[1])
            return Verdict.HOLD, Reason.both_bad if both else Reason.stable_bad
        settled = self.step_blocks >= rules.min_blocks
        if settled and self._proven_relative():
            return Verdict.PROMOTE, Reason.relative
        if settled and elapsed >= self.min_bake and self._within_limit():
            return Verdict.PROMOTE, Reason.within_limit
        if elapsed < self.deadline:
            return Verdict.HOLD, Reason.gathering
        return self._after_deadline(elapsed)

    def _after_deadline(self, elapsed: float) -> tuple[Verdict, Reason]:
        if self.step[0] < self.rules.min_requests:
            return Verdict.HOLD, Reason.no_traffic
        objection = self._objection()
        if elapsed < self.last_deadline:
            needed = self._time_needed(elapsed)
            if objection or (needed is not None and elapsed + needed <= self.last_deadline):
                return Verdict.HOLD, Reason.gathering
        if objection:
            return Verdict.HOLD, Reason.inconclusive
        if elapsed < self.min_bake:
            return Verdict.HOLD, Reason.gathering
        return Verdict.PROMOTE, Reason.quiet

    def _proven_relative(self) -> bool:
        return self.not_worse[self.rules.margin].evidence >= self.rules.promote_at

    def _within_limit(self) -> bool:
        if self.limit is None or not self._absolute or self._suspicious():
            return False
        return within_limit(self.step[0], self.step[1], self.limit) >= self.rules.promote_at

    def _suspicious(self) -> bool:
        repeated = self.worse.against >= self.rules.suspect_blocks
        beyond = self.rules.excused is not None and self.worse.evidence >= self.rules.excused
        return self.worse.evidence >= SUSPICION and (repeated or beyond)

    @property
    def _absolute(self) -> bool:
        return self.rules.promote == "any"

    def _over(self, requests: float, bad: float) -> bool:
        return self.limit is not None and clearly_over(requests, bad, self.limit)

    def _objection(self) -> bool:
        alone = self._over(*self.step[:2]) and not self._over(*self.step[2:])
        return (
            alone
            or self._over(*self.recent[:2])
            or self._suspicious()
            or self.step_blocks < self.rules.min_blocks
        )

    def _time_needed(self, elapsed: float) -> float | None:
        neutral = self.limit is None and self.rollout_bad == 0
        if neutral or self._proven_relative() or self._proven_limit():
            return max(self.min_bake - elapsed, 0.0)
        estimates = [self._relative_time(), self._limit_time(elapsed)]
        return min((estimate for estimate in estimates if estimate is not None), default=None)

    def _proven_limit(self) -> bool:
        if self.limit is None or not self._absolute:
            return False
        return within_limit(self.step[0], self.step[1], self.limit) >= self.rules.promote_at

    def _relative_time(self) -> float | None:
        evidence = self.not_worse[self.rules.margin].evidence
        if evidence <= 1 or not self.rollout_watched:
            return None
        missing = max(math.log(self.rules.promote_at / evidence), 0)
        further = missing / math.log(evidence)
        return self.rollout_watched * further if further < WATCHED_HORIZON else None

    def _limit_time(self, elapsed: float) -> float | None:
        if not self._absolute or self._suspicious():
            return None
        missing = self._requests_missing()
        if missing is None or not self.step_watched or not self.step[0]:
            return None
        return max(missing * self.step_watched / self.step[0], self.min_bake - elapsed)

    def _requests_missing(self) -> float | None:
        canary, bad = self.step[0], self.step[1]
        rate = bad / canary if canary else 0.0
        if self.limit is None or rate >= self.limit:
            return None
        low, high = 0.0, 1.0
        while not self._enough(canary + high, bad + high * rate):
            low, high = high, high * 2
            if high > REQUESTS_HORIZON:
                return None
        while high - low > 0.5:
            middle = (low + high) / 2
            if self._enough(canary + middle, bad + middle * rate):
                high = middle
            else:
                low = middle
        return high

    def _enough(self, requests: float, bad: float) -> bool:
        assert self.limit is not None
        return within_limit(requests, bad, self.limit) >= self.rules.promote_at
