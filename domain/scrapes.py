"""Raw counters of pods, read carefully: differences between scrapes, and what is broken in them.

A process that began anew, a new error code of a known pod and a pod born in the step all count
from 0; a value that is no count spoils the blocks it touches.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from operator import gt, lt

from domain.errors import PermanentFailure

# Labels that tell who scraped, not what was counted: equal but for these is counted twice.
SCRAPER_LABELS = frozenset(
    {
        *("__name__", "job", "endpoint", "service", "prometheus"),
        # Of pairs of Prometheus, where what answers for both does not deduplicate.
        *("prometheus_replica", "replica", "__replica__"),
    }
)
TIMING_SLACK = 1e-6
# Who was scraped (job and instance), and when: per pod.
Target = tuple[str, str]
Times = Mapping[str, Mapping[Target, list[float]]]
# Beyond it a float no longer counts one by one.
LARGEST_COUNT = 2.0**53


@dataclass(frozen=True, slots=True)
class Series:
    """One counter of one pod: labels and (unix seconds, value) per scrape, oldest first."""

    pod: str
    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Broken:
    """Data that cannot be used: the block it belongs to is left out, in both arms."""

    pod: str
    series: str
    what: str
    at: datetime

    def __str__(self) -> str:
        of_pod = f" of pod {self.pod}" if self.pod else ""
        return f"{self.series}{of_pod} at {self.at.isoformat()}: {self.what}"


class Faults:
    """What was broken, and the stretches of time whose blocks are therefore left out."""

    def __init__(self) -> None:
        self.named: list[Broken] = []
        self.stretches: list[tuple[float, float, Broken]] = []

    def at(self, series: Series, what: str, time: float) -> None:
        """One scrape is broken."""
        fault = _broken(series, what, time)
        self.named.append(fault)
        self.stretches.append((time, time, fault))

    def throughout(self, series: Series, what: str) -> None:
        """The whole series is broken."""
        self.everything(_broken(series, what, series.points[-1][0]))

    def doubt(self, pod: str, what: str, time: float) -> None:
        """Something to be told; the blocks are kept."""
        self.named.append(Broken(pod, "every series", what, moment(time)))

    def everything(self, fault: Broken) -> None:
        """No block of this window can be trusted."""
        self.named.append(fault)
        self.stretches.append((-math.inf, math.inf, fault))

    def spoiling(self, start: float, end: float) -> Broken | None:
        """Why a block over `(start, end]` must be left out, by the latest; None: it need not."""
        found = [fault for first, last, fault in self.stretches if first <= end and last > start]
        return max(found, key=lambda fault: fault.at, default=None)


def by_pod(
    series: Iterable[Series], faults: Faults, ignored: frozenset[str] = SCRAPER_LABELS
) -> Iterator[tuple[str, list[Series]]]:
    """The sound series of each pod; what is broken is named."""
    pods: dict[str, list[Series]] = {}
    identities: set[tuple[str, frozenset[tuple[str, str]]]] = set()
    for item in series:
        if not item.points:
            continue
        labels = frozenset([pair for pair in item.labels.items() if pair[0] not in ignored])
        if (item.pod, labels) in identities:
            faults.throughout(item, "the same series twice: two jobs or replicas scrape it")
            continue
        identities.add((item.pod, labels))
        times, values = zip(*item.points, strict=True)
        if not _rise(times):
            faults.throughout(item, "scrapes are repeated or out of order")
            continue
        # min and max overlook NaN, a sum does not.
        if not (min(values) >= 0 and sum(values) <= LARGEST_COUNT):
            for time, value in item.points:
                if not is_count(value):
                    faults.at(item, f"value {value:g} is not a count", time)
        pods.setdefault(item.pod, []).append(item)
    yield from pods.items()


def _rise(times: tuple[float, ...]) -> bool:
    return all(map(lt, times, times[1:]))


def is_count(value: float) -> bool:
    """Whether a counter can have this value; NaN is in no range."""
    return 0 <= value <= LARGEST_COUNT


def _broken(series: Series, what: str, time: float) -> Broken:
    labels = ", ".join(f'{name}="{value}"' for name, value in sorted(series.labels.items()))
    return Broken(series.pod, "{" + labels + "}", what, moment(time))


def target_of(series: Series) -> Target:
    return series.labels.get("job", ""), series.labels.get("instance", "")


def scrape_times(series: Iterable[Series], up: Iterable[Series]) -> Times:
    """When each pod was scraped, by target: where its series have points, or `up` is 1.

    Of a pod that has series only their targets count: another of its ports is scraped by another
    clock, and says nothing of when these counters were still absent.
    """
    found: dict[str, dict[Target, set[float]]] = {}
    for item in series:
        times = found.setdefault(item.pod, {}).setdefault(target_of(item), set())
        times.update([time for time, _ in item.points])
    counted = {pod: set(targets) for pod, targets in found.items()}
    for item in up:
        own, target = counted.get(item.pod), target_of(item)
        if own is None or target in own:
            times = found.setdefault(item.pod, {}).setdefault(target, set())
            times.update([time for time, value in item.points if value == 1])
    return {
        pod: {target: sorted(times) for target, times in targets.items()}
        for pod, targets in found.items()
    }


def differences(
    members: list[Series],
    targets: Mapping[Target, list[float]],
    born: float | None,
    between: tuple[datetime, datetime],
) -> Iterator[tuple[Series, float, float]]:
    """(series, scrape time, growth) per scrape of one pod, from the weight change on.

    `targets`: when what exposes its series was scraped; `between`: when the weight changed, and
    until when all is counted already.
    """
    resets = sorted(_resets(members))
    change, counted = (moment.timestamp() - TIMING_SLACK for moment in between)
    for item in members:
        first = bisect_left(item.points, (counted,))
        if first > 0:
            before = item.points[first - 1]
            previous = before if is_count(before[1]) else None
        else:
            previous = _base(targets.get(target_of(item), []), item.points[0][0], born)
        for time, value in item.points[first:]:
            if not is_count(value):
                previous = None
                continue
            if previous is not None and previous[0] >= change:
                # One counter that went down means the process began anew: all began at 0.
                anew = any(previous[0] < reset <= time for reset in resets)
                yield item, time, value if anew else value - previous[1]
            previous = (time, value)


def _resets(members: list[Series]) -> set[float]:
    found: set[float] = set()
    for item in members:
        values = [value for _, value in item.points]
        if not any(map(gt, values, values[1:])):
            continue
        for (_, before), (time, value) in pairwise(item.points):
            if 0 <= value < before:
                found.add(time)
    return found


def _base(times: list[float], first: float, born: float | None) -> tuple[float, float] | None:
    """Where a series was 0: at the pod's scrape before its first, or when the pod was born."""
    index = bisect_left(times, first)
    if index > 0:
        return times[index - 1], 0.0
    return (born, 0.0) if born is not None else None


def moment(seconds: float) -> datetime:
    """Unix seconds as a time; PermanentFailure for what is none (NaN, another unit)."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise PermanentFailure(
            f"{seconds:g} is no time in unix seconds; correct the times that the source tells"
        ) from error
