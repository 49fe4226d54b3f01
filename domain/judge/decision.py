"""The order of the judge's rules; the first that applies gives the answer.

Rolling back comes first and needs no fresh data (the evidence holds at any stopping time); every
promotion needs fresh data; a hold names what would end it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from domain.judge import sentences
from domain.judge.case import Case
from domain.judge.outlook import time_needed
from domain.judge.rules import JudgeRules, OnQuiet
from domain.judge.state import JudgeState
from domain.judge.verdict import Judgement, Reason, Thresholds, Verdict


def judge(state: JudgeState, rules: JudgeRules, elapsed: timedelta) -> Judgement:
    """The answer `elapsed` after the step's weight took effect (`state.since`).

    Sources: Johari, Pekelis, Walsh (any stopping time), Waudby-Smith and Ramdas (betting), Vovk
    and Wang (merging). Each sentence says what its rule assumes.
    """
    case = Case(state, rules, elapsed)
    for rule in RULES:
        judgement = rule(case)
        if judgement is not None:
            return judgement
    return _hold(case, Reason.inconclusive, sentences.inconclusive(case), case.worst())


def _worse(case: Case) -> Judgement | None:
    if not _rolls_back(case):
        return None
    if case.rules.control_arm:
        return _say(case, Verdict.ROLL_BACK, Reason.worse, sentences.worse(case), case.worst())
    metric = case.worst()
    bar, limit = case.rules.bar(metric), case.rules.limits.get(metric)
    known = bar is not None and (limit is None or bar < limit)
    reason = Reason.worse_than_known if known else Reason.over_limit
    return _say(case, Verdict.ROLL_BACK, reason, sentences.over_limit(case), metric)


def _rolls_back(case: Case) -> bool:
    return case.watched_enough() and case.counted_evidence() >= case.rules.roll_back_at


def _no_data(case: Case) -> Judgement | None:
    silent = case.silent()
    if not silent:
        return None
    return _hold(case, Reason.no_data, sentences.no_data(case, silent), silent[0])


def _stable_bad(case: Case) -> Judgement | None:
    if not case.rules.control_arm:
        return None
    for metric in case.metrics:
        if not case.stable_over_limit(metric):
            continue
        if case.canary_over_limit(metric):
            return _hold(case, Reason.both_bad, sentences.both_bad(case, metric), metric)
        return _hold(case, Reason.stable_bad, sentences.stable_bad(case, metric), metric)
    return None


def _as_before(case: Case) -> Judgement | None:
    if case.rules.control_arm:
        return None
    for metric in case.metrics:
        if case.as_bad_as_before(metric):
            return _hold(case, Reason.as_before, sentences.as_before(case, metric), metric)
    return None


def _relative(case: Case) -> Judgement | None:
    proven = [metric for metric in case.metrics if case.not_worse(metric) >= case.rules.promote_at]
    if not proven or not case.settled() or case.unseen():
        return None
    if not all(metric in proven or case.neutral(metric) for metric in case.metrics):
        return None
    return _say(case, Verdict.PROMOTE, Reason.relative, sentences.relative(case), None)


def _within_limit(case: Case) -> Judgement | None:
    in_time = case.settled() and case.elapsed >= case.rules.min_bake and not case.unseen()
    if not in_time or not case.absolute_allowed or case.suspicious():
        return None
    if not case.rules.limits or not all(_harmless(case, metric) for metric in case.metrics):
        return None
    return _say(case, Verdict.PROMOTE, Reason.within_limit, sentences.within_limit(case), None)


def _harmless(case: Case, metric: str) -> bool:
    if case.proof(metric) >= case.rules.promote_at:
        return True
    if metric in case.rules.limits:
        return False
    # Without a limit there is nothing to be within: beside a stable it is enough not to be suspect.
    return case.rules.control_arm or case.neutral(metric)


def _before_deadline(case: Case) -> Judgement | None:
    return _gather(case) if case.elapsed < case.rules.deadline else None


def _no_traffic(case: Case) -> Judgement | None:
    if case.canary_requests() >= case.rules.min_requests:
        return None
    return _hold(case, Reason.no_traffic, sentences.no_traffic(case), None)


def _extension(case: Case) -> Judgement | None:
    """Goes on after the deadline only where that can still bring an answer."""
    if case.elapsed >= case.rules.last_deadline:
        return None
    needed = time_needed(case)
    reachable = needed is not None and case.elapsed + needed <= case.rules.last_deadline
    return _gather(case) if reachable or case.objections() else None


def _quiet(case: Case) -> Judgement | None:
    if case.objections():
        return None
    if case.elapsed < case.rules.min_bake or case.unseen():
        # A deadline before it shortens the wait for a proof, never the bake itself.
        return _gather(case)
    if case.rules.on_quiet == OnQuiet.hold:
        return _hold(case, Reason.quiet_hold, sentences.quiet_hold(case), None)
    if case.rules.on_quiet == OnQuiet.synthetic:
        return _hold(case, Reason.needs_load, sentences.needs_load(case), None)
    return _say(case, Verdict.PROMOTE, Reason.quiet, sentences.quiet(case), None)


RULES: tuple[Callable[[Case], Judgement | None], ...] = (
    _worse,
    _no_data,
    _stable_bad,
    _as_before,
    _relative,
    _within_limit,
    _before_deadline,
    _no_traffic,
    _extension,
    _quiet,
)


def _gather(case: Case) -> Judgement:
    needed = time_needed(case)
    return _hold(case, Reason.gathering, sentences.gathering(case, needed), None)


def _hold(case: Case, reason: Reason, sentence: str, metric: str | None) -> Judgement:
    return _say(case, Verdict.HOLD, reason, sentence, metric)


def _say(
    case: Case, verdict: Verdict, reason: Reason, sentence: str, metric: str | None
) -> Judgement:
    return Judgement(
        verdict=verdict,
        reason=reason,
        sentence="; ".join(filter(None, (sentence, case.state.left_out.sentence))),
        metric=metric,
        evidence=case.evidence(),
        proof={name: case.proof(name) for name in case.metrics},
        thresholds=Thresholds(roll_back=case.rules.roll_back_at, promote=case.rules.promote_at),
        counts={name: state.step for name, state in case.state.metrics.items()},
        blocks=case.state.step_blocks,
        elapsed=case.elapsed,
        time_needed=time_needed(case) if verdict == Verdict.HOLD else None,
        ratios={name: ratio for name in case.metrics if (ratio := case.ratio(name)) is not None},
    )
