"""The times that an answer of a source of metrics may have: those about which it was asked.

A time in another unit, or none at all, would be data of another age: it is named where it enters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

# Clocks differ by less, and what was asked for is younger.
STRAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Timeframe:
    """From `first` to `last`, unix seconds; `asked` says it in words."""

    first: float
    last: float
    asked: str

    @classmethod
    def around(cls, start: datetime, end: datetime) -> Timeframe:
        """What was asked, and a day before and after it."""
        start, end = start.astimezone(UTC), end.astimezone(UTC)
        first, last = (start - STRAY).timestamp(), (end + STRAY).timestamp()
        return cls(first, last, f"{start:%Y-%m-%dT%H:%M:%SZ} to {end:%Y-%m-%dT%H:%M:%SZ}")

    def stray(self, times: Iterable[float]) -> str | None:
        """The first time (unix seconds) that is none of them, in words; NaN is none of them."""
        for time in times:
            if not self.first <= time <= self.last:
                return f"time {time:.15g}, more than a day from what was asked ({self.asked})"
        return None
