from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from domain.judge import Reason, Verdict
from starter.figures import (
    Band,
    Dot,
    Look,
    decades,
    decimated,
    merged_bands,
    panels_of,
)
from starter.report_figures import figures
from starter.report_moments import TABLE_ROWS, frame, place
from tests.starter.reports import LONG_WATCH, PROMOTED, ROLLED_BACK
from tests.support.judged_releases import SINCE

COLUMNS = 20
LEVELS = (1.0, 20.0, 100.0)
VALUES = st.lists(
    st.tuples(st.floats(0, 1), st.floats(1e-12, 1e12), st.booleans()), min_size=1, max_size=300
)

# Many dots in few columns, on both sides of every threshold.
NEAR_THRESHOLDS = st.lists(
    st.tuples(
        st.floats(0, 0.15), st.sampled_from([0.1, 0.9, 2.0, 19.0, 30.0, 99.0, 101.0]), st.just(True)
    ),
    min_size=6,
    max_size=60,
)


def dots_of(values: Sequence[tuple[float, float, bool]]) -> list[Dot]:
    return [Dot(*value) for value in sorted(values, key=lambda value: value[0])]


def by_column(dots: Sequence[Dot]) -> dict[int, list[float]]:
    columns: dict[int, list[float]] = {}
    for dot in dots:
        columns.setdefault(min(int(dot.x * COLUMNS), COLUMNS - 1), []).append(dot.y)
    return columns


def first_over(dots: Sequence[Dot], level: float) -> Dot | None:
    return next((dot._replace(joined=True) for dot in dots if dot.y >= level), None)


def crosses(dots: Sequence[Dot], level: float) -> int:
    sides = [dot.y >= level for dot in dots]
    return sum(was != now for was, now in pairwise(sides))


@given(VALUES)
def test_a_picture_keeps_the_extremes_the_first_and_the_last_of_every_column(
    values: list[tuple[float, float, bool]],
) -> None:
    dots = dots_of(values)
    whole, drawn = by_column(dots), by_column(decimated(dots, COLUMNS, LEVELS))
    assert whole.keys() == drawn.keys()
    for column, found in whole.items():
        kept = drawn[column]
        assert (min(kept), max(kept), kept[0], kept[-1]) == (
            *(min(found), max(found)),
            *(found[0], found[-1]),
        )


@given(NEAR_THRESHOLDS)
def test_a_picture_never_loses_a_crossing_nor_the_moment_of_the_first(
    values: list[tuple[float, float, bool]],
) -> None:
    dots = dots_of(values)
    drawn = decimated(dots, COLUMNS, LEVELS)
    for level in LEVELS:
        assert first_over(drawn, level) == first_over(dots, level)
        assert (crosses(drawn, level) > 0) == (crosses(dots, level) > 0)
        assert (crosses(drawn, level) - crosses(dots, level)) % 2 == 0


@given(VALUES)
def test_a_picture_has_a_bounded_number_of_dots_in_their_order(
    values: list[tuple[float, float, bool]],
) -> None:
    dots = dots_of(values)
    drawn = decimated(dots, COLUMNS, LEVELS)
    assert len(drawn) <= min(len(dots), COLUMNS * (4 + 4 * len(LEVELS)))
    assert [dot.x for dot in drawn] == sorted(dot.x for dot in drawn)
    assert decimated(dots, COLUMNS, LEVELS) == drawn


@given(VALUES)
def test_a_line_is_torn_in_the_picture_where_it_is_torn_in_the_data(
    values: list[tuple[float, float, bool]],
) -> None:
    dots = [Dot(at / len(values), y, joined) for at, (_, y, joined) in enumerate(values)]
    drawn = decimated(dots, COLUMNS, LEVELS)
    places = [next(at for at, dot in enumerate(dots) if dot.x == kept.x) for kept in drawn]
    for before, at, dot in zip([-1, *places], places, drawn, strict=False):
        assert dot.joined == all(one.joined for one in dots[before + 1 : at + 1])


def test_steps_share_the_width_by_their_length_and_the_shortest_stays_readable() -> None:
    lengths = [3 * 60, 3 * 60, 24 * 3600, 1]
    steps, at = [], SINCE
    for length in lengths:
        steps.append((str(length), at, at + timedelta(seconds=length)))
        at += timedelta(seconds=length)
    panels = panels_of(steps)
    assert panels[0].left == 0
    assert abs(panels[-1].right - 1) < 1e-9
    assert all(panel.right - panel.left > 0.05 for panel in panels)
    assert all(a.right == b.left for a, b in pairwise(panels))
    places = [place(SINCE + timedelta(minutes=number), panels) for number in range(1500)]
    assert places == sorted(places)


def test_decades_hold_every_value_from_a_billionth_to_a_billion() -> None:
    assert decades([0.5, 37.0]) == (0.1, 100)
    assert decades([1e-300, 1e300]) == (1e-9, 1e9)
    assert decades([]) == (0.1, 10)


def test_silent_stretches_that_touch_in_the_picture_are_one() -> None:
    bands = [Band(at / 1000, at / 1000 + 0.0005, "no data") for at in range(1000)]
    assert len(merged_bands(bands, 240)) == 1
    assert len(merged_bands([Band(0, 0.1, "held"), Band(0.1, 0.2, "no data")], 240)) == 2


def test_the_figures_of_a_release_are_those_of_its_judgement() -> None:
    found = {figure.key: figure for figure in figures(PROMOTED)}
    assert list(found) == ["against", "relative", "limit", "share-errors", "share-slow", "weight"]
    assert [one.words for one in found["against"].thresholds] == [
        "roll back at 100",
        "1: says nothing either way",
    ]
    assert found["limit"].thresholds[0].words == "promote at 20"
    assert found["share-errors"].thresholds[0].words == "the plan's limit: 1 %"
    last = [curve.dots[-1].y for curve in found["against"].curves if curve.look is Look.MERGED]
    assert last == [PROMOTED.traces[-1].evidence]


def test_a_release_that_was_rolled_back_crosses_the_threshold_in_its_figure() -> None:
    against = next(figure for figure in figures(ROLLED_BACK) if figure.key == "against")
    merged = against.curves[0].dots
    assert [dot.y >= 100 for dot in merged][-2:] == [False, True]
    assert [band.words for band in against.bands] == ["no data"]
    assert [dot.joined for dot in merged].count(False) == 2


def test_the_numbers_behind_a_figure_are_few_and_have_its_extremes() -> None:
    common = frame(LONG_WATCH)
    for figure in figures(LONG_WATCH)[:-1]:
        assert figure.table.of == len(common.moments) > 1000
        assert len(figure.table.rows) <= TABLE_ROWS
        assert all(len(row) == len(figure.table.header) for row in figure.table.rows)
    (against,) = [figure for figure in figures(LONG_WATCH) if figure.key == "against"]
    highest = max(dot.y for dot in against.curves[0].dots)
    assert f"{highest:.3g}" in [row[2] for row in against.table.rows]


def test_a_hold_is_marked_until_the_next_verdict_and_gathering_is_none() -> None:
    (step,) = ROLLED_BACK.steps
    last = step.traces[0]
    middle = step.start + (step.end - step.start) / 2
    for reason, marked in ((Reason.both_bad, 1), (Reason.gathering, 0)):
        hold = last.with_(
            verdict=Verdict.HOLD, reason=reason, judged_at=middle, points=(), silences=()
        )
        found = frame(ROLLED_BACK.with_(steps=(step.with_(traces=(hold, last)),)))
        held = [band for band in found.bands if band.words == "held"]
        assert len(held) == marked
        for band in held:
            panel = found.panels[0]
            assert (band.start, band.end) == (panel.place(middle), panel.place(last.judged_at))


def test_the_way_back_has_a_part_of_the_width_of_its_own() -> None:
    found = frame(ROLLED_BACK)
    assert [panel.title for panel in found.panels] == ["10 %", "way back"]
    assert found.panels[0].end == ROLLED_BACK.traces[-1].judged_at == found.panels[1].start
