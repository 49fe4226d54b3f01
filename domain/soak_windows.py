"""The windows of a soak as they are kept with its sums: what each found, counted, and earned.

They are kept in the workflow's state and in the evidence itself, so that who signs the evidence
signs them too, and no registry is needed for a soak to go on. A window takes about 130 bytes; a
soak of more than MOST_STRETCHES windows joins neighbours that found the same, the shortest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from domain.judge.counts import Block, Count, Counts
from domain.records import Record

# As many half hours as make six days: the longest usual soak keeps each of its windows.
MOST_STRETCHES = 300
LONGEST_SENTENCE = 240
NOTHING = timedelta(0)


class Finding(StrEnum):
    """What a window found; `limits`: by its counts. The last three do not say why."""

    HEALTHY = "healthy"
    LIMITS = "limits"
    PODS = "pods"
    PROBE = "probe"
    QUIET = "quiet"
    SILENT = "silent"
    DRIFT = "drift"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"
    MIXED = "mixed"


UNHEALTHY = frozenset({Finding.LIMITS, Finding.PODS, Finding.PROBE, Finding.UNHEALTHY})
NOT_KNOWN = frozenset({Finding.QUIET, Finding.SILENT, Finding.UNKNOWN})


class Counted(NamedTuple):
    """Requests (or scrapes of pods) and how many of them were bad; two numbers in JSON."""

    requests: Count
    bad: Count


class Brief(Record):
    """A record of which there are many: what says nothing is not written."""

    @model_serializer(mode="wrap")
    def _briefly(self, full: SerializerFunctionWrapHandler) -> dict[str, Any]:
        told: dict[str, Any] = full(self)
        for name, field in type(self).model_fields.items():
            if getattr(self, name) == field.get_default(call_default_factory=True):
                del told[name]
        return told


class SoakStretch(Brief):
    """One window, or neighbours that were joined; `earned` is the soak's sum at its end.

    `known` is the time of which scrapes tell, `unknown` what a healthy window did not earn for
    want of them. `counts` are by metric, empty where the window was not decided by counts.
    """

    since: datetime
    length: timedelta
    finding: Finding
    earned: timedelta
    unknown: timedelta = NOTHING
    known: timedelta | None = None
    counts: dict[str, Counted] = Field(default_factory=dict)
    sentence: str = ""
    windows: int = 1

    @property
    def end(self) -> datetime:
        """When it ended."""
        return self.since + self.length


def counted(blocks: Iterable[Block]) -> dict[str, Counted]:
    """What the revision's pods counted in these blocks, by metric."""
    total: dict[str, Counts] = {}
    for block in blocks:
        for metric, counts in block.counts.items():
            total[metric] = total.get(metric, Counts()) + counts
    return {name: Counted(one.canary_requests, one.canary_bad) for name, one in total.items()}


def kept(stretches: Sequence[SoakStretch], most: int = MOST_STRETCHES) -> tuple[SoakStretch, ...]:
    """At most so many: neighbours that found the same are joined, unlike ones when none are left.

    What was joined still answers how an unhealthy window should count, since sums of like
    windows are exact for that; it does not answer other limits.
    """
    left = list(stretches)
    while len(left) > most:
        at = min(range(len(left) - 1), key=lambda i: _cost(left[i], left[i + 1]))
        left[at : at + 2] = [_joined(left[at], left[at + 1])]
    return tuple(left)


def _cost(one: SoakStretch, other: SoakStretch) -> tuple[bool, timedelta]:
    return one.finding is not other.finding, other.end - one.since


def _joined(one: SoakStretch, other: SoakStretch) -> SoakStretch:
    alike = one.finding is other.finding
    return SoakStretch(
        since=one.since,
        length=one.length + other.length,
        finding=one.finding if alike else Finding.MIXED,
        earned=other.earned,
        unknown=one.unknown + other.unknown,
        sentence=other.sentence or one.sentence,
        windows=one.windows + other.windows,
    )
