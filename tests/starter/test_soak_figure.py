"""The soak's clock in a report: a line over its windows, or a bar where they are not known."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from domain.report import Report
from domain.soak import SoakProgress, SoakWindow
from domain.soak_windows import kept
from starter.figures import Figure
from starter.report_page import page
from starter.report_text import text
from starter.soak_figure import TABLE_ROWS, soak_figure
from tests.domain.test_soak_windows import BLIND, CRASHED, healthy, over
from tests.starter.reports import PROMOTED
from tests.support.release_records import NOON

HALF, HOUR = timedelta(minutes=30), timedelta(hours=1)
DRIFTED = SoakWindow(length=HALF / 6, healthy=False, sentence="drift: x", drift="x is y")


def soaked(windows: Sequence[SoakWindow | timedelta], rule: str = "pause") -> Report:
    """A release whose soak had these windows, and pauses of people in between."""
    progress, at = SoakProgress(goal=6 * HOUR), NOON
    for window in windows:
        if isinstance(window, SoakWindow):
            progress = progress.add(window, rule, at)
        at += window.length if isinstance(window, SoakWindow) else window
    return of(progress, rule)


def of(progress: SoakProgress, rule: str = "pause") -> Report:
    assert PROMOTED.soak is not None
    told = {name: getattr(progress, name) for name in type(progress).model_fields}
    del told["bundle"]
    soak = PROMOTED.soak.with_(**told, on_unhealthy=rule, sentence=progress.sentence)
    return PROMOTED.with_(soak=soak)


def drawn(report: Report) -> Figure:
    assert report.soak is not None
    figure = soak_figure(report.soak)
    assert figure is not None
    return figure


def hours(report: Report) -> list[tuple[float, float]]:
    """The line's corners as hours since its begin, and hours earned."""
    figure = drawn(report)
    (panel,) = figure.panels
    length = (panel.end - panel.start) / HOUR
    found = [(round(d.x * length, 3), round(d.y * 6, 3)) for d in figure.curves[0].dots]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize(
    ("rule", "bad", "line"),
    [
        ("pause", CRASHED, [(0, 0), (0.5, 0.5), (1, 0.5), (1.5, 1)]),
        ("pause", BLIND, [(0, 0), (0.5, 0.5), (1, 0.5), (1.5, 1)]),
        ("reset", CRASHED, [(0, 0), (0.5, 0.5), (1, 0.5), (1, 0), (1.5, 0.5)]),
        ("credit", CRASHED, [(0, 0), (0.5, 0.5), (1, 0), (1.5, 0.5)]),
        ("pause", DRIFTED, [(0, 0), (0.5, 0.5), (0.583, 0.5), (0.583, 0), (1.083, 0.5)]),
    ],
)
def test_the_line_climbs_when_healthy_and_stands_or_falls_as_the_plan_says(
    rule: str, bad: SoakWindow, line: list[tuple[float, float]]
) -> None:
    assert hours(soaked([healthy(), bad, healthy()], rule)) == line


def test_what_is_taken_off_ends_at_nothing_within_the_window() -> None:
    line = hours(soaked([healthy().with_(length=HALF / 2), CRASHED], "credit"))
    assert line == [(0, 0), (0.25, 0.25), (0.5, 0), (0.75, 0)]


def test_each_kind_of_time_that_did_not_count_is_shaded_and_named() -> None:
    figure = drawn(soaked([healthy(), over(errors=90), BLIND, HOUR, healthy(), DRIFTED]))
    assert [band.words for band in figure.bands] == [
        "unhealthy", "not known", "nobody looked", "drift"
    ]  # fmt: skip
    assert [level.words for level in figure.thresholds] == ["goal: 6h"]
    assert figure.table.rows[1][2:] == (
        "unhealthy", "1,000", "90 errors, 0 slow, 0 restarts", "30m", "errors"
    )  # fmt: skip


def test_page_and_terminal_show_the_line_and_why_windows_did_not_count() -> None:
    report = soaked([healthy(), CRASHED, *[healthy()] * 11])
    told, shown = text(report), page(report).decode()
    (part,) = [part for part in told.split("\n\n") if part.startswith("Soak:")]
    assert "6h│" in part
    assert "goal: 6h" in part
    assert "2026-03-01 12:30:00 UTC  0 of 1 ready" in part
    assert "█" not in part
    assert max(map(len, part.splitlines())) <= 80
    assert 'class="curve earned"' in shown
    assert 'class="band unhealthy"' in shown
    assert "0 of 1 ready" in shown


def test_records_without_windows_are_shown_as_bars() -> None:
    older = of(SoakProgress(goal=6 * HOUR, earned=6 * HOUR, elapsed=8 * HOUR, windows=16))
    assert soak_figure(older.soak) is None if older.soak else False
    assert "  elapsed  █" in text(older)
    shown = page(older).decode()
    assert 'class="bar earned"' in shown
    assert "curve earned" not in shown


def test_hundreds_of_windows_make_no_longer_a_table() -> None:
    progress = SoakProgress(goal=600 * HOUR)
    for at in range(300):
        window = CRASHED if at % 3 == 0 else healthy()
        progress = progress.add(window, "pause", NOON + at * HALF)
    table = drawn(of(progress)).table
    assert (len(table.rows) <= TABLE_ROWS, table.of) == (True, 300)
    few = drawn(of(progress.with_(stretches=kept(progress.stretches, 50))))
    assert any("windows)" in row[2] for row in few.table.rows)
