"""The answer of a source of kind http-json: a small protocol for what speaks none of the others.

Asked is `GET URL?arm=...&namespace=...&pods=a,b&from=...&until=...` (unix seconds). `from` and
`until` bound the ends of the intervals that are wanted.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import Field

from domain.metrics.measure import Measure
from domain.metrics.sums import running_sum
from domain.records import Record
from domain.samples import Arm, Series

MEASURE = Measure(
    name="http-json",
    requests="requests",
    failures="bad",
    failures_counted="within",
    latency="requests",
)


class CountedInterval(Record):
    """What one pod counted since the end of the interval before (the first: since `begins`)."""

    until: float = Field(description="end of the interval, unix seconds; ends rise")
    requests: float = Field(description="requests without probes; 0 says that the pod was quiet")
    bad: float = Field(default=0.0, description="of the requests, those answered 5xx or not at all")
    under: dict[str, float] = Field(
        default_factory=dict,
        description='of the requests, those not slower than so many seconds: {"0.5": 98}',
    )
    restarts: float = Field(default=0.0, description="starts of its containers but the first")


class CountedPod(Record):
    """One pod; without intervals nothing is known of it."""

    begins: float = Field(
        description="begin of the first interval, not before the pod was created; unix seconds"
    )
    intervals: tuple[CountedInterval, ...] = ()


class HttpJsonAnswer(Record):
    """What every asked pod counted, one interval per scrape or so."""

    version: Literal[1] = 1
    pods: dict[str, CountedPod]

    @property
    def lacks_durations(self) -> bool:
        """Whether some requests are told without how long they took."""
        intervals = (one for pod in self.pods.values() for one in pod.intervals)
        return any(one.requests > 0 and not one.under for one in intervals)


def schema() -> dict[str, object]:
    """The JSON Schema of an answer, for whoever writes such a source."""
    found = HttpJsonAnswer.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def arm_of(answer: HttpJsonAnswer, started: Mapping[str, datetime]) -> Arm:
    """The answer's counts as running sums from its begin."""
    known = {pod: one for pod, one in answer.pods.items() if one.intervals}
    series = {pod: _Sums(pod, one) for pod, one in known.items()}
    edges = {pod: sorted({e for i in one.intervals for e in i.under}) for pod, one in known.items()}
    buckets = [sums.bucket(edge) for pod, sums in series.items() for edge in edges[pod]]
    buckets += [sums.of("requests", le="+Inf") for pod, sums in series.items() if edges[pod]]
    return Arm(
        counts=tuple(sums.of("requests") for sums in series.values()),
        failures=tuple(sums.of("bad") for sums in series.values()),
        buckets=tuple(buckets),
        restarts=tuple(sums.of("restarts") for sums in series.values()),
        started=started,
        measure=MEASURE,
    )


class _Sums:
    """One pod's counts as counters."""

    def __init__(self, pod: str, told: CountedPod) -> None:
        self._pod = pod
        self._told = told
        self._ends = [one.until for one in told.intervals]

    def of(self, what: str, **labels: str) -> Series:
        counts = {one.until: float(getattr(one, what)) for one in self._told.intervals}
        return self._series(counts, labels)

    def bucket(self, edge: str) -> Series:
        counts = {one.until: one.under.get(edge, 0.0) for one in self._told.intervals}
        return self._series(counts, {"le": edge})

    def _series(self, counts: Mapping[float, float], labels: Mapping[str, str]) -> Series:
        points = running_sum(counts, self._told.begins, self._ends)
        return Series(self._pod, dict(labels), points)
