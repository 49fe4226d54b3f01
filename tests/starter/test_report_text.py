from __future__ import annotations

import re

import pytest

from domain.judge import Verdict
from domain.report import Report
from starter.figure_text import PLAIN, WIDTH, lines, plain
from starter.report_figures import figures
from starter.report_text import text
from tests.starter.reports import LONG_WATCH, PROMOTED, REHEARSED, ROLLED_BACK
from tests.starter.test_report_page import EVIL, poisoned

ALL = pytest.mark.parametrize("report", [PROMOTED, ROLLED_BACK, REHEARSED, LONG_WATCH])


@ALL
def test_everything_fits_eighty_columns_but_digests_that_are_copied_whole(report: Report) -> None:
    long = [line for line in text(report).splitlines() if len(line) > WIDTH]
    assert [line for line in long if not re.search(r"sha256:[0-9a-f]{64}", line)] == []


@ALL
def test_no_line_needs_colour_or_moves_the_cursor(report: Report) -> None:
    assert "\x1b" not in text(report)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", text(poisoned(report, EVIL)))


@ALL
def test_a_terminal_without_these_letters_gets_plain_ones(report: Report) -> None:
    assert plain(text(report)).isascii()
    assert set(map(chr, PLAIN)) & set(text(report))


def test_the_text_tells_ending_verdict_thresholds_and_how_to_recompute() -> None:
    told = text(ROLLED_BACK)
    for said in (
        *("✘ ROLLED_BACK", "✘ 10 %: ROLL BACK", "roll back at 100", "promote at 20"),
        *("1 stretch no data", f"tidegate judge replay {ROLLED_BACK.bundle}", "as stored"),
        *("ann at 2026-03-01 12:00:00 UTC", "all metrics: passed 100 at 12:05:00"),
    ):
        assert said in told


def test_the_curve_that_decides_reaches_its_threshold_only_when_it_did() -> None:
    (bad,) = [one for one in figures(ROLLED_BACK) if one.key == "against"]
    (good,) = [one for one in figures(PROMOTED) if one.key == "against"]
    (over,) = [line for line in lines(bad) if "roll back at 100" in line]
    (under,) = [line for line in lines(good) if "roll back at 100" in line]
    assert re.search("[\u2801-\u28ff]", over)
    assert not re.search("[\u2801-\u28ff]", under)


def test_a_rehearsal_clock_stands_by_every_duration_of_its_stages() -> None:
    told = text(REHEARSED)
    for said in ("judged 2026-03-01", "goal     ", "earned   ", "elapsed  ", "production canary,"):
        (line,) = [line for line in told.split("\n  ") if said in line]
        assert "rehearsal clock" in line or "rehearsal" in told[told.index(line) :][:200]
    assert "rehearsal clock" not in text(PROMOTED)


def test_holds_are_told_once_a_release_was_held_for_days() -> None:
    (step, *_) = ROLLED_BACK.steps
    hold = step.traces[0].with_(verdict=Verdict.HOLD, sentence="Holding: no data", points=())
    traces = (*((hold,) * 500), step.traces[0])
    told = text(ROLLED_BACK.with_(steps=(step.with_(traces=traces),)))
    assert "481 earlier holds are left out" in told
    assert "✘ 10 %: ROLL BACK" in told
