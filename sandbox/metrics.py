"""Series of samples in memory: the traffic's counters are scraped into it, Prometheus reads it."""

from __future__ import annotations

import math
import re
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

Labels = tuple[tuple[str, str], ...]
Sample = tuple[int, float]

LOOKBACK_MS = 5 * 60 * 1000
FORGET_AFTER_MS = 15 * 60 * 1000
KEPT_SAMPLES = 4096
TRIMMED_AT = KEPT_SAMPLES * 3 // 2
# Nothing that is scraped here is ever NaN, so a stored NaN can only be the marker.
STALE = math.nan


def labels_of(**pairs: str) -> Labels:
    """Label pairs in the one order in which they name a series."""
    return tuple(sorted(pairs.items()))


@dataclass(frozen=True)
class Matcher:
    """`label operator value` with the operators = != =~ !~; a missing label is the empty string."""

    label: str
    operator: str
    value: str

    def accepts(self, value: str) -> bool:
        """True when a label of this value passes; expressions are anchored at both ends."""
        if self.operator in ("=", "!="):
            equal = value == self.value
        else:
            equal = re.fullmatch(self.value, value) is not None
        return equal == (self.operator in ("=", "=~"))


class Series:
    """The newest samples of one set of labels; times in ms since 1970, rising."""

    def __init__(self, labels: Labels) -> None:
        self.labels = dict(labels)
        self._times = array("q")
        self._values = array("d")

    @property
    def last_time(self) -> int:
        """When the newest sample was taken."""
        return self._times[-1] if self._times else 0

    def append(self, time_ms: int, value: float) -> None:
        """Add a sample; one that is not newer than the last is dropped, as Prometheus does."""
        if self._times and time_ms <= self._times[-1]:
            return
        self._times.append(time_ms)
        self._values.append(value)
        if len(self._times) > TRIMMED_AT:
            del self._times[:-KEPT_SAMPLES]
            del self._values[:-KEPT_SAMPLES]

    def at(self, time_ms: int) -> float | None:
        """The value that holds at a time: the last within 5 min, none once it went stale."""
        position = bisect_right(self._times, time_ms) - 1
        if position < 0 or self._times[position] <= time_ms - LOOKBACK_MS:
            return None
        value = self._values[position]
        return None if math.isnan(value) else value

    def between(self, after_ms: int, until_ms: int) -> list[Sample]:
        """Samples with after < time <= until, without the markers."""
        first, end = bisect_right(self._times, after_ms), bisect_right(self._times, until_ms)
        return [
            (time, value)
            for time, value in zip(self._times[first:end], self._values[first:end], strict=True)
            if not math.isnan(value)
        ]

    def overlaps(self, start_ms: int, end_ms: int) -> bool:
        """True when any sample lies in [start, end]."""
        return bisect_right(self._times, end_ms) > bisect_right(self._times, start_ms - 1)


class SeriesStore:
    """All series of one Prometheus, found by metric name and matchers."""

    def __init__(self) -> None:
        self._by_name: dict[str, dict[Labels, Series]] = {}

    def series(self, labels: Labels) -> Series:
        """The series of these labels, made when it is new; `__name__` is one of them."""
        name = next((value for label, value in labels if label == "__name__"), "")
        of_name = self._by_name.setdefault(name, {})
        found = of_name.get(labels)
        if found is None:
            found = of_name[labels] = Series(labels)
        return found

    def select(self, matchers: Iterable[Matcher]) -> list[Series]:
        """Series that all matchers accept."""
        wanted = list(matchers)
        return [
            series
            for series in self._candidates(wanted)
            if all(one.accepts(series.labels.get(one.label, "")) for one in wanted)
        ]

    def forget_before(self, time_ms: int) -> None:
        """Drop the series that got no sample since `time_ms`."""
        for of_name in self._by_name.values():
            for labels in [key for key, one in of_name.items() if one.last_time < time_ms]:
                del of_name[labels]

    def _candidates(self, matchers: list[Matcher]) -> Iterator[Series]:
        named = [m.value for m in matchers if m.label == "__name__" and m.operator == "="]
        for name in named[:1] or list(self._by_name):
            yield from self._by_name.get(name, {}).values()


@dataclass(frozen=True)
class Target:
    """Something that is scraped: its labels are on all its series."""

    labels: Labels
    url: str


@dataclass(frozen=True)
class Scrape:
    """What one target answered: not `up` means no samples; keys carry the target's labels."""

    target: Target
    up: bool
    samples: list[tuple[Labels, float]]


class Scraper:
    """Takes scrapes into a store: `up` per target, stale markers for what is gone."""

    def __init__(self, store: SeriesStore) -> None:
        self.store = store
        self.last: dict[Target, tuple[int, bool]] = {}
        self._series_of: dict[Target, dict[Labels, Series]] = {}

    def take(self, time_ms: int, scrapes: list[Scrape]) -> None:
        """Store one round of all targets that exist; the ones not in it have vanished."""
        for scrape in scrapes:
            self._store(time_ms, scrape)
        for target in self.last.keys() - {scrape.target for scrape in scrapes}:
            self._vanish(time_ms, target)
        self.store.forget_before(time_ms - FORGET_AFTER_MS)

    def _store(self, time_ms: int, scrape: Scrape) -> None:
        known = self._series_of.setdefault(scrape.target, {})
        seen = 0
        for labels, value in scrape.samples:
            series = known.get(labels)
            if series is None:
                series = known[labels] = self.store.series(labels)
            series.append(time_ms, value)
            seen += 1
        if seen < len(known):
            present = {labels for labels, _ in scrape.samples}
            for labels in [one for one in known if one not in present]:
                known.pop(labels).append(time_ms, STALE)
        self._up(scrape.target).append(time_ms, float(scrape.up))
        self.last[scrape.target] = (time_ms, scrape.up)

    def _vanish(self, time_ms: int, target: Target) -> None:
        for series in self._series_of.pop(target, {}).values():
            series.append(time_ms, STALE)
        self._up(target).append(time_ms, STALE)
        del self.last[target]

    def _up(self, target: Target) -> Series:
        return self.store.series(labels_of(__name__="up", **dict(target.labels)))
