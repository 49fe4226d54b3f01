"""Bars and intervals as inline SVG: the soak's clock, and how many times worse the canary is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from domain.judge.interval import RatioInterval
from starter.markup import Markup, element

WIDTH, ROW, LEFT, RIGHT = 720.0, 44.0, 96.0, 24.0
# What the interval's own grid of candidates spans.
LEAST_RATIO, MOST_RATIO = 0.02, 50.0
RATIO_TICKS = (0.02, 0.1, 0.5, 1.0, 2.0, 10.0, 50.0)


@dataclass(frozen=True)
class Bar:
    """One bar: its name, how much of the longest it is, and its own words."""

    name: str
    part: float
    words: str
    look: str


def bars(title: str, found: Sequence[Bar], goal: float, goal_words: str) -> Markup:
    """Bars on one scale, and a line at the goal; `goal` and parts are shares of the width."""
    height = ROW * len(found) + 34
    inside: list[Markup] = []
    for row, bar in enumerate(found):
        inside += _bar(bar, 26 + row * ROW)
    x = _x(goal)
    inside.append(_line("decides", x, 18, x, height - 6))
    inside.append(_text("decides-name", min(x, WIDTH - RIGHT), 13, goal_words, "end"))
    told = "; ".join([*(f"{bar.name}: {bar.words}" for bar in found), goal_words])
    return _drawn("soak", title, told, height, inside)


def intervals(title: str, found: Sequence[tuple[str, RatioInterval]]) -> Markup:
    """A line from lower to upper for each metric; an open side ends in an arrow."""
    height = ROW * len(found) + 34
    inside: list[Markup] = []
    for tick in RATIO_TICKS:
        x = _x(_ratio_place(tick))
        inside.append(_line("decides" if tick == 1 else "grid", x, 6, x, height - 26))
        inside.append(_text("tick", x, height - 8, f"{tick:g}x", "middle"))
    for row, (name, interval) in enumerate(found):
        inside += _interval(name, interval, 26 + row * ROW)
    told = "; ".join(f"{name}: {spoken(interval)}" for name, interval in found)
    return _drawn(
        "ratio", title, f"canary / stable; 1x is as good as stable; {told}", height, inside
    )


def spoken(interval: RatioInterval) -> str:
    """The interval in words."""
    if interval.upper is None:
        return f"more than {interval.lower:g}x"
    if interval.lower == 0:
        return f"less than {interval.upper:g}x"
    return f"{interval.lower:g}x to {interval.upper:g}x"


def _bar(bar: Bar, y: float) -> Iterator[Markup]:
    yield _text("tick", LEFT - 10, y + 17, bar.name, "end")
    box = {"x": _number(LEFT), "y": _number(y), "height": "24", "rx": "3"}
    whole = _number(WIDTH - LEFT - RIGHT)
    yield element("rect", {"class": "bar empty", **box, "width": whole})
    long = _number(max(_x(bar.part) - LEFT, 1.0))
    yield element("rect", {"class": f"bar {bar.look}", **box, "width": long})
    yield _text("bar-words", LEFT + 9, y + 17, bar.words)


def _interval(name: str, interval: RatioInterval, y: float) -> Iterator[Markup]:
    left = _x(_ratio_place(max(interval.lower, LEAST_RATIO)))
    right = _x(_ratio_place(interval.upper or MOST_RATIO))
    yield _text("tick", LEFT - 10, y + 4, name, "end")
    ends = ("M", _number(left), " ", _number(y), "H", _number(right))
    yield element("path", {"class": "interval", "d": "".join(ends)})
    for x, is_open, way in ((left, interval.lower == 0, 1), (right, interval.upper is None, -1)):
        cap = f"M{_number(x)} {_number(y - 7)}v14"
        arrow = f"M{_number(x + 9 * way)} {_number(y - 7)}L{_number(x)} {_number(y)}"
        arrow += f"L{_number(x + 9 * way)} {_number(y + 7)}"
        yield element("path", {"class": "interval", "d": arrow if is_open else cap})


def _drawn(key: str, title: str, told: str, height: float, inside: Sequence[Markup]) -> Markup:
    frame = {
        "viewBox": f"0 0 {WIDTH:g} {height:g}",
        "role": "img",
        "aria-labelledby": f"{key}-title {key}-desc",
        "class": "plot",
    }
    named = element("title", {"id": f"{key}-title"}, title)
    return element("svg", frame, named, element("desc", {"id": f"{key}-desc"}, told), *inside)


def _ratio_place(ratio: float) -> float:
    span = math.log(MOST_RATIO / LEAST_RATIO)
    return min(max(math.log(ratio / LEAST_RATIO) / span, 0.0), 1.0)


def _x(part: float) -> float:
    return LEFT + part * (WIDTH - LEFT - RIGHT)


def _line(kind: str, *ends: float) -> Markup:
    places = zip(("x1", "y1", "x2", "y2"), map(_number, ends), strict=True)
    return element("line", {"class": kind, **dict(places)})


def _text(kind: str, x: float, y: float, told: str, anchor: str = "start") -> Markup:
    place = {"class": kind, "x": _number(x), "y": _number(y), "text-anchor": anchor}
    return element("text", place, told)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
