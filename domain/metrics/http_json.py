"""The answer of a source of kind http-json: a small protocol for what speaks none of the others.

Asked is `GET URL?arm=...&namespace=...&pods=a,b&from=...&until=...` (unix seconds). `from` and
`until` bound the ends of the intervals that are wanted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    FiniteFloat,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    field_validator,
)

from domain.metrics.measure import Measure
from domain.metrics.sums import running_sum
from domain.metrics.timeframe import Timeframe
from domain.records import Record
from domain.samples import Arm, Series
from domain.scrapes import LARGEST_COUNT

MEASURE = Measure(
    name="http-json",
    requests="requests",
    failures="bad",
    failures_counted="within",
    latency="requests",
)


def _edge(text: str) -> str:
    """One way to write each edge; ValueError for what is none."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ValueError(f"{text[:20]!r} is no number of seconds above 0")
    return f"{seconds:.15g}"


Count = Annotated[int, Field(ge=0, le=int(LARGEST_COUNT))]
Edge = Annotated[
    str,
    AfterValidator(_edge),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]*\.?[0-9]+([eE][+-]?[0-9]+)?$"}),
]


class CountedInterval(Record):
    """What one pod counted since the end of the interval before (the first: since `begins`)."""

    until: FiniteFloat = Field(description="end of the interval, unix seconds; ends rise")
    requests: Count = Field(description="requests without probes; 0 says that the pod was quiet")
    bad: Count = Field(default=0, description="of the requests, those answered 5xx or not at all")
    under: dict[Edge, Count] = Field(
        default_factory=dict,
        description='of the requests, those not slower than so many seconds: {"0.5": 98}',
    )
    restarts: Count = Field(default=0, description="starts of its containers but the first")

    @field_validator("under", mode="wrap")
    @classmethod
    def _each_edge_once(cls, told: Any, handler: ValidatorFunctionWrapHandler) -> dict[str, int]:
        found: dict[str, int] = handler(told)
        if len(found) < len(told):
            raise ValueError("an edge is told twice, written in two ways")
        return found


class CountedPod(Record):
    """One pod; without intervals nothing is known of it."""

    begins: FiniteFloat = Field(
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


def stray_in(answer: HttpJsonAnswer, frame: Timeframe) -> tuple[str, str] | None:
    """The first time that cannot be meant, and where it stands.

    What begins may have begun long before, ends were asked for.
    """
    for pod, told in answer.pods.items():
        if told.begins > frame.last and (stray := frame.stray([told.begins])):
            return stray, f"begins of pod {pod}"
        if stray := frame.stray([one.until for one in told.intervals]):
            return stray, f"until of an interval of pod {pod}"
    return None


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
