"""One stored window of a soak by other limits, `min_requests` or probe: what it would have found.

It follows the order in which the soaking activity decides: drift, the probe's answers, pods,
counts over the limits, too few requests.
"""

from __future__ import annotations

from dataclasses import dataclass

from domain.canary import ERRORS, RESTARTS, SLOW, SLOW_SHARE
from domain.plan import Limits
from domain.soak import exceeds, problem_in
from domain.soak_plan import SoakPlan
from domain.soak_windows import Counted, Finding, SoakStretch

# What a window found, or None and why nobody can know.
Answer = tuple[Finding | None, str]
NONE = Counted(0, 0)
PROBED = "what a probe would have been answered, or what it added to the counts"
JOINED = "some windows were joined to stay small, and are not stored one by one"
UNTOLD = "a worker of an older version did not store what its windows counted"
SLOWNESS = "the windows' counts say how many requests were slow by the old p95 alone"


@dataclass(frozen=True)
class Asked:
    """The rules that a window was judged by, and those to judge it by; limits None: not known."""

    old: SoakPlan
    old_limits: Limits | None
    new: SoakPlan
    new_limits: Limits

    @property
    def same_limits(self) -> bool:
        """Limits that are not known are taken to be the same."""
        return self.old_limits in (None, self.new_limits)

    @property
    def same_need(self) -> bool:
        """Whether as many requests are needed, and the same probe sends them."""
        return self._need(self.old) == self._need(self.new)

    @property
    def no_stricter(self) -> bool:
        """Whether what was within the limits is so now: what exceeds rises with bad requests."""
        then, now = self.old_limits or self.new_limits, self.new_limits
        return then.errors <= now.errors and then.p95 <= now.p95

    @property
    def no_looser(self) -> bool:
        """Whether what was over the limits is so now."""
        then, now = self.old_limits or self.new_limits, self.new_limits
        return then.errors >= now.errors and then.p95 >= now.p95

    @staticmethod
    def _need(plan: SoakPlan) -> tuple[object, ...]:
        return plan.least_requests, plan.probe


def rejudged(stretch: SoakStretch, asked: Asked) -> Answer:
    """What it would have found by the new rules."""
    found, unchanged = stretch.finding, asked.same_limits and asked.same_need
    if found in (Finding.DRIFT, Finding.PODS) or (unchanged and found is not Finding.MIXED):
        return found, ""
    if why := _no_answer(found, asked):
        return None, why
    if found in (Finding.SILENT, Finding.PROBE):
        return found, ""
    if stretch.windows > 1:
        return (found, "") if _holds_for_all(found, asked) else (None, JOINED)
    return _by_counts(stretch, asked) if stretch.counts else (None, UNTOLD)


def _no_answer(found: Finding, asked: Asked) -> str:
    """Why no window that found this can be judged again, whatever it counted."""
    if not asked.same_need and (asked.old.probe or asked.new.probe):
        return PROBED
    return PROBED if found is Finding.PROBE and not asked.no_looser else ""


def _holds_for_all(found: Finding, asked: Asked) -> bool:
    """Whether each of some joined windows would have found the same."""
    more = asked.new.least_requests - asked.old.least_requests
    match found:
        case Finding.HEALTHY:
            return asked.no_stricter and more <= 0
        case Finding.LIMITS:
            return asked.no_looser
        case Finding.QUIET:
            return asked.no_stricter and more >= 0
        case _:
            return False


def _by_counts(stretch: SoakStretch, asked: Asked) -> Answer:
    exceeded, why = _exceeds(stretch, asked)
    if exceeded is None:
        return None, why
    if exceeded:
        return Finding.LIMITS, ""
    seen = stretch.counts.get(ERRORS, NONE).requests
    return Finding.QUIET if seen < asked.new.least_requests else Finding.HEALTHY, ""


def _exceeds(stretch: SoakStretch, asked: Asked) -> tuple[bool | None, str]:
    """Whether the window's counts are over the new limits.

    With a longer p95 fewer requests are slow, with a shorter one more: how many, the counts do
    not say, and often need not.
    """
    then, now = asked.old_limits or asked.new_limits, asked.new_limits
    if then.p95 == now.p95:
        return problem_in(stretch.counts, now) is not None, ""
    others = {name: stretch.counts[name] for name in stretch.counts if name in (ERRORS, RESTARTS)}
    if problem_in(others, now) is not None:
        return True, ""
    requests, bad = stretch.counts.get(SLOW, NONE)
    was_slow = exceeds(requests, bad, SLOW_SHARE)
    if requests == 0 or was_slow == (now.p95 < then.p95):
        return was_slow, ""
    return None, SLOWNESS
