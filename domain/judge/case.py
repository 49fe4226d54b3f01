"""The facts of one decision, computed once from state, rules and elapsed time for every branch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from domain.judge.bets import (
    FloorBet,
    ShareBet,
    non_inferiority_bet,
    regression_bet,
    within_limit,
)
from domain.judge.counts import ArmName
from domain.judge.interval import RatioInterval, ratio_interval
from domain.judge.known import clearly_over
from domain.judge.rules import JudgeRules
from domain.judge.state import EdgeState, JudgeState

# Evidence of regression from here on forbids every promotion that is not a relative proof.
SUSPICION = 3.0


@dataclass(frozen=True, slots=True)
class Case:
    """State, rules and elapsed time of the step, and what they say about each metric."""

    state: JudgeState
    rules: JudgeRules
    elapsed: timedelta

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics, in alphabetical order.

        What is added up in another order differs in its last digit, and a stored state has lost
        the order in which its metrics were begun.
        """
        return tuple(sorted(self.state.metrics))

    def weight(self, metric: str) -> float:
        """v_i: this metric's part of the merged evidence; the parts sum to 1."""
        weights = {name: self.rules.metric_weights.get(name, 1.0) for name in self.metrics}
        return weights[metric] / sum(weights.values())

    def regression(self, metric: str) -> float:
        """Evidence that the canary is worse: than stable, or without one than its bar.

        With a histogram it is the mean of E over all edges: each E has expectation <= 1 where the
        canary is not slower at its edge, so their mean has where it is slower at none, however
        the edges depend on each other (they count the same requests).
        """
        state = self.state.metrics[metric]
        if self.rules.control_arm:
            bet = self.bet
            edges = [bet.evidence(edge.worse) for edge in state.edges]
            return (bet.evidence(state.worse) + sum(edges)) / (1 + len(edges))
        bar = self.rules.bar(metric)
        wealth = state.limit if bar == self.rules.limits.get(metric) else state.bar
        return FloorBet(bar).evidence(wealth) if bar is not None and wealth is not None else 1.0

    @property
    def bet(self) -> ShareBet:
        """The bet against "not worse than stable" that this rollout began with."""
        return regression_bet(self.rules.rho0, self.state.stakes)

    def ratio(self, metric: str) -> RatioInterval | None:
        """Which canary / stable the rollout has not refuted; None while nothing is known."""
        wealth = self.state.metrics[metric].ratio
        return ratio_interval(wealth) if wealth is not None and self.rules.control_arm else None

    def evidence(self) -> float:
        """The weighted mean over all metrics (Vovk and Wang: valid under any dependence)."""
        return sum(self.weight(metric) * self.regression(metric) for metric in self.metrics)

    def leading_edge(self, metric: str) -> EdgeState | None:
        """The histogram's edge that speaks loudest; None where that is the limit's own."""
        state, bet = self.state.metrics[metric], self.bet
        leading = max(state.edges, key=lambda edge: bet.evidence(edge.worse), default=None)
        if leading is None or bet.evidence(leading.worse) <= bet.evidence(state.worse):
            return None
        return leading

    def counted_evidence(self) -> float:
        """The same, of the metrics whose bad rate is also proven to be above their floor."""
        return sum(
            self.weight(metric) * self.regression(metric)
            for metric in self.metrics
            if self.above_floor(metric)
        )

    def above_floor(self, metric: str) -> bool:
        """Whether the metric counts for a rollback; a metric without a floor always does."""
        if metric not in self.rules.floors:
            return True
        peak = self.state.metrics[metric].floor_peak
        return peak >= self.rules.arms / (self.rules.alpha * self.weight(metric))

    def worst(self) -> str:
        """The metric that brings most of the counted evidence, else of the evidence."""
        return max(
            self.metrics,
            key=lambda name: (self.above_floor(name), self.weight(name) * self.regression(name)),
        )

    def suspicious(self) -> bool:
        """Whether any metric alone speaks against the canary, in enough blocks or beyond excuse."""
        return any(
            self.regression(metric) >= SUSPICION
            and (self._repeated(metric) or self._beyond_excuse(metric))
            for metric in self.metrics
        )

    def _beyond_excuse(self, metric: str) -> bool:
        """Whether one block said more than chance may."""
        most = self.rules.excused
        return most is not None and self.regression(metric) >= most

    def _repeated(self, metric: str) -> bool:
        """Whether more spoke against it than chance: one block is one vote, like any other.

        Without a stable a block is held against the limit, which makes it more than a vote; and
        so is a single event where no limit says how many there may be (a restart).
        """
        against, limited = self.state.metrics[metric].against, metric in self.rules.limits
        if against is None or not limited or not self.rules.control_arm:
            return True
        return against >= self.rules.suspect_blocks

    def not_worse(self, metric: str) -> float:
        """E_ni: evidence that the canary is not worse than stable by the step's margin."""
        if not self.rules.control_arm:
            return 0.0
        process = self.state.margins.index(self.rules.margin)
        wealth = self.state.metrics[metric].not_worse[process]
        return non_inferiority_bet(self.rules.margin).evidence(wealth)

    def under_limit(self, metric: str) -> float:
        """E_abs of the step: evidence that the canary's bad rate is under the limit; 0 if none."""
        limit = self.rules.limits.get(metric)
        if limit is None:
            return 0.0
        step = self.state.metrics[metric].step
        return within_limit(step.canary_requests, step.canary_bad, limit)

    def proof(self, metric: str) -> float:
        """The better of the two proofs that the rules allow for this metric."""
        return max(self.not_worse(metric), self.under_limit(metric) if self.absolute_allowed else 0)

    @property
    def absolute_allowed(self) -> bool:
        """Whether the within-limit rule may promote; without a stable nothing else can."""
        return self.rules.promote == "any" or not self.rules.control_arm

    def neutral(self, metric: str) -> bool:
        """Whether no bad event was seen: it can still roll back, it never blocks a promotion."""
        state = self.state.metrics[metric]
        return (state.rollout if self.rules.control_arm else state.step).bad == 0

    def canary_over_limit(self, metric: str) -> bool:
        """Whether the canary is clearly over the limit of late."""
        recent, limit = self.state.metrics[metric].recent, self.rules.limits.get(metric)
        return limit is not None and clearly_over(recent.canary_requests, recent.canary_bad, limit)

    def stable_over_limit(self, metric: str) -> bool:
        """Whether stable is clearly over the limit of late."""
        recent, limit = self.state.metrics[metric].recent, self.rules.limits.get(metric)
        return limit is not None and clearly_over(recent.stable_requests, recent.stable_bad, limit)

    def as_bad_as_before(self, metric: str) -> bool:
        """Whether it is over the limit of late, as the old revision surely was before it."""
        bar, limit = self.rules.bar(metric), self.rules.limits.get(metric)
        excused = bar is not None and limit is not None and bar > limit
        return excused and self.canary_over_limit(metric)

    def objections(self) -> list[str]:
        """What forbids advancing without proof, in words; empty when nothing does."""
        found = [f"{name} is over its limit" for name in self.metrics if self._alone_over(name)]
        if self.suspicious():
            found.append(f"evidence of regression is e={self.evidence():.2g}")
        if not self.settled():
            found.append(f"only {self.state.step_blocks} blocks of {self.rules.min_blocks} counted")
        if not self.rules.control_arm:
            found += [
                f"{name} has events, no limit and no stable to compare with"
                for name in self.metrics
                if self.rules.bar(name) is None and not self.neutral(name)
            ]
        return found

    def _alone_over(self, metric: str) -> bool:
        """Over the limit now, or over the step without stable: then no dependency explains it."""
        step, limit = self.state.metrics[metric].step, self.rules.limits.get(metric)
        if limit is None:
            return False
        shared = clearly_over(step.stable_requests, step.stable_bad, limit)
        alone = clearly_over(step.canary_requests, step.canary_bad, limit) and not shared
        return alone or self.canary_over_limit(metric)

    def canary_requests(self) -> int:
        """Requests the canary answered in this step: the largest count of a metric with a limit."""
        named = [name for name in self.metrics if name in self.rules.limits] or self.metrics
        return max(self.state.metrics[name].step.canary_requests for name in named)

    def watched_enough(self) -> bool:
        """Whether enough blocks were seen for a rollback; pods that agree need fewer than arms."""
        if not self.rules.control_arm:
            return self.state.step_blocks >= self.rules.min_blocks
        metric, enough = self.state.metrics[self.worst()], self.rules.min_voted_blocks
        spoke = metric.against if metric.voted else None
        # Pods that vote may make one block weigh any amount: a cold start alone is no verdict.
        if enough is not None and spoke is not None and spoke < enough:
            return False
        if self.state.rollout_blocks >= self.rules.min_blocks:
            return True
        return enough is not None and metric.voted >= enough

    def silent(self) -> list[str]:
        """Metrics of which a compared arm was not seen for longer than the rules allow.

        At the deadline it is enough that it is not seen now: it has not been quiet then.
        """
        return [name for name in self.metrics if self._is_silent(name)]

    def _is_silent(self, metric: str) -> bool:
        if self.silence(metric) > self.rules.silent_after:
            return True
        state = self.state.metrics[metric]
        unknown = state.dark or (state.seen is None and self._all_left_out)
        return self.elapsed >= self.rules.deadline and bool(unknown)

    @property
    def _all_left_out(self) -> bool:
        """Whether no block of the step could be used, of some that there were."""
        return 0 < self.state.left_out.blocks == self.state.delivered

    def silence(self, metric: str) -> timedelta:
        """How long ago every compared arm was last seen on it, or the step began."""
        since = self.state.since
        return self.elapsed - ((self.state.metrics[metric].seen or since) - since)

    def dark(self) -> list[ArmName]:
        """The compared arms of which nothing was scraped in the last block."""
        found = [arm for name in self.metrics for arm in self.state.metrics[name].dark]
        return list(dict.fromkeys(found))

    def unseen(self) -> str:
        """What the last block does not say; then nothing is promoted. Empty where it says all."""
        if arms := self.dark():
            return f"no pod of the {' and '.join(arms)} was scraped of late"
        until = self.state.left_out.until
        spoiled = until is not None and until == self.state.until
        return "waiting for a block that can be used" if spoiled else ""

    def settled(self) -> bool:
        """Whether the step has seen enough blocks for a promotion."""
        return self.state.step_blocks >= self.rules.min_blocks
