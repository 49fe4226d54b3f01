"""Earned time: only healthy windows count towards the soak."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from math import exp, lgamma, log, log1p

from pydantic import Field

from domain.canary import ERRORS, RESTARTS, SLOW, SLOW_SHARE
from domain.judge.counts import Block
from domain.plan import Limits
from domain.quantities import format_duration, format_share
from domain.records import Record
from domain.soak_plan import SoakPlan
from domain.soak_windows import (
    LONGEST_SENTENCE,
    NOTHING,
    Brief,
    Counted,
    Finding,
    SoakStretch,
    counted,
    kept,
)

# A window is unhealthy when a version just at its limit would look so bad in 1 of 100 windows.
CHANCE = 0.01
# Scrapes may be a minute apart and one or two of them missing.
LONGEST_GAP = timedelta(minutes=3)
NONE = Counted(0, 0)
UNSEEN = "nobody sees"


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


def problem_in(total: Mapping[str, Counted], limits: Limits) -> str | None:
    """Why a window with these counts was unhealthy: restarts, errors or slow requests; or None."""
    if restarts := total.get(RESTARTS, NONE).bad:
        return f"{restarts} container restarts"
    for metric, limit in ((ERRORS, limits.errors), (SLOW, SLOW_SHARE)):
        requests, bad = total.get(metric, NONE)
        if exceeds(requests, bad, limit):
            return (
                f"{bad} of {requests} requests {metric} "
                f"({format_share(round(bad / requests, 4))}, limit {format_share(limit)})"
            )
    return None


def requests_in(blocks: Iterable[Block]) -> int:
    """Requests that the revision's pods counted, those of kubelets and scrapes left out."""
    return counted(blocks).get(ERRORS, NONE).requests


def scraped(blocks: Iterable[Block]) -> tuple[Block, ...]:
    """The blocks in which the revision's pods were scraped; of the others only restarts tell."""
    return tuple(block for block in blocks if "canary" not in block.dark.get(ERRORS, ()))


def known_time(blocks: Iterable[Block]) -> timedelta:
    """Time of which scrapes tell: a block that bridges an outage of the source tells of none.

    Its counts are judged all the same.
    """
    lengths = (block.end - block.start for block in scraped(blocks))
    return sum((length for length in lengths if length <= LONGEST_GAP), NOTHING)


class SoakWindow(Brief):
    """What one window of staging time said.

    Of its `length` nothing is `known` about `unknown`: no scrape came, or too few requests; that
    earns nothing and costs nothing. `drift` names what of the revision is not its bundle's. Where
    counts decided, `counts` are by metric and `known` is the time of which scrapes tell.
    """

    length: timedelta
    healthy: bool
    sentence: str
    unknown: timedelta = NOTHING
    bundle: str | None = None
    drift: str = ""
    finding: Finding | None = None
    counts: dict[str, Counted] = Field(default_factory=dict)
    known: timedelta | None = None

    @property
    def is_unknown(self) -> bool:
        """Tell whether nobody can say how healthy it was."""
        return not self.healthy and self.unknown >= self.length

    @property
    def reason(self) -> str:
        """What people are told once: what it found, and of what nobody answered."""
        unseen = self.sentence.startswith(UNSEEN)
        return f"{self.found}: {self.sentence.partition(':')[0]}" if unseen else self.found

    @property
    def found(self) -> Finding:
        """What it found, as far as workers of older versions say that."""
        if self.finding is not None:
            return self.finding
        if self.healthy:
            return Finding.HEALTHY
        return Finding.UNKNOWN if self.is_unknown else Finding.UNHEALTHY


class SoakProgress(Record):
    """How much of the soak is earned; survives anything because it is a value in history.

    `stretches` are its windows; none where one of them was not kept (by older versions).
    """

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
    stretches: tuple[SoakStretch, ...] = ()

    def add(
        self, window: SoakWindow, on_unhealthy: str, starts_at: datetime | None = None
    ) -> SoakProgress:
        """Count a window: healthy time is earned; unhealthy time pauses, resets or credits.

        What is not known earns nothing and costs nothing; drift, or a window of another bundle,
        leaves nothing of what was earned. With `starts_at` the window itself is kept.
        """
        after = self._after(window, on_unhealthy)
        if starts_at is None or sum(one.windows for one in self.stretches) != self.windows:
            return after.with_(stretches=())
        foreign = self._foreign(window)
        stretch = SoakStretch(
            since=starts_at,
            length=window.length,
            finding=Finding.DRIFT if foreign else window.found,
            earned=after.earned,
            unknown=window.unknown,
            known=window.known,
            counts=window.counts,
            sentence="" if window.healthy else (foreign or window.sentence)[:LONGEST_SENTENCE],
        )
        return after.with_(stretches=kept((*self.stretches, stretch)))

    def _after(self, window: SoakWindow, on_unhealthy: str) -> SoakProgress:
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
                cost = window.length - window.unknown
                return seen.with_(earned=max(NOTHING, self.earned - cost))
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
