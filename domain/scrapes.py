"""Raw counters of pods, read carefully: when they were scraped, and what is broken in them.

A value that is no count, and series that are there twice, spoil the blocks they touch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import lt

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

    def between(self, pod: str, what: str, start: float, end: float) -> None:
        """A pod's counters of the scrapes in `[start, end]` cannot be used; told once."""
        fault = Broken(pod, "every series", what, moment(end))
        if fault not in self.named:
            self.named.append(fault)
            self.stretches.append((start, end, fault))

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
    """Whether a counter can have it: not negative, not NaN, and still counted one by one."""
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


def moment(seconds: float) -> datetime:
    """Unix seconds as a time; PermanentFailure for what is none (NaN, another unit)."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise PermanentFailure(
            f"{seconds:g} is no time in unix seconds; correct the times that the source tells"
        ) from error
