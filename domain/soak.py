"""Earned time: only healthy windows count towards the soak."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from math import exp, lgamma, log, log1p

from domain.canary import ERRORS, RESTARTS, SLOW, SLOW_SHARE
from domain.judge.counts import Block, Counts
from domain.plan import Limits
from domain.quantities import format_duration, format_share
from domain.records import Record
from domain.soak_plan import SoakPlan

NOTHING = timedelta(0)


# A window is unhealthy when a version just at its limit would look so bad in 1 of 100 windows.
CHANCE = 0.01
# Scrapes may be a minute apart and one or two of them missing.
LONGEST_GAP = timedelta(minutes=3)


def exceeds(requests: int, bad: int, limit: float) -> bool:
    """Tell whether so many bad requests cannot be chance for a version at its limit.

    Exact binomial tail P(X >= bad | requests, limit) < CHANCE; it assumes independent requests,
    and no error rate is claimed for a soak. At a limit of 0 any bad request exceeds it, at 1 none.
    """
    if requests == 0 or limit >= 1 or bad <= requests * limit:
        return False
    if limit <= 0:
        return True
    odds = log(limit) - log1p(-limit)
    term = lgamma(requests + 1) + requests * log1p(-limit)
    below = sum(exp(term - lgamma(k + 1) - lgamma(requests - k + 1) + k * odds) for k in range(bad))
    return 1 - below < CHANCE


def problem_of(blocks: Iterable[Block], limits: Limits) -> str | None:
    """Why a window of these blocks was unhealthy: restarts, errors or slow requests; or None."""
    total = _total(blocks)
    if restarts := total.get(RESTARTS, Counts()).canary_bad:
        return f"{restarts} container restarts"
    for metric, limit in ((ERRORS, limits.errors), (SLOW, SLOW_SHARE)):
        seen = total.get(metric, Counts())
        if exceeds(seen.canary_requests, seen.canary_bad, limit):
            return (
                f"{seen.canary_bad} of {seen.canary_requests} requests {metric} "
                f"({format_share(round(seen.canary_rate, 4))}, limit {format_share(limit)})"
            )
    return None


def requests_in(blocks: Iterable[Block]) -> int:
    """Requests that the revision's pods counted, those of kubelets and scrapes left out."""
    return _total(blocks).get(ERRORS, Counts()).canary_requests


def known_time(blocks: Iterable[Block]) -> timedelta:
    """Time of which scrapes tell: a block that bridges an outage of the source tells of none.

    Its counts are judged all the same.
    """
    lengths = (block.end - block.start for block in blocks)
    return sum((length for length in lengths if length <= LONGEST_GAP), NOTHING)


def _total(blocks: Iterable[Block]) -> dict[str, Counts]:
    total: dict[str, Counts] = {}
    for block in blocks:
        for metric, counts in block.counts.items():
            total[metric] = total.get(metric, Counts()) + counts
    return total


class SoakWindow(Record):
    """What one window of staging time said.

    Of its `length` nothing is `known` about `unknown`: no scrape came, or too few requests; that
    earns nothing and costs nothing. `drift` names what of the revision is not its bundle's.
    """

    length: timedelta
    healthy: bool
    sentence: str
    unknown: timedelta = NOTHING
    bundle: str | None = None
    drift: str = ""

    @property
    def is_unknown(self) -> bool:
        """Tell whether nobody can say how healthy it was."""
        return not self.healthy and self.unknown >= self.length


class SoakProgress(Record):
    """How much of the soak is earned; survives anything because it is a value in history."""

    goal: timedelta
    earned: timedelta = NOTHING
    elapsed: timedelta = NOTHING
    windows: int = 0
    resets: int = 0
    unhealthy: int = 0
    last: str = ""
    unknown: timedelta = NOTHING
    bundle: str | None = None
    drift: str = ""

    def add(self, window: SoakWindow, on_unhealthy: str) -> SoakProgress:
        """Count a window: healthy time is earned; unhealthy time pauses, resets or credits.

        What is not known earns nothing and costs nothing; drift, or a window of another bundle,
        leaves nothing of what was earned.
        """
        seen = self.with_(
            elapsed=self.elapsed + window.length,
            windows=self.windows + 1,
            last=window.sentence,
            unknown=self.unknown + window.unknown,
        )
        if foreign := self._foreign(window):
            return seen.with_(earned=NOTHING, drift=foreign)
        if window.healthy:
            earned = self.earned + window.length - window.unknown
            return seen.with_(earned=min(earned, self.goal))
        if window.is_unknown:
            return seen
        return seen._unhealthy(window, on_unhealthy)

    def _foreign(self, window: SoakWindow) -> str:
        """What was watched is not the bundle whose soak this is."""
        if self.bundle and window.bundle and window.bundle != self.bundle:
            return f"the window is of {window.bundle}"
        return window.drift

    def _unhealthy(self, window: SoakWindow, on_unhealthy: str) -> SoakProgress:
        seen = self.with_(unhealthy=self.unhealthy + 1)
        match on_unhealthy:
            case "reset":
                return seen.with_(earned=NOTHING, resets=self.resets + 1)
            case "credit":
                return seen.with_(earned=max(NOTHING, self.earned - window.length))
            case _:
                return seen

    @property
    def is_earned(self) -> bool:
        """Tell whether the goal is reached."""
        return self.earned >= self.goal

    def next_window(self, longest: timedelta) -> timedelta:
        """Length of the next window: never longer than what is left to earn."""
        return min(longest, self.goal - self.earned)

    @property
    def sentence(self) -> str:
        """Say it to a person."""
        told = f"{format_duration(self.earned)} of {format_duration(self.goal)} healthy time earned"
        if self.unhealthy:
            told += f", {self.unhealthy} of {self.windows} windows unhealthy"
        if self.unknown:
            told += f", {format_duration(self.unknown)} not known"
        if self.resets:
            told += f", started again {self.resets} times"
        if self.drift:
            told += f", nothing of it counts: drift: {self.drift}"
        return told


class SoakRecord(Record):
    """The soak as evidence of one bundle: progress, or who skipped it and why.

    It is earned time and claims no error rate.
    """

    plan: SoakPlan
    progress: SoakProgress
    skipped_by: str | None = None
    skip_reason: str | None = None

    def is_of(self, bundle: str) -> bool:
        """Tell whether this bundle soaked; records of older versions do not say."""
        return self.progress.bundle in (None, bundle)
