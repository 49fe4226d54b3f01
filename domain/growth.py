"""What a pod's counters grew by from scrape to scrape, and where that cannot be told.

A process that began anew, a new error code of a known pod and a pod born in the step all count
from 0. Series that were relabelled begin as well, and what they show was counted before.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import pairwise
from operator import gt
from typing import NamedTuple

from domain.scrapes import TIMING_SLACK, Faults, Series, Target, is_count, target_of

RELABELLED = (
    "its series were relabelled between two scrapes: what it counted there is left out, it counts"
    " again from the next"
)
# A target that was not scraped for so many intervals was away.
MISSED = 1.5
# Of one scraper's scrapes the times differ by whole intervals, but for this part of one.
IN_STEP = 0.002
# (start of the growth, scrape, what exposes the series, whether the series begins there).
_Place = tuple[float, float, Target, bool]


def differences(
    members: list[Series],
    targets: Mapping[Target, list[float]],
    born: float | None,
    between: tuple[datetime, datetime],
    faults: Faults,
) -> Iterator[tuple[Series, float, float]]:
    """(series, scrape time, growth) per scrape of one pod, from the weight change on.

    `targets`: when what exposes its series was scraped; `between`: when the weight changed, and
    until when all is counted already. Series that begin, or come back, where others of the pod
    end, by values that these may have grown to, are taken for the same: the scrape is named.

    Limits: a pod whose scrapes move to another job or instance and soon back may be counted twice
    there; two processes that only another label than these tells apart share their scrape times.
    """
    pod = _Counters(members, targets)
    change, counted = (moment.timestamp() - TIMING_SLACK for moment in between)
    for item in members:
        first = bisect_left(item.points, (counted,))
        begins = first == 0
        if begins:
            previous = _base(targets.get(target_of(item), []), item.points[0][0], born)
        else:
            before = item.points[first - 1]
            previous = before if is_count(before[1]) else None
        for time, value in item.points[first:]:
            if not is_count(value):
                previous = None
                continue
            if previous is not None and previous[0] >= change:
                anew = pod.began_anew(item, previous[0], time)
                grown = value if anew else value - previous[1]
                # What did not grow was counted by nobody: nothing of it needs to be left out.
                if grown and pod.may_be_counted(item, previous[0], (time, value), begins):
                    faults.between(item.pod, RELABELLED, time, time)
                else:
                    yield item, time, grown
            previous, begins = (time, value), False


class _Ended(NamedTuple):
    """A series that a scrape did not find, its last value, and whether that came in step."""

    series: Series
    value: float
    is_in_step: bool


class _Counters:
    """The counters of one pod: when its processes began anew, and which series went away."""

    def __init__(self, members: list[Series], targets: Mapping[Target, list[float]]) -> None:
        self._targets = targets
        self._restarts = _restarts(members)
        self._gone = [] if _are_alike(members) else list(self._missing(members))
        self._interval = _interval(members) if self._gone else 0.0
        self._found: dict[_Place, list[_Ended]] = {}

    def began_anew(self, item: Series, start: float, end: float) -> bool:
        """Whether the process began at 0 since `start`: one of its counters went down."""
        return bool(self._restarts) and self._restarted(target_of(item), start, end)

    def may_be_counted(
        self, item: Series, start: float, point: tuple[float, float], begins: bool
    ) -> bool:
        """Whether other series, gone by `point`, may have counted what it shows.

        What is less than any of them had is no continuation: it was all counted since. Of a pair
        of Prometheus that are told as one, some series of a pod are shown in one's scrapes and
        some in the other's: such are one counter's only where both rise in turn.
        """
        time, value = point
        if not self._gone:
            return False
        place = start, time, target_of(item), begins
        if (found := self._found.get(place)) is None:
            found = self._found[place] = list(self._continued(place))
        return any(
            not ended.value > value and (ended.is_in_step or self._rise_in_turn(item, ended.series))
            for ended in found
        )

    def _missing(self, members: list[Series]) -> Iterator[Series]:
        """Series that a scrape of their target did not find, or whose target may be gone."""
        newest = max(item.points[-1][0] for item in members)
        for item in members:
            times = self._targets.get(target_of(item), [])
            awaited = len(times) - bisect_left(times, item.points[0][0])
            if len(item.points) < awaited or _paused(times, newest):
                yield item

    def _continued(self, place: _Place) -> Iterator[_Ended]:
        """The series that may go on as one that begins, or comes back."""
        start, time, target, begins = place
        is_new = begins and not self._scraped(target, 0.0, time)
        for other in self._gone:
            by, index = target_of(other), bisect_left(other.points, (time,))
            if index == 0 or (index < len(other.points) and other.points[index][0] == time):
                continue
            end, value = other.points[index - 1]
            if end < start or value == 0 or self._scraped(by, end, time):
                continue
            later = other.points[index : index + 1]
            if by != target and later and not _is_pause(self._targets[by], later[0][0] - end):
                continue
            if begins:
                # A second process of the pod has its own series, whatever ends beside them.
                possible = by == target or is_new
            else:
                # Of another target: it came and went meanwhile, and told more than its first.
                possible = start < end if by == target else start < other.points[0][0] < end
            if possible and not self._restarted(target, end, time):
                yield _Ended(other, value, by != target or self._in_step(time - end))

    def _in_step(self, apart: float) -> bool:
        """Whether two scrapes so many seconds apart may be of one scraper."""
        if not self._interval:
            return True
        beside = apart % self._interval
        return min(beside, self._interval - beside) <= IN_STEP * self._interval

    def _rise_in_turn(self, one: Series, other: Series) -> bool:
        """Whether the values of both, in the order of time, are those of one counter."""
        target = target_of(other)
        return all(
            before <= value
            or any(by == target and a < time and b > since for by, a, b in self._restarts)
            for (since, before), (time, value) in pairwise(sorted((*one.points, *other.points)))
        )

    def _scraped(self, target: Target, after: float, before: float) -> bool:
        times = self._targets.get(target, [])
        return bisect_right(times, after) < bisect_left(times, before)

    def _restarted(self, target: Target, start: float, end: float) -> bool:
        return any(
            by == target and start <= before and after <= end
            for by, before, after in self._restarts
        )


def _interval(members: list[Series]) -> float:
    """The shortest time between two scrapes that show the same series; 0 when none is in two."""
    gaps = (later[0] - earlier[0] for one in members for earlier, later in pairwise(one.points))
    return min(gaps, default=0.0)


def _are_alike(members: list[Series]) -> bool:
    """Whether all series are there in the same scrapes: then none is another's continuation."""
    if not members:
        return True
    first = members[0].points
    size, begins, ends = len(first), first[0][0], first[-1][0]
    return all(
        len(item.points) == size and item.points[0][0] == begins and item.points[-1][0] == ends
        for item in members
    )


def _paused(times: list[float], newest: float) -> bool:
    """Whether a target was, or may be, away while others of its pod were scraped."""
    if not times or times[-1] < newest:
        return True
    return any(_is_pause(times, later - earlier) for earlier, later in pairwise(times))


def _is_pause(times: list[float], gap: float) -> bool:
    return gap > MISSED * min((later - earlier for earlier, later in pairwise(times)), default=0.0)


def _restarts(members: list[Series]) -> set[tuple[Target, float, float]]:
    """Of what exposes the pod's series, the scrapes between which a counter went down."""
    found: set[tuple[Target, float, float]] = set()
    for item in members:
        values = [value for _, value in item.points]
        if not any(map(gt, values, values[1:])):
            continue
        for (since, before), (time, value) in pairwise(item.points):
            if 0 <= value < before:
                found.add((target_of(item), since, time))
    return found


def _base(times: list[float], first: float, born: float | None) -> tuple[float, float] | None:
    """Where a series was 0: at the pod's scrape before its first, or when the pod was born."""
    index = bisect_left(times, first)
    if index > 0:
        return times[index - 1], 0.0
    return (born, 0.0) if born is not None else None
