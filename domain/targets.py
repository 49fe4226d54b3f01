"""Two targets that expose one process: whatever it counts would be counted twice.

Labels alone do not tell: two jobs scrape one port under other names, and two containers of a pod
expose one metric each on its own port. Their values tell.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from operator import ge

from domain.scrapes import LARGEST_COUNT, SCRAPER_LABELS, Series

# By these a scrape tells its targets apart; the labels of `up` are others that it gave them.
TARGET_LABELS = SCRAPER_LABELS - {"__name__"} | {
    *("instance", "node", "container", "port", "pod_ip", "host_ip", "kubernetes_node"),
}
EDGE = "le"
# A time is when a scrape began: by so many seconds two of them may have been answered in turn.
SAME_MOMENT = 1.0
# Two processes that counted less may be equal by chance.
ENOUGH = 5.0
Labels = frozenset[tuple[str, str]]
Points = Sequence[tuple[float, float]]
# What one target tells: the series of each metric; and by metric and labels, by a bucket's edge.
_Target = list[list[Series]]
_Buckets = Mapping[float, Series]
_Counters = Mapping[tuple[int, Labels], _Buckets]


@dataclass(frozen=True, slots=True)
class Doubled:
    """A pod whose counters two targets tell, how their labels differ, and until when (seconds)."""

    pod: str
    labels: str
    until: float


def doubled(
    metrics: Sequence[Sequence[Series]],
    whole: Iterable[Series],
    up: Iterable[Series],
    arm_label: str | None = None,
) -> Iterator[Doubled]:
    """The pods of which two targets tell the same counters, so that they are counted twice.

    Those that differ by `SCRAPER_LABELS` alone are not told again: `by_pod` names them.

    `metrics`: the series of each metric; `whole`: those of them that count every request (they
    show which pods have several targets); `up`: its labels are what targets differ by; `arm_label`
    names an arm and no target.

    Two targets tell one process when their series are of the same labels, but for those that are
    one value throughout each target, and no value of either is below what the other told before
    (at one time: both are equal), for every counter that both have and each step between two
    buckets; they overlap in time, both have risen, and have counted 5 requests. Of two processes
    some counter soon contradicts that: it would have to be, at each scrape, less than one scrape's
    growth apart.

    Limits: two processes that stay so close in every bucket are taken for one (and refused);
    scrapes less than a second apart say nothing of their order; a restart excuses the scrapes
    around it; one process is taken for two, and counted twice, where a scrape rewrites other
    labels than a target's (no label set is then in both), or where it counted fewer than 5.
    """
    names = sorted((TARGET_LABELS | {name for one in up for name in one.labels}) - {arm_label})
    several = _of_several(whole, names)
    for pod, targets in (_by_target(metrics, several, names) if several else {}).items():
        for one, other in combinations(targets, 2):
            apart = _differing(one, other, arm_label)
            if not apart <= SCRAPER_LABELS and _is_one_process(one, other, apart):
                last = max(item.points[-1][0] for kind in (*one, *other) for item in kind)
                yield Doubled(pod, _told(one, other, apart), last)


def _by_target(
    metrics: Sequence[Sequence[Series]], pods: set[str], names: Sequence[str]
) -> dict[str, Iterable[_Target]]:
    """Per pod the series of each of its targets."""
    found: dict[str, dict[tuple[str | None, ...], _Target]] = {}
    for kind, series in enumerate(metrics):
        for one in series:
            if one.pod in pods and one.points:
                key = tuple([one.labels.get(name) for name in names])
                target = found.setdefault(one.pod, {}).setdefault(key, [[] for _ in metrics])
                target[kind].append(one)
    return {pod: targets.values() for pod, targets in found.items()}


def _of_several(series: Iterable[Series], names: Sequence[str]) -> set[str]:
    first: dict[str, tuple[str | None, ...]] = {}
    several: set[str] = set()
    for one in series:
        key = tuple(map(one.labels.get, names))
        if one.points and first.setdefault(one.pod, key) != key:
            several.add(one.pod)
    return several


def _differing(one: _Target, other: _Target, arm_label: str | None) -> frozenset[str]:
    """Labels that have one value throughout each target, and not the same one."""
    differ: set[str] = set()
    for own, theirs in zip(one, other, strict=True):
        if own and theirs:
            differ |= _unlike(own[0], theirs[0])
    for kind in (*one, *other):
        for series in kind[1:]:
            differ -= _unlike(kind[0], series)
    return frozenset(differ - {EDGE, arm_label})


def _unlike(one: Series, other: Series) -> set[str]:
    return {name for name, _ in one.labels.items() ^ other.labels.items()}


def _told(one: _Target, other: _Target, apart: frozenset[str]) -> str:
    own, theirs = (next(series for kind in target for series in kind) for target in (one, other))
    return ", ".join(
        f'{name}="{own.labels.get(name, "")}" and "{theirs.labels.get(name, "")}"'
        for name in sorted(apart)
    )


def _is_one_process(one: _Target, other: _Target, apart: frozenset[str]) -> bool:
    own, theirs = _counters(one, apart), _counters(other, apart)
    began = [min(item.points[0][0] for kind in target for item in kind) for target in (one, other)]
    ended = [max(item.points[-1][0] for kind in target for item in kind) for target in (one, other)]
    if max(began) > min(ended):
        return False
    restarts = sorted(_restarts(one) | _restarts(other))
    counted, rising = 0.0, [False, False]
    for key in own.keys() & theirs.keys():
        for pair in _steps(own[key], theirs[key]):
            if not _is_one_line(*pair, restarts):
                return False
            if all(pair):
                counted += min(points[-1][1] for points in pair)
            rising = [
                risen or _rose(points, first)
                for risen, points, first in zip(rising, pair, began, strict=True)
            ]
    return counted >= ENOUGH and all(rising)


def _steps(own: _Buckets, theirs: _Buckets) -> Iterator[tuple[Points, Points]]:
    """Two histograms' counters between the edges that both have; plain counters as they are."""
    edges = sorted(own.keys() & theirs.keys())
    for below, edge in zip([None, *edges], edges, strict=False):
        yield _between(own, below, edge), _between(theirs, below, edge)


def _rose(points: Points, began: float) -> bool:
    if points and points[0][0] > began and points[0][1] > 0:
        return True
    return any(now[1] > was[1] for was, now in pairwise(points))


def _counters(target: _Target, apart: frozenset[str]) -> _Counters:
    found: dict[tuple[int, Labels], dict[float, Series]] = {}
    for kind, series in enumerate(target):
        for one in series:
            told = frozenset(
                pair for pair in one.labels.items() if pair[0] != EDGE and pair[0] not in apart
            )
            found.setdefault((kind, told), {})[_edge(one)] = one
    return found


def _edge(series: Series) -> float:
    try:
        return float(series.labels[EDGE])
    except (KeyError, ValueError):
        return 0.0


def _between(found: _Buckets, below: float | None, edge: float) -> Points:
    """The counter of what lies above one edge and not above the next, as of each scrape."""
    under = {} if below is None else dict(found[below].points)
    return [
        (time, value - under.get(time, 0.0))
        for time, value in found[edge].points
        if 0 <= value <= LARGEST_COUNT and (below is None or time in under)
    ]


def _is_one_line(one: Points, other: Points, restarts: Sequence[tuple[float, float]]) -> bool:
    return _is_after(one, other, restarts) and _is_after(other, one, restarts)


def _is_after(earlier: Points, later: Points, restarts: Sequence[tuple[float, float]]) -> bool:
    """Whether no value of `later` is below what `earlier` had before it."""
    times = [time for time, _ in earlier]
    for time, value in later:
        before, at = bisect_left(times, time - SAME_MOMENT), bisect_left(times, time)
        if at < len(times) and times[at] == time and earlier[at][1] != value:
            return False
        if before and earlier[before - 1][1] > value:
            since = times[before - 1]
            if not any(start < time and end > since for start, end in restarts):
                return False
    return True


def _restarts(target: _Target) -> set[tuple[float, float]]:
    """The scrapes between which a counter of the target went down."""
    found: set[tuple[float, float]] = set()
    for kind in target:
        for one in kind:
            values = [value for _, value in one.points]
            if not all(map(ge, values[1:], values)):
                found |= {
                    (was[0], now[0]) for was, now in pairwise(one.points) if not now[1] >= was[1]
                }
    return found
