"""The soak's clock as a figure: earned time over the time that passed, window by window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from domain.quantities import format_duration
from domain.report import SoakClock
from domain.soak_windows import NOT_KNOWN, NOTHING, UNHEALTHY, Finding, SoakStretch
from starter.figures import (
    Band,
    Curve,
    Dot,
    Figure,
    Look,
    Panel,
    Table,
    Threshold,
    merged_bands,
    panels_of,
    rounded,
)
from starter.report_moments import COLUMNS, clock_time

WORDS = ("unhealthy", "not known", "drift", "nobody looked")
SHADES = "red: unhealthy, or drift; grey: not known, or nobody looked"
COSTS = {
    "pause": "stands still in unhealthy ones",
    "reset": "begins again after an unhealthy one",
    "credit": "falls in unhealthy ones",
}
# Room above the goal for its words.
HEAD = 1.15
TABLE_ROWS = 100
# Windows join without a gap, but for a scrape's time; a longer one is somebody's pause.
SHORTEST_GAP = 0.1


def soak_figure(soak: SoakClock) -> Figure | None:
    """The figure; None where the windows are not among the records."""
    stretches = soak.stretches
    if not stretches or not soak.goal:
        return None
    panels = panels_of([("soak", stretches[0].since, stretches[-1].end)])
    (panel,) = panels
    rows = [_row(one, panels) for one in _chosen(stretches)]
    header = ("since (UTC)", "lasted", "found", "requests", "bad", "earned by then", "why")
    return Figure(
        key="soak",
        title="Soak: healthy time earned in staging",
        told=f"earned time, which climbs in healthy windows, {COSTS[soak.on_unhealthy]}, and stands"
        " still where nothing is known",
        panels=panels,
        curves=(Curve("earned", Look.EARNED, tuple(_dots(soak, panel))),),
        thresholds=(Threshold(1.0, f"goal: {format_duration(rounded(soak.goal))}"),),
        bands=merged_bands(_bands(stretches, panel), COLUMNS),
        low=0.0,
        high=HEAD,
        percent=True,
        table=Table(header, tuple(rows), len(stretches)),
        whole=soak.goal,
    )


def _dots(soak: SoakClock, panel: Panel) -> Iterator[Dot]:
    before = NOTHING

    def dot(at: datetime, earned: timedelta) -> Dot:
        return Dot(panel.place(at), earned / soak.goal, joined=at > panel.start or earned > NOTHING)

    yield Dot(panel.place(panel.start), 0.0, joined=False)
    for one in soak.stretches:
        yield dot(one.since, before)
        if one.earned < before:
            yield from (dot(at, earned) for at, earned in _fall(one, before, soak.on_unhealthy))
        yield dot(one.end, one.earned)
        before = one.earned


def _fall(
    one: SoakStretch, before: timedelta, on_unhealthy: str
) -> Iterator[tuple[datetime, timedelta]]:
    """How it falls: bit by bit where time is taken off, at the window's end where all is lost."""
    if one.finding not in UNHEALTHY or on_unhealthy != "credit":
        yield one.end, before
    elif before < one.length:
        yield one.since + before, NOTHING


def _bands(stretches: Sequence[SoakStretch], panel: Panel) -> Iterator[Band]:
    for one in stretches:
        if word := _word(one.finding):
            yield Band(panel.place(one.since), panel.place(one.end), word)
    for one, after in pairwise(stretches):
        if after.since - one.end > one.length / one.windows * SHORTEST_GAP:
            yield Band(panel.place(one.end), panel.place(after.since), "nobody looked")


def _word(finding: Finding) -> str:
    if finding in UNHEALTHY:
        return "unhealthy"
    if finding in NOT_KNOWN:
        return "not known"
    return "drift" if finding is Finding.DRIFT else ""


def _chosen(stretches: Sequence[SoakStretch]) -> list[SoakStretch]:
    """All, or the last that were not healthy, and of the rest some at even distances."""
    if len(stretches) <= TABLE_ROWS:
        return list(stretches)
    odd = [at for at, one in enumerate(stretches) if one.finding is not Finding.HEALTHY]
    wanted = {len(stretches) - 1, *odd[-TABLE_ROWS // 2 :]}
    free = TABLE_ROWS - len(wanted)
    wanted |= {at * len(stretches) // free for at in range(free)}
    return [one for at, one in enumerate(stretches) if at in wanted]


def _row(one: SoakStretch, panels: Sequence[Panel]) -> tuple[str, ...]:
    joined = f" ({one.windows} windows)" if one.windows > 1 else ""
    seen = one.counts.get("errors")
    bad = ", ".join(f"{counted.bad} {name}" for name, counted in one.counts.items())
    return (
        clock_time(one.since, panels),
        format_duration(rounded(one.length)),
        f"{_word(one.finding) or one.finding}{joined}",
        "-" if seen is None else f"{seen.requests:,}",
        bad or "-",
        format_duration(rounded(one.earned)),
        one.sentence or "-",
    )
