"""What to expect: time still needed for a proof, and what a quiet step would have caught."""

from __future__ import annotations

import math
from datetime import timedelta

from domain.judge.bets import within_limit
from domain.judge.case import Case

# Proofs that would need more requests than this are not worth waiting for.
REQUESTS_HORIZON = 10_000_000
# Nor is one that needs so many times what was watched: near e=1 it is longer than time itself.
WATCHED_HORIZON = 1_000_000
CAUGHT_RATE = 0.2


def time_needed(case: Case) -> timedelta | None:
    """Time until every metric is proven if all goes on as so far; None when it never would be.

    Nor is it known while an arm is not seen.
    """
    if case.unseen():
        return None
    open_metrics = [metric for metric in case.metrics if not _proven(case, metric)]
    if not open_metrics:
        return max(case.rules.min_bake - case.elapsed, timedelta(0))
    estimates = [_metric_time(case, metric) for metric in open_metrics]
    if any(estimate is None for estimate in estimates):
        return None
    return max(estimate for estimate in estimates if estimate is not None)


def request_rate(case: Case) -> float | None:
    """Canary requests per second over the step's blocks; None before the first."""
    seconds = case.state.step_watched.total_seconds()
    return case.canary_requests() / seconds if seconds > 0 else None


def caught_probability(requests: int, bad: int, rate: float = CAUGHT_RATE) -> float:
    """Probability that a canary failing `rate` of its requests had shown more than `bad` of them.

    Upper binomial tail P(X > bad); assumes independent requests.
    """
    missed = sum(_binomial(requests, count, rate) for count in range(min(bad, requests) + 1))
    return max(0.0, 1 - missed)


def _proven(case: Case, metric: str) -> bool:
    neutral_without_limit = metric not in case.rules.limits and case.neutral(metric)
    return neutral_without_limit or case.proof(metric) >= case.rules.promote_at


def _metric_time(case: Case, metric: str) -> timedelta | None:
    estimates = [_relative_time(case, metric)]
    if case.absolute_allowed and not case.suspicious():
        estimates.append(_limit_time(case, metric))
    return min((estimate for estimate in estimates if estimate is not None), default=None)


def _relative_time(case: Case, metric: str) -> timedelta | None:
    evidence, watched = case.not_worse(metric), case.state.rollout_watched
    if evidence <= 1 or not watched:
        return None
    missing = math.log(case.rules.promote_at / evidence)
    further = max(missing, 0) / math.log(evidence)
    return watched * further if further < WATCHED_HORIZON else None


def _limit_time(case: Case, metric: str) -> timedelta | None:
    missing, rate = _requests_missing(case, metric), request_rate(case)
    if missing is None or not rate:
        return None
    return max(timedelta(seconds=missing / rate), case.rules.min_bake - case.elapsed)


def _requests_missing(case: Case, metric: str) -> float | None:
    """Further canary requests until E_abs suffices at the bad rate seen so far, by bisection."""
    limit, step = case.rules.limits.get(metric), case.state.metrics[metric].step
    if limit is None or step.canary_rate >= limit:
        return None

    def enough(further: float) -> bool:
        bad = step.canary_bad + further * step.canary_rate
        total = step.canary_requests + further
        return within_limit(total, bad, limit) >= case.rules.promote_at

    low, high = 0.0, 1.0
    while not enough(high):
        low, high = high, high * 2
        if high > REQUESTS_HORIZON:
            return None
    while high - low > 0.5:
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _binomial(trials: int, successes: int, rate: float) -> float:
    logarithm = (
        math.lgamma(trials + 1)
        - math.lgamma(successes + 1)
        - math.lgamma(trials - successes + 1)
        + successes * math.log(rate)
        + (trials - successes) * math.log1p(-rate)
    )
    return math.exp(logarithm)
