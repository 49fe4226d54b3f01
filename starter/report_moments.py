"""The judged blocks of a report, each at its place in the pictures' common width."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from domain.judge.counts import Counts
from domain.report import Report, Step
from domain.trace import Point, Trace
from starter.figures import Band, Curve, Dot, Look, Panel, merged_bands, panels_of

# As many columns as a page's picture has; a terminal's has fewer.
COLUMNS = 240
TABLE_ROWS = 48


@dataclass(frozen=True)
class Moment:
    """A point with its place in the picture, its step, and the trace it belongs to."""

    x: float
    step: Step
    trace: Trace
    point: Point
    joined: bool

    def counts(self, metric: str) -> Counts:
        """What the block counted of a metric; nothing where it said nothing."""
        found = self.point.metrics.get(metric)
        return found.counts if found is not None and found.counts is not None else Counts()


# What a curve shows of a moment; None where it has nothing to show.
Value = Callable[[Moment], float | None]


@dataclass(frozen=True)
class Frame:
    """What every figure of a report has in common."""

    panels: tuple[Panel, ...]
    bands: tuple[Band, ...]
    moments: tuple[Moment, ...]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of all metrics, in the order in which they were judged."""
        return tuple(dict.fromkeys(name for one in self.moments for name in one.point.metrics))

    def curve(self, name: str, look: Look, value: Value) -> Curve:
        """The values of all moments that have one; a line breaks where there was no data."""
        dots: list[Dot] = []
        joined = False
        for moment in self.moments:
            found = value(moment)
            if found is not None:
                dots.append(Dot(moment.x, found, joined and moment.joined))
            joined = found is not None
        return Curve(name, look, tuple(dots))

    def clock_time(self, at: datetime) -> str:
        """A moment in UTC, as exactly as the time shown needs."""
        return clock_time(at, self.panels)


def frame(report: Report) -> Frame:
    """The common frame of a report's figures."""
    panels = _panels(report)
    bands = merged_bands(_bands(report.steps, panels), COLUMNS)
    return Frame(panels, bands, tuple(_moments(report.steps, panels)))


def clock_time(at: datetime, panels: Sequence[Panel]) -> str:
    """A moment in UTC, as exactly as what the panels show needs."""
    shown = (panels[-1].end - panels[0].start).total_seconds()
    if shown < 60:
        return f"{at:%H:%M:%S}.{at.microsecond // 100_000}"
    return f"{at:%H:%M:%S}" if shown < 7200 else f"{at:%d %b %H:%M}"


def place(at: datetime, panels: Sequence[Panel]) -> float:
    """Where a moment is drawn: in the last panel that has begun by then."""
    begun = [panel for panel in panels if panel.start <= at]
    return begun[-1].place(at) if begun else panels[0].left


def chosen(
    moments: Sequence[Moment], important: Sequence[Moment], rows: int = TABLE_ROWS
) -> list[Moment]:
    """All, or the important ones, each step's last, and of the rest some at even distances."""
    if len(moments) <= rows:
        return list(moments)
    wanted = {id(moment) for moment in important[: rows // 2]}
    lasts = [now for now, later in pairwise(moments) if later.step is not now.step]
    wanted |= {id(moment) for moment in [*lasts[: rows // 4], moments[-1]]}
    free = rows - len(wanted)
    wanted |= {id(moments[at * len(moments) // free]) for at in range(free)}
    return [moment for moment in moments if id(moment) in wanted]


def _panels(report: Report) -> tuple[Panel, ...]:
    """One for each step, and one for the way back where there was one."""
    steps = [(_title(step), step.start, step.end) for step in report.steps]
    back = report.weights[-1:] if report.steps else ()
    if not back or back[0].percent:
        return panels_of(steps)
    end = report.steps[-1].end
    return panels_of([*steps, ("way back", end, max(back[0].at, end))], narrow_last=True)


def _title(step: Step) -> str:
    return f"{step.title} (running)" if step.traces[-1].as_of is not None else step.title


def _moments(steps: Sequence[Step], panels: Sequence[Panel]) -> Iterator[Moment]:
    for step, panel in zip(steps, panels, strict=False):
        for trace in step.traces:
            silent = {stretch.start for stretch in trace.silences}
            before: datetime | None = None
            for point in trace.points:
                joined = before is not None and before not in silent
                yield Moment(panel.place(point.at), step, trace, point, joined)
                before = point.at


def _bands(steps: Sequence[Step], panels: Sequence[Panel]) -> Iterator[Band]:
    for step, panel in zip(steps, panels, strict=False):
        for trace in step.traces:
            for gap in trace.silences:
                yield Band(panel.place(gap.start), panel.place(gap.end), "no data")
        ends = [*(trace.judged_at for trace in step.traces[1:]), step.end]
        for trace, end in zip(step.traces, ends, strict=True):
            if trace.is_held and end > trace.judged_at:
                yield Band(panel.place(trace.judged_at), panel.place(end), "held")
