"""A figure in letters, eighty columns wide: braille for the curve that decides, blocks for others.

Nothing depends on colour; a terminal that cannot show these letters gets plain ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from starter.figures import HIGHEST, Curve, Dot, Figure
from starter.markup import visible
from starter.report_figures import number
from starter.report_moments import clock_time

WIDTH = 80
GUTTER = 9
ROWS = 9
NAME, SPARK = 20, 25
LEVELS = "▁▂▃▄▅▆▇█"
BRAILLE = 0x2800
# Dots of a braille letter from its top left: Unicode numbers the lowest row last.
PINS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
PLAIN = str.maketrans(
    {
        **dict(zip(LEVELS, "._-~=+*#", strict=True)),
        **{chr(BRAILLE + code): "*" for code in range(1, 256)},
        chr(BRAILLE): " ",
        **{"┄": "-", "│": "|", "└": "+", "─": "-", "░": ".", "✔": "+", "✘": "x", "…": "."},
    }
)
DOTTED = "┄"


def lines(figure: Figure) -> Iterator[str]:
    """The figure's lines: its title, the steps, the curves, and what each reached."""
    yield figure.title
    main = [curve for curve in figure.curves if curve.look.decides]
    if main:
        yield from _canvas(figure, main[0])
        yield f"{'':{GUTTER}} {_times(figure)}"
    else:
        steps = _titles(figure, SPARK)
        yield f"  {'':{NAME}}{steps}"
    for curve in figure.curves:
        if curve not in main:
            yield from _spark(figure, curve)
        else:
            yield f"  {curve.name}: {_reached(figure, curve)}"
    if not main:
        yield f"  ({'; '.join(_levels(figure))})"


def bar(part: float, width: int = SPARK) -> str:
    """How far something is, from 0 to 1."""
    full = round(min(max(part, 0.0), 1.0) * width)
    return "█" * full + "░" * (width - full)


def plain(text: str) -> str:
    """The same in letters that every terminal has."""
    return text.translate(PLAIN)


def _canvas(figure: Figure, curve: Curve) -> Iterator[str]:
    """One curve on a grid of braille dots, its thresholds as dotted lines with their words."""
    columns = WIDTH - GUTTER - 1
    cells = _pinned(figure, curve, columns)
    yield f"{'':{GUTTER}} {_titles(figure, columns)}"
    named = {_row(figure, one.value): one for one in figure.thresholds}
    for row in range(ROWS):
        letters = "".join(chr(BRAILLE + cell) if cell else " " for cell in cells[row])
        label = ""
        if row in named:
            label = _label(figure, named[row].value)
            letters = _worded(letters, named[row].words)
        elif row in (0, ROWS - 1) and not (figure.whole and row == 0):
            label = _label(figure, figure.high if row == 0 else figure.low)
        yield f"{label:>{GUTTER}}│{letters}".rstrip()
    yield f"{'':{GUTTER}}└{'─' * columns}"


def _label(figure: Figure, value: float) -> str:
    return figure.share(value) if figure.whole else f"{value:g}"


def _worded(letters: str, words: str) -> str:
    """Dots where the curve is not, and the words at the end that is free."""
    told = f" {words} "
    end = letters[-len(told) :]
    if not end.strip():
        letters = letters[: -len(told)] + told
    elif not letters[: len(told)].strip():
        letters = told + letters[len(told) :]
    head, _, tail = letters.partition(told)
    dotted = [part.replace(" ", DOTTED) for part in (head, tail)]
    return dotted[0] + told + dotted[1] if told in letters else letters.replace(" ", DOTTED)


def _pinned(figure: Figure, curve: Curve, columns: int) -> list[list[int]]:
    cells = [[0] * columns for _ in range(ROWS)]
    before: Dot | None = None
    for dot in curve.dots:
        for x, y in _between(figure, before if dot.joined else None, dot, columns):
            cells[y // 4][x // 2] |= PINS[y % 4][x % 2]
        before = dot
    return cells


def _between(
    figure: Figure, before: Dot | None, dot: Dot, columns: int
) -> Iterator[tuple[int, int]]:
    """Every pin of the straight line from one dot to the next."""
    x, y = _pin(figure, dot, columns)
    from_x, from_y = _pin(figure, before, columns) if before else (x, y)
    steps = max(abs(x - from_x), abs(y - from_y), 1)
    for step in range(steps + 1):
        part = step / steps
        yield round(from_x + (x - from_x) * part), round(from_y + (y - from_y) * part)


def _pin(figure: Figure, dot: Dot, columns: int) -> tuple[int, int]:
    across = min(int(dot.x * columns * 2), columns * 2 - 1)
    return across, round((1 - figure.height(dot.y)) * (ROWS * 4 - 1))


def _row(figure: Figure, value: float) -> int:
    return round((1 - figure.height(value)) * (ROWS * 4 - 1)) // 4


def _spark(figure: Figure, curve: Curve) -> Iterator[str]:
    """One line of blocks: the highest value of each column, a blank where there is none."""
    highest: dict[int, float] = {}
    for before, dot in pairwise([None, *curve.dots]):
        column = min(int(dot.x * SPARK), SPARK - 1) if dot else 0
        if dot is None:
            continue
        first = column
        if before is not None and dot.joined:
            first = min(int(before.x * SPARK) + 1, column)
        for at in range(first, column + 1):
            highest[at] = max(highest.get(at, dot.y), dot.y)
    drawn = "".join(
        LEVELS[min(int(figure.height(highest[at]) * len(LEVELS)), len(LEVELS) - 1)]
        if at in highest
        else " "
        for at in range(SPARK)
    )
    name = visible(curve.name)[: NAME - 1]
    yield f"  {name:<{NAME}}{drawn} {_reached(figure, curve)}"


def _reached(figure: Figure, curve: Curve) -> str:
    """The last and the highest value, and when a deciding threshold was first passed."""
    highest, last = max(dot.y for dot in curve.dots), curve.dots[-1].y
    if figure.percent:
        return f"{figure.share(last)}, at most {figure.share(highest)}"
    for threshold in figure.thresholds:
        if threshold.decides and highest >= threshold.value:
            at = next(dot for dot in curve.dots if dot.y >= threshold.value)
            return f"passed {threshold.value:g} at {_when(figure, at)}, {_short(last)}"
    return f"{_short(last)}, at most {_short(highest)}"


def _short(value: float) -> str:
    return number(value) if value < HIGHEST else ">1e9"


def _when(figure: Figure, dot: Dot) -> str:
    panel = next((panel for panel in figure.panels if dot.x <= panel.right), figure.panels[-1])
    wide = panel.right - panel.left
    part = (dot.x - panel.left) / wide if wide else 0.0
    return f"{clock_time(panel.start + (panel.end - panel.start) * part, figure.panels)}"


def _levels(figure: Figure) -> Iterator[str]:
    yield from (one.words for one in figure.thresholds)
    if figure.percent:
        yield f"a full block: {100 * figure.high:.3g} %"


def _titles(figure: Figure, columns: int) -> str:
    """The steps' names, each where its step begins."""
    letters = [" "] * columns
    for panel in figure.panels:
        start = min(int(panel.left * columns), columns - 1)
        room = max(int(panel.right * columns) - start, 1)
        told = f"│{panel.title}"[:room]
        letters[start : start + len(told)] = told
    return "".join(letters).rstrip()


def _times(figure: Figure) -> str:
    first, last = figure.panels[0], figure.panels[-1]
    begin = clock_time(first.start, figure.panels)
    end = f"{clock_time(last.end, figure.panels)} UTC"
    room = WIDTH - GUTTER - 1 - len(begin)
    return f"{begin}{end:>{room}}"


def bands_told(figure: Figure, words: Sequence[str] = ("no data", "held")) -> str:
    """How much of the width was silent or held, where any was."""
    parts = []
    for word in words:
        found = [band for band in figure.bands if band.words == word]
        if found:
            parts.append(f"{len(found)} stretch{'es' if len(found) > 1 else ''} {word}")
    return ", ".join(parts)
