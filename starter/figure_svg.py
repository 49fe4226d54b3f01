"""A figure as inline SVG: shapes carry classes, the page's style says what they look like."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from starter.figures import Band, Curve, Dot, Figure, Look, decimated, ticks
from starter.markup import Markup, element
from starter.report_moments import COLUMNS, clock_time

WIDTH, HEIGHT = 720.0, 250.0
LEFT, RIGHT, TOP, BOTTOM = 72.0, 14.0, 28.0, 34.0
LOW_HEIGHT = 150.0
# A moment's label needs about so much room, on a phone's larger letters too.
LABEL_WIDTH = 118.0
# As part of the width: the words of a threshold.
WORDS_WIDTH = 0.3
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def svg(figure: Figure) -> Markup:
    """The figure with a title and a description for who does not see it."""
    height = LOW_HEIGHT if figure.key == "weight" else HEIGHT
    pen = _Pen(figure, height)
    named = f"{figure.key}-title {figure.key}-desc"
    return element(
        "svg",
        {
            "viewBox": f"0 0 {WIDTH:g} {height:g}",
            "role": "img",
            "aria-labelledby": named,
            "class": "plot",
        },
        element("title", {"id": f"{figure.key}-title"}, figure.title),
        element("desc", {"id": f"{figure.key}-desc"}, description(figure)),
        *pen.bands(),
        *pen.grid(),
        *pen.panels(),
        *(pen.curve(curve) for curve in figure.curves),
        *pen.thresholds(),
    )


def description(figure: Figure) -> str:
    """The figure in words: what its curves reach, and where the thresholds are."""
    parts = [figure.told]
    for curve in figure.curves:
        if curve.look.is_dotted:
            continue
        values = [dot.y for dot in curve.dots]
        said = [_value(figure, value) for value in (min(values), max(values), values[-1])]
        parts.append(f"{curve.name}: from {said[0]} to {said[1]}, at the end {said[2]}")
    parts += [threshold.words for threshold in figure.thresholds]
    parts += [f"{len(figure.bands)} stretches marked {', '.join(_words(figure.bands))}"] * bool(
        figure.bands
    )
    return "; ".join(parts)


class _Pen:
    """Draws one figure's parts in its own coordinates."""

    def __init__(self, figure: Figure, height: float) -> None:
        self._figure = figure
        self._bottom = height - BOTTOM
        levels = [threshold.value for threshold in figure.thresholds]
        self._drawn = {c.name: decimated(c.dots, COLUMNS, levels) for c in figure.curves}

    def grid(self) -> Iterator[Markup]:
        """Lines at round values, labelled at the left."""
        for value in ticks(self._figure):
            y = self._y(value)
            yield _line("grid", LEFT, y, WIDTH - RIGHT, y)
            yield _text("tick", LEFT - 7, y + 4, _value(self._figure, value), "end")

    def panels(self) -> Iterator[Markup]:
        """A line where each step begins, its name above, the time below."""
        free = LEFT
        last = self._figure.panels[-1]
        for panel in self._figure.panels:
            left, right = self._x(panel.left), self._x(panel.right)
            yield _line("step", left, TOP - 18, left, self._bottom)
            yield _text("step-name", left + 5, TOP - 9, panel.title)
            room = right - left > LABEL_WIDTH or panel is not last
            if left >= free and room:
                told = clock_time(panel.start, self._figure.panels)
                yield _text("tick", left, self._bottom + 18, told)
                free = left + LABEL_WIDTH
        if self._x(last.right) - LABEL_WIDTH >= free - 12:
            told = clock_time(last.end, self._figure.panels)
            yield _text("tick", self._x(last.right), self._bottom + 18, told, "end")
        yield _line("axis", LEFT, self._bottom, WIDTH - RIGHT, self._bottom)

    def bands(self) -> Iterator[Markup]:
        """Grey where there was no data or the release was held; named where there is room."""
        for band in self._figure.bands:
            left, right = self._x(band.start), self._x(band.end)
            box = {
                "class": f"band {band.words.replace(' ', '-')}",
                "x": _number(left),
                "y": _number(TOP),
                "width": _number(max(right - left, 1.5)),
                "height": _number(self._bottom - TOP),
            }
            yield element("rect", box)
            if right - left > 50:
                yield _text("band-name", (left + right) / 2, TOP + 14, band.words, "middle")

    def thresholds(self) -> Iterator[Markup]:
        """A line across, its words over the end where they hide less of the curves."""
        for threshold in self._figure.thresholds:
            y = self._y(threshold.value)
            kind = "decides" if threshold.decides else "neutral"
            yield _line(kind, LEFT, y, WIDTH - RIGHT, y)
            left, right = self._crowd(threshold.value, 0.0), self._crowd(threshold.value, 1.0)
            if right <= left:
                yield _text(f"{kind}-name", WIDTH - RIGHT - 4, y - 5, threshold.words, "end")
            else:
                yield _text(f"{kind}-name", LEFT + 6, y - 5, threshold.words)

    def _crowd(self, value: float, end: float) -> int:
        """How many dots lie where a threshold's words would, at the left (0) or right (1) end."""
        level = self._figure.height(value)
        return sum(
            abs(dot.x - end) < WORDS_WIDTH and -0.03 < self._figure.height(dot.y) - level < 0.12
            for dots in self._drawn.values()
            for dot in dots
        )

    def curve(self, curve: Curve) -> Markup:
        """One path, whatever the number of dots."""
        dots = self._drawn[curve.name]
        told = "".join(self._alone(dots) if curve.look.is_dotted else self._run(dots))
        return element("path", {"class": f"curve {curve.look}", "d": told})

    def _run(self, dots: Sequence[Dot]) -> Iterator[str]:
        before = None
        for number, dot in enumerate(dots):
            after = dots[number + 1] if number + 1 < len(dots) else None
            place = f"{_number(self._x(dot.x))} {_number(self._y(dot.y))}"
            yield f"{'L' if before and dot.joined else 'M'}{place}"
            # A dot without neighbours would have no length, and not be seen.
            if not (before and dot.joined) and not (after and after.joined):
                yield "h0.1"
            before = dot

    def _alone(self, dots: Sequence[Dot]) -> Iterator[str]:
        for dot in dots:
            yield f"M{_number(self._x(dot.x))} {_number(self._y(dot.y))}h0.1"

    def _x(self, part: float) -> float:
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    def _y(self, value: float) -> float:
        return self._bottom - self._figure.height(value) * (self._bottom - TOP)


def swatch(look: Look) -> Markup:
    """A short piece of a curve, for the legend beside its name."""
    drawn = "M8 7h0.1M20 7h0.1M32 7h0.1" if look.is_dotted else "M3 7h34"
    inside = element("path", {"class": f"curve {look}", "d": drawn})
    frame = {"viewBox": "0 0 40 14", "class": "swatch", "aria-hidden": "true"}
    return element("svg", frame, inside)


def legend(figure: Figure) -> Markup:
    """Which curve is which, where there are several."""
    if len(figure.curves) < 2:
        return Markup("")
    items = [element("li", None, swatch(curve.look), curve.name) for curve in figure.curves]
    return element("ul", {"class": "legend"}, *items)


def power_of_ten(value: float) -> str:
    """A decade as people read it: `0.01`, `1,000`, then `10⁻⁶`."""
    power = round(math.log10(value))
    if -3 <= power <= 4:
        return f"{10**power:,}" if power >= 0 else f"{10.0**power:g}"
    return f"10{str(power).translate(SUPERSCRIPT)}"


def _value(figure: Figure, value: float) -> str:
    if figure.percent:
        return figure.share(value)
    is_decade = value > 0 and math.isclose(math.log10(value), round(math.log10(value)))
    return power_of_ten(value) if is_decade else f"{value:.3g}"


def _words(bands: Sequence[Band]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(band.words for band in bands))


def _line(kind: str, *ends: float) -> Markup:
    names = ("x1", "y1", "x2", "y2")
    place = {name: _number(end) for name, end in zip(names, ends, strict=True)}
    return element("line", {"class": kind, **place})


def _text(kind: str, x: float, y: float, told: str, anchor: str = "start") -> Markup:
    place = {"class": kind, "x": _number(x), "y": _number(y), "text-anchor": anchor}
    return element("text", place, told)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
