"""Figures as data: curves over the time of a canary's steps; `figure_svg` and `figure_text` draw.

A picture has few columns and a watch may have many blocks: `decimated` keeps what one could see.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby, pairwise
from typing import NamedTuple

from domain.quantities import format_duration

# A panel is never narrower than this part of an even share, however short its step was.
NARROWEST = 0.5
LOWEST, HIGHEST = 1e-9, 1e9


class Dot(NamedTuple):
    """A value at a place from 0 to 1 of the width; `joined` to the dot before it."""

    x: float
    y: float
    joined: bool = True


class Look(StrEnum):
    """How a curve is drawn; each can be told from the others without colour."""

    MERGED = "merged"
    ERRORS = "errors"
    SLOW = "slow"
    RESTARTS = "restarts"
    OTHER = "other"
    CANARY = "canary"
    STABLE = "stable"
    CANARY_BLOCKS = "canary-blocks"
    STABLE_BLOCKS = "stable-blocks"
    WEIGHT = "weight"
    EARNED = "earned"

    @property
    def is_dotted(self) -> bool:
        """Whether its dots stand alone."""
        return self in (Look.CANARY_BLOCKS, Look.STABLE_BLOCKS)

    @property
    def decides(self) -> bool:
        """Whether it is the one that reaches the thresholds: a terminal gives it most room."""
        return self in (Look.MERGED, Look.EARNED)


@dataclass(frozen=True)
class Curve:
    """A named run of values."""

    name: str
    look: Look
    dots: tuple[Dot, ...]


@dataclass(frozen=True)
class Threshold:
    """A level that means something, in words."""

    value: float
    words: str
    decides: bool = True


@dataclass(frozen=True)
class Band:
    """Part of the width in which something else than the curves is to be told."""

    start: float
    end: float
    words: str


@dataclass(frozen=True)
class Panel:
    """One step's part of the width, on a time scale of its own."""

    title: str
    start: datetime
    end: datetime
    left: float
    right: float

    def place(self, at: datetime) -> float:
        """Where a moment of this step is drawn; moments outside are at the edge."""
        length = (self.end - self.start).total_seconds()
        part = (at - self.start).total_seconds() / length if length > 0 else 0.0
        return self.left + (self.right - self.left) * min(max(part, 0.0), 1.0)


@dataclass(frozen=True)
class Table:
    """The numbers behind a figure; `of` is how many rows there were."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    of: int


@dataclass(frozen=True)
class Figure:
    """Curves in one frame; `percent`: values are shares, else evidence on a logarithmic scale.

    `whole` is the time that a share of 1 stands for, where shares are told as time.
    """

    key: str
    title: str
    told: str
    panels: tuple[Panel, ...]
    curves: tuple[Curve, ...]
    thresholds: tuple[Threshold, ...]
    bands: tuple[Band, ...]
    low: float
    high: float
    percent: bool
    table: Table
    whole: timedelta | None = None

    def height(self, value: float) -> float:
        """How high a value stands, from 0 to 1; what is outside the frame is at its edge."""
        if self.percent:
            part = (value - self.low) / (self.high - self.low)
        else:
            low, high = math.log10(self.low), math.log10(self.high)
            part = (math.log10(max(value, LOWEST)) - low) / (high - low)
        return min(max(part, 0.0), 1.0)

    def share(self, value: float) -> str:
        """A share in words: `2.5 %`, or so much time."""
        if self.whole is None:
            return f"{100 * value:.3g} %"
        return format_duration(rounded(self.whole * value))

    def is_outside(self, value: float) -> bool:
        """Whether a value is drawn at the edge because it does not fit."""
        return not self.low <= value <= self.high


def panels_of(
    steps: Sequence[tuple[str, datetime, datetime]], *, narrow_last: bool = False
) -> tuple[Panel, ...]:
    """Parts of the width by length, so that a short step beside a long one can still be read.

    `narrow_last`: the last is as narrow as may be, since no curve runs there.
    """
    lengths = [max((end - start).total_seconds(), 0.0) for _, start, end in steps]
    total, least = sum(lengths) or 1.0, NARROWEST / max(len(steps), 1)
    shares = [max(length / total, least) for length in lengths]
    if narrow_last:
        total = sum(lengths[:-1]) or 1.0
        shares = [*(max(length / total, least) for length in lengths[:-1]), NARROWEST / 2]
    whole, left, panels = sum(shares) or 1.0, 0.0, []
    for (title, start, end), share in zip(steps, shares, strict=True):
        right = left + share / whole
        panels.append(Panel(title, start, end, left, min(right, 1.0)))
        left = right
    return tuple(panels)


def rounded(length: timedelta) -> timedelta:
    """To the second; what is short to the tenth of one."""
    seconds = length.total_seconds()
    return timedelta(seconds=round(seconds, 1) if abs(seconds) < 10 else round(seconds))


def decimated(
    dots: Sequence[Dot], columns: int, thresholds: Sequence[float] = ()
) -> tuple[Dot, ...]:
    """At most a few dots per column: its first, last, lowest, highest, and each first crossing.

    Jugel et al. 2014 (M4): lines through the first four cover the same pixels as all dots. A
    crossing's two dots are kept as well, so that its moment is exact.
    """
    kept: set[int] = set()
    for _, group in groupby(range(len(dots)), key=lambda at: _column(dots[at], columns)):
        at = list(group)
        kept |= {at[0], at[-1]}
        kept |= {min(at, key=lambda i: dots[i].y), max(at, key=lambda i: dots[i].y)}
        for threshold in thresholds:
            kept |= set(_crossings(dots, at, threshold))
    chosen = sorted(kept)
    torn = [number for number, dot in enumerate(dots) if not dot.joined]
    return tuple(_rejoined(dots, chosen, torn))


def ticks(figure: Figure) -> list[float]:
    """Values at which the frame is labelled: decades, or round shares."""
    if not figure.percent:
        low, high = round(math.log10(figure.low)), round(math.log10(figure.high))
        step = max(1, math.ceil((high - low) / 5))
        return [10.0**power for power in range(low, high + 1) if power % step == 0]
    wanted = figure.high / 4
    power = 10.0 ** math.floor(math.log10(wanted))
    width = min(m * power for m in (1, 2, 2.5, 5, 10, 20) if m * power >= wanted)
    return [width * number for number in range(math.floor(figure.high / width + 1e-9) + 1)]


def decades(values: Iterable[float]) -> tuple[float, float]:
    """The frame of a logarithmic figure: whole decades around the values, within what is useful."""
    logarithms = [math.log10(min(max(value, LOWEST), HIGHEST)) for value in values]
    low, high = math.floor(min(logarithms, default=-1)), math.ceil(max(logarithms, default=1))
    return 10.0 ** min(low, -1), 10.0 ** max(high, 1)


def merged_bands(bands: Iterable[Band], columns: int) -> tuple[Band, ...]:
    """Bands that nearly touch become one: a picture has no room between them."""
    joined: list[Band] = []
    for band in sorted(bands, key=lambda band: band.start):
        last = joined[-1] if joined else None
        if last and last.words == band.words and band.start - last.end < 1 / columns:
            joined[-1] = Band(last.start, max(last.end, band.end), last.words)
        else:
            joined.append(band)
    return tuple(joined)


def _column(dot: Dot, columns: int) -> int:
    return min(int(dot.x * columns), columns - 1)


def _crossings(dots: Sequence[Dot], at: Sequence[int], threshold: float) -> Iterator[int]:
    """Both dots of the column's first crossing in each direction."""
    seen: set[bool] = set()
    before = [at[0] - 1] if at[0] > 0 else []
    for earlier, later in pairwise([*before, *at]):
        was, now = dots[earlier].y >= threshold, dots[later].y >= threshold
        if was != now and now not in seen:
            seen.add(now)
            yield from (earlier, later)


def _rejoined(dots: Sequence[Dot], chosen: Sequence[int], torn: Sequence[int]) -> Iterator[Dot]:
    """The chosen dots; one is joined to the one before it unless a tear lies between."""
    position = 0
    for at in chosen:
        joined = True
        while position < len(torn) and torn[position] <= at:
            joined, position = False, position + 1
        yield dots[at]._replace(joined=joined)
