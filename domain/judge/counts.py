"""What the judge looks at: counts per arm over one block of time; `domain.samples` makes them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    model_validator,
)

ArmName = Literal["canary", "stable"]
# Beyond this a float counts no single request any more, and no source has counted so many.
MOST = 2**53
Count = Annotated[int, Field(ge=0, le=MOST)]


class Counts(BaseModel):
    """Events and bad events of both arms; for requests `bad` never exceeds `requests`."""

    model_config = ConfigDict(frozen=True)

    canary_requests: Count = 0
    canary_bad: Count = 0
    stable_requests: Count = 0
    stable_bad: Count = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            canary_requests=min(self.canary_requests + other.canary_requests, MOST),
            canary_bad=min(self.canary_bad + other.canary_bad, MOST),
            stable_requests=min(self.stable_requests + other.stable_requests, MOST),
            stable_bad=min(self.stable_bad + other.stable_bad, MOST),
        )

    @property
    def bad(self) -> int:
        """Bad events of both arms together."""
        return self.canary_bad + self.stable_bad

    @property
    def canary_rate(self) -> float:
        """Share of the canary's requests that were bad; 0 without requests."""
        return self.canary_bad / self.canary_requests if self.canary_requests else 0.0

    @property
    def stable_rate(self) -> float:
        """Share of stable's requests that were bad; 0 without requests."""
        return self.stable_bad / self.stable_requests if self.stable_requests else 0.0


class Histogram(BaseModel):
    """Requests slower than each of the edges (seconds) that both arms' buckets have.

    The edge of the plan's limit is not among them: its count is that of the metric.
    """

    model_config = ConfigDict(frozen=True)

    edges: tuple[FiniteFloat, ...]
    canary_above: tuple[Count, ...]
    stable_above: tuple[Count, ...]

    @model_validator(mode="after")
    def _one_count_per_edge(self) -> Self:
        sizes = {len(self.edges), len(self.canary_above), len(self.stable_above)}
        if len(sizes) > 1 or len(set(self.edges)) < len(self.edges):
            raise ValueError(f"a histogram needs one count of each arm for each of {self.edges}")
        return self


class Pods(BaseModel):
    """What single pods counted: the canary's one by one, of stable's how many and their traffic.

    `canary_bad` is per metric, in the order of `canary_requests`; `stable_least` and
    `stable_most` are requests of one pod.
    """

    model_config = ConfigDict(frozen=True)

    canary_requests: tuple[Count, ...]
    canary_bad: dict[str, tuple[Count, ...]]
    stable_pods: Count
    stable_least: Count
    stable_most: Count

    @model_validator(mode="after")
    def _one_count_per_pod(self) -> Self:
        for metric, bad in self.canary_bad.items():
            if len(bad) != len(self.canary_requests):
                pods = len(self.canary_requests)
                raise ValueError(f"{metric} of {len(bad)} canary pods, requests of {pods}")
        return self


class Block(BaseModel):
    """Counts per metric over `(start, end]`; a metric that is absent had no data in it.

    `histograms` and `pods` tell more of the same time, where the source has it. `dark` are, per
    metric, the arms of which nothing was scraped in it: their counts are not 0 but unknown.
    `spoiled` is why nothing of the block can be used.
    """

    model_config = ConfigDict(frozen=True)

    start: AwareDatetime
    end: AwareDatetime
    counts: dict[str, Counts] = Field(default_factory=dict)
    histograms: dict[str, Histogram] = Field(default_factory=dict)
    pods: Pods | None = None
    dark: dict[str, tuple[ArmName, ...]] = Field(default_factory=dict)
    spoiled: str = ""

    @model_validator(mode="after")
    def _spans_time(self) -> Self:
        if self.end <= self.start:
            raise ValueError(f"block ends at {self.end}, not after its start {self.start}")
        if self.spoiled and self.counts:
            raise ValueError(f"block {self.named()} is spoiled and has counts")
        return self

    def named(self) -> str:
        """The block's interval for messages, to the millisecond."""
        return f"{_clock(self.start)}..{_clock(self.end)}"


def _clock(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
