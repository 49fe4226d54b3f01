"""The judge's sentences: which rule spoke, on which counts, and what it assumes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta

from domain.judge.case import SUSPICION, Case
from domain.judge.counts import Counts
from domain.judge.interval import CONFIDENCE, RatioInterval
from domain.judge.outlook import CAUGHT_RATE, caught_probability, request_rate
from domain.judge.rules import Control
from domain.judge.votes import EQUAL_TRAFFIC

NOUNS = {
    "errors": ("requests", "bad ones"),
    "slow": ("requests", "slow ones"),
    "restarts": ("pod time", "restarts"),
}
BAD_WORDS = {"errors": "bad", "slow": "slow", "restarts": "restarts"}
MANY_ROLLOUTS = 1_000_000


def worse(case: Case) -> str:
    """Rolled back by comparison with stable."""
    metric = case.worst()
    counts = case.state.metrics[metric].step
    if counts.bad == 0:
        counts = case.state.metrics[metric].rollout
    whole, part = NOUNS.get(metric, ("requests", f"{metric} events"))
    leading = case.leading_edge(metric)
    if leading is not None:
        counts, part = leading.rollout, f"ones slower than {leading.edge:g} s"
    share = counts.canary_requests / max(counts.canary_requests + counts.stable_requests, 1)
    bad_share = counts.canary_bad / max(counts.bad, 1)
    return (
        f"Rolled back after {spoken(case.elapsed)} on {metric}: canary got {_whole(share)} of"
        f" {whole} but {_whole(bad_share)} of the {part} ({_rates(counts)})"
        f" over {_blocks(case.state.step_blocks)};"
        f" if it were no worse{_tolerance(case)}, evidence this strong would occur in at most"
        f" {_one_of(case.counted_evidence())} rollouts (limit {_limit(case)});"
        f" assumes nothing about the baseline, but that {_sticking(case, metric)}"
        f"{_intervals(case, [metric])}"
    )


def _sticking(case: Case, metric: str) -> str:
    """What the comparison assumes about faults, by arm or by pod."""
    state = case.state.metrics[metric]
    if case.leading_edge(metric) is None and state.voted:
        return (
            f"causes hit pods, not an arm: in {_blocks(state.voted)} of the rollout its pods were"
            " compared one by one"
        )
    told = "no fault sticks to one pod over blocks"
    if state.unequal:
        told += (
            f" (pods were not compared one by one: in {_blocks(state.unequal)} one had more than"
            f" {EQUAL_TRAFFIC:g}x the traffic of another)"
        )
    return told


def over_limit(case: Case) -> str:
    """Rolled back on the limits alone, where no stable serves beside the canary."""
    metric = case.worst()
    counts, limit = case.state.metrics[metric].step, case.rules.limits.get(metric)
    named = "no limit is planned" if limit is None else f"the plan's limit is {_percent(limit)}"
    return (
        f"Rolled back after {spoken(case.elapsed)} on {metric}: {_canary(metric, counts)}"
        f" ({_percent(counts.canary_rate)}) over {_blocks(case.state.step_blocks)}, {named}"
        f"{_known(case, metric)}; a canary within it would look this bad"
        f" in at most {_one_of(case.counted_evidence())} rollouts (limit {_limit(case)});"
        f" {_limits_only(case)}"
    )


def _known(case: Case, metric: str) -> str:
    """What the old revision was last known like, and what follows for the bar."""
    known, bar = case.rules.last_known.get(metric), case.rules.bar(metric)
    if known is None or bar is None:
        return ""
    told = f", the old revision was last known at {_percent(known.share)}"
    told += f" ({known.bad}/{known.requests})"
    if known.over:
        return f"{told} and surely at {_percent(known.least)}: the bar is {_percent(bar)}"
    if bar < case.rules.limits.get(metric, math.inf):
        times = f"{case.rules.worse_than_known:g}x the {_percent(known.most)}"
        return f"{told}: {times} that it surely did not exceed is the bar, {_percent(bar)}"
    return told


def as_before(case: Case, metric: str) -> str:
    """Held because the old revision was as bad when it was last seen."""
    return (
        f"Holding on {metric}: over the limit of {_percent(case.rules.limits[metric])}"
        f" ({_recent_percent(case, metric, 'canary')} of late){_known(case, metric)}; it is not"
        f" worse than that (e={_figure(case.evidence())} of {case.rules.roll_back_at:g}): going"
        " back would help nobody, a dependency is down; next: look at what it calls; a person"
        " promotes with a reason or aborts"
    )


def relative(case: Case) -> str:
    """Promoted by comparison with stable."""
    proven = [metric for metric in case.metrics if case.not_worse(metric) >= case.rules.promote_at]
    margin, weakest = case.rules.margin, min(case.not_worse(metric) for metric in proven)
    return (
        f"Promoted: {'; '.join(_both(case, metric, _told(case, metric)) for metric in proven)};"
        f" a canary {margin:g}x worse would look this good in at most {_one_of(weakest)} rollouts"
        f" (limit {_one_of(case.rules.promote_at)}); compared with {_basis_of(case)}, assumes"
        f" nothing about the baseline{_intervals(case, proven)}{_neutral_note(case)}"
    )


def within_limit(case: Case) -> str:
    """Promoted by the plan's limits, where the comparison was not decisive."""
    parts = []
    for metric in case.metrics:
        if case.not_worse(metric) >= case.rules.promote_at:
            counts = _told(case, metric)
            margin = f"{case.rules.margin:g}x worse than {_control(case)}"
            parts.append(f"{_both(case, metric, counts)}, not {margin}")
        elif metric in case.rules.limits:
            counts, limit = case.state.metrics[metric].step, case.rules.limits[metric]
            parts.append(f"{_canary(metric, counts)}, within the limit of {_percent(limit)}")
        elif not case.neutral(metric):
            told = _both(case, metric, _told(case, metric))
            parts.append(f"{told}, which proves nothing either way")
    weakest = min(
        case.proof(metric) for metric in case.metrics if case.proof(metric) >= case.rules.promote_at
    )
    basis = "" if case.rules.control_arm else f"; {_limits_only(case)}"
    return (
        f"Promoted: {'; '.join(parts)}; a canary at the limit would look this good in at most"
        f" {_one_of(weakest)} rollouts (limit {_one_of(case.rules.promote_at)}); assumes that"
        f" requests fail independently{basis}{_neutral_note(case)}{_excused(case)}"
    )


def _excused(case: Case) -> str:
    """What one block said against a canary that is promoted all the same."""
    loudest = max(case.regression(metric) for metric in case.metrics)
    if case.rules.excused is None or loudest < SUSPICION:
        return ""
    return f"; {_little(case)} spoke against it (e={_figure(loudest)} of {case.rules.excused:g})"


def quiet(case: Case) -> str:
    """Promoted at the deadline without proof."""
    return (
        f"Promoted: advanced without proof at the deadline ({spoken(case.elapsed)}):"
        f" {_power(case)}; {_little(case)} spoke against it (e={_figure(case.evidence())} of"
        f" {case.rules.roll_back_at:g}); not covered by the promotion limit of"
        f" {_one_of(case.rules.promote_at)}{_basis(case)}"
    )


def _little(case: Case) -> str:
    against = sum(metric.against or 0 for metric in case.state.metrics.values())
    return f"not enough (in {_blocks(against)})" if against else "nothing"


def quiet_hold(case: Case) -> str:
    """Held at the deadline because the plan wants a person for a quiet step."""
    return (
        f"Holding: quiet until the deadline ({spoken(case.elapsed)}): {_power(case)}; the plan"
        " says on_quiet: hold; next: a person promotes with a reason, or sends traffic"
    )


def needs_load(case: Case) -> str:
    """Held at the deadline because the plan declares a load for a quiet step."""
    return (
        f"Holding: quiet until the deadline ({spoken(case.elapsed)}): {_power(case)}; the plan"
        " says on_quiet: synthetic; next: run the plan's declared load"
    )


def no_traffic(case: Case) -> str:
    """Held at the deadline with too few requests to say anything."""
    return (
        f"Holding: no traffic: {_requests(case.canary_requests())} in {spoken(case.elapsed)},"
        f" {case.rules.min_requests} are needed; next: send synthetic load, or a person promotes"
        " with a reason"
    )


def no_data(case: Case, silent: list[str]) -> str:
    """Held because the metrics source is silent."""
    longest, arms = max(map(case.silence, silent)), " and ".join(case.dark())
    allowed = case.rules.silent_after
    lasting = f"more than {spoken(allowed)}" if longest > allowed else spoken(longest)
    return (
        f"Holding: no data on {', '.join(silent)}{arms and f' of the {arms}'} for {lasting}: no"
        " evidence either way; next: look whether the metrics source is up and scrapes the pods of"
        " both arms"
    )


def both_bad(case: Case, metric: str) -> str:
    """Held because both arms are over the limit and the canary is not worse."""
    return (
        f"Holding on {metric}: both arms are over the limit of"
        f" {_percent(case.rules.limits[metric])} (canary {_recent_percent(case, metric, 'canary')},"
        f" {_control(case)} {_recent_percent(case, metric, 'stable')} of late) and the canary is"
        f" not worse (e={_figure(case.evidence())} of {case.rules.roll_back_at:g}): a dependency"
        " is down; next: look at what both call"
    )


def stable_bad(case: Case, metric: str) -> str:
    """Held because a comparison with a broken stable proves nothing."""
    return (
        f"Holding on {metric}: {_control(case)} is over the limit of"
        f" {_percent(case.rules.limits[metric])}"
        f" ({_recent_percent(case, metric, 'stable')} of late), the canary is not"
        f" ({_recent_percent(case, metric, 'canary')}): being better than a broken"
        f" {_control(case)} proves"
        " nothing; next: if the canary is the fix, a person promotes with a reason"
    )


def inconclusive(case: Case) -> str:
    """Held because time is up and something forbids to advance without proof."""
    metric = case.worst()
    return (
        f"Holding on {metric}: the last deadline ({spoken(case.rules.last_deadline)}) has passed"
        f" without proof either way ({_both(case, metric, case.state.metrics[metric].step)}), and"
        f" {', and '.join(case.objections())}; next: a person promotes with a reason or aborts"
    )


def gathering(case: Case, needed: timedelta | None) -> str:
    """Held because time is left."""
    metric = min(case.metrics, key=lambda name: (name not in case.rules.limits, case.proof(name)))
    if case.not_worse(metric) < case.proof(metric) or not case.rules.control_arm:
        ruled_out = "prove it within the limit"
    else:
        ruled_out = f"rule out >{case.rules.margin:g}x worse"
    return (
        f"Holding on {metric}: e={_figure(case.proof(metric))} of {case.rules.promote_at:g} needed"
        f" to {ruled_out}; evidence of regression e={_figure(case.evidence())} of"
        f" {case.rules.roll_back_at:g}{_intervals(case, [metric])}{_outlook(case, needed)}"
        f"{_basis(case)}"
    )


def spoken(duration: timedelta) -> str:
    """A duration for people: `0.8 s`, `50 s`, `28 min`, `1 h 5 min`."""
    seconds = duration.total_seconds()
    if seconds < 10 and seconds != round(seconds):
        return f"{seconds:.1f} s"
    if round(seconds) < 120:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _outlook(case: Case, needed: timedelta | None) -> str:
    rate = request_rate(case)
    if rate is None:
        return "; no block counted yet"
    if case.unseen():
        arms = " and ".join(case.dark())
        return f"; no pod of the {arms} was scraped of late" if arms else "; not seen just now"
    if needed is None:
        return f"; no end in sight at {_figure(rate)} req/s to the canary"
    return f"; about {spoken(needed)} more at {_figure(rate)} req/s to the canary"


def _power(case: Case) -> str:
    requests = case.canary_requests()
    limited = [name for name in case.metrics if name in case.rules.limits] or list(case.metrics)
    bad = max(case.state.metrics[name].step.canary_bad for name in limited)
    probability = min(math.floor(100 * caught_probability(requests, bad)), 99)
    return (
        f"{_requests(requests)}, {bad or 'none'} bad; a canary failing {_whole(CAUGHT_RATE)} of"
        f" requests would have been caught with probability {probability} %"
    )


def _neutral_note(case: Case) -> str:
    proven = case.rules.promote_at
    silent = [name for name in case.metrics if case.neutral(name) and case.proof(name) < proven]
    return f"; no event on {', '.join(silent)}" if silent else ""


def _told(case: Case, metric: str) -> Counts:
    """The counts behind E_ni, which is fed from the rollout's first block."""
    return case.state.metrics[metric].rollout


def _basis(case: Case) -> str:
    return "" if case.rules.control_arm else f"; {_limits_only(case)}"


def _limits_only(case: Case) -> str:
    if case.rules.last_known:
        return (
            "judged against the plan's limits and what the old revision was last known like: none"
            " serves beside it"
        )
    return "judged against the plan's limits only: no stable serves beside it"


def _intervals(case: Case, metrics: Sequence[str]) -> str:
    """The ratios that are bounded, in one clause; none where that would say nothing."""
    told = [f"{metric} {range_}" for metric in metrics if (range_ := _range(case.ratio(metric)))]
    if not told:
        return ""
    control = _control(case)
    return (
        f"; canary / {control} over the rollout: {', '.join(told)} ({_whole(CONFIDENCE)} interval)"
    )


def _range(ratio: RatioInterval | None) -> str:
    if ratio is None or (ratio.upper is None and ratio.lower < 1):
        return ""
    if ratio.upper is None:
        return f"more than {ratio.lower:g}x"
    if ratio.lower == 0:
        return f"less than {ratio.upper:g}x"
    return f"{ratio.lower:g}x to {ratio.upper:g}x"


def _tolerance(case: Case) -> str:
    times = f"{case.rules.rho0:g}x " if case.rules.rho0 > 1 else ""
    return f" than {times}{_control(case)}"


def _control(case: Case) -> str:
    """What the canary is compared with, in words."""
    return case.rules.control.value


def _basis_of(case: Case) -> str:
    young = case.rules.control is Control.baseline
    return "a baseline of the canary's age" if young else "stable"


def _limit(case: Case) -> str:
    limit = _one_of(case.rules.roll_back_at)
    if case.rules.arms == 1:
        return limit
    return f"{limit}: {case.rules.arms} canaries share {_percent(case.rules.alpha)}"


def _rates(counts: Counts) -> str:
    text = f"{_percent(counts.canary_rate)} vs {_percent(counts.stable_rate)}"
    if counts.stable_rate == 0:
        return text
    return f"{text}, {counts.canary_rate / counts.stable_rate:.3g}x"


def _both(case: Case, metric: str, counts: Counts) -> str:
    return (
        f"{counts.canary_bad}/{counts.canary_requests} canary vs"
        f" {counts.stable_bad}/{counts.stable_requests} {_control(case)}"
        f" {BAD_WORDS.get(metric, metric)}"
    )


def _canary(metric: str, counts: Counts) -> str:
    return f"{counts.canary_bad}/{counts.canary_requests} canary {BAD_WORDS.get(metric, metric)}"


def _recent_percent(case: Case, metric: str, arm: str) -> str:
    recent = case.state.metrics[metric].recent
    requests: float = getattr(recent, f"{arm}_requests")
    bad: float = getattr(recent, f"{arm}_bad")
    return _percent(bad / requests) if requests else "no requests"


def _requests(count: int) -> str:
    return f"{count} canary request" if count == 1 else f"{count} canary requests"


def _blocks(count: int) -> str:
    return f"{count} block" if count == 1 else f"{count} blocks"


def _one_of(evidence: float) -> str:
    if evidence >= MANY_ROLLOUTS:
        return f"1 of more than {MANY_ROLLOUTS:,}"
    return f"1 of {math.floor(evidence + 1e-9)}"


def _percent(rate: float) -> str:
    return f"{100 * rate:.3g} %"


def _whole(rate: float) -> str:
    return f"{100 * rate:.0f} %"


def _figure(value: float) -> str:
    return f"{value:.2g}" if value < 1000 else ">1000"
