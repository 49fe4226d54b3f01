"""Earned time: only healthy windows count towards the soak."""

from __future__ import annotations

from datetime import timedelta
from math import exp, lgamma, log, log1p

from domain.plan import SoakPlan
from domain.quantities import format_duration
from domain.records import Record

NOTHING = timedelta(0)


# A window is unhealthy when a version just at its limit would look so bad in 1 of 100 windows.
CHANCE = 0.01


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


class SoakWindow(Record):
    """What one window of staging time said."""

    length: timedelta
    healthy: bool
    sentence: str


class SoakProgress(Record):
    """How much of the soak is earned; survives anything because it is a value in history."""

    goal: timedelta
    earned: timedelta = NOTHING
    elapsed: timedelta = NOTHING
    windows: int = 0
    resets: int = 0
    unhealthy: int = 0
    last: str = ""

    def add(self, window: SoakWindow, on_unhealthy: str) -> SoakProgress:
        """Count a window: healthy time is earned; unhealthy time pauses, resets or credits."""
        seen = self.with_(
            elapsed=self.elapsed + window.length, windows=self.windows + 1, last=window.sentence
        )
        if window.healthy:
            return seen.with_(earned=self.earned + window.length)
        seen = seen.with_(unhealthy=self.unhealthy + 1)
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
        if self.resets:
            told += f", started again {self.resets} times"
        return told


class SoakRecord(Record):
    """The soak as evidence: progress, or who skipped it and why."""

    plan: SoakPlan
    progress: SoakProgress
    skipped_by: str | None = None
    skip_reason: str | None = None
