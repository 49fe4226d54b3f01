"""The port behind which every source of metrics stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from domain.metrics.measure import Measure
from domain.samples import Arm, Span
from domain.scrapes import Series


@dataclass(frozen=True, slots=True)
class Asked:
    """One arm's counters over the span's window.

    `arm` is the revision, and so the name of its Service; `pods` are its pods in Kubernetes with
    their times of creation, never none.
    """

    arm: str
    namespace: str
    pods: Mapping[str, datetime]
    measure: Measure
    span: Span


class MetricSource(Protocol):
    """Anything that tells what pods counted.

    Every method raises TransientFailure when the source cannot be reached, is overloaded or too
    slow, and PermanentFailure when it refuses or its answer is not what its protocol says.
    """

    @property
    def said(self) -> str:
        """The source in messages: its kind and address."""

    @property
    def lag(self) -> timedelta:
        """How long after it happened something may still be missing from its answers."""

    async def arm(self, asked: Asked) -> Arm:
        """The arm's series, as counters that rise; PermanentFailure also for too many series."""

    async def problem(self) -> str | None:
        """Why it does not answer at all with the credentials it was given; None: it does."""

    async def close(self) -> None:
        """Close the connections."""


@dataclass(frozen=True, slots=True)
class Survey:
    """Where else a source has the metric: other pods of the namespace, namesakes elsewhere."""

    pods: frozenset[str] = frozenset()
    elsewhere: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class Surveyed(Protocol):
    """A source that can be asked about pods that are no arm's."""

    async def survey(self, asked: Asked) -> Survey:
        """Which pods of the namespace have what counts requests, and which of `asked.pods` have
        it under another namespace: the namespace by pod. Raises as `MetricSource.arm` does."""


@runtime_checkable
class Proxied(Protocol):
    """A source that can be asked about proxies which have no series of an arm."""

    async def proxies(self, asked: Asked) -> tuple[Series, ...]:
        """1 at each scrape of every proxy that counts some Service of the namespace by the asked
        convention: it would show the arm's, if anybody had asked it. Raises as
        `MetricSource.arm` does."""
