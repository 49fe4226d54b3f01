"""What a plan says about its soak: how long, in which windows, and who asks when nobody does."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from domain.probes import Probe
from domain.quantities import PositiveDuration, Whole, not_shorter
from domain.records import Record

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
# As many as make a canary's step one with traffic.
PROBED_REQUESTS = 20
# Well within what one attempt of a poll may last.
SENDING_SECONDS = 30


class SoakPlan(Record):
    """Healthy time to be earned in staging."""

    duration: PositiveDuration = Field(default=24 * HOUR, description="healthy time to be earned")
    window: PositiveDuration = Field(default=30 * MINUTE, description="looked at as a whole")
    on_unhealthy: Literal["pause", "reset", "credit"] = Field(
        default="pause", description="an unhealthy window counts nothing, everything, or negative"
    )
    deadline: PositiveDuration = Field(default=72 * HOUR, description="give up after so long")
    min_requests: Whole | None = Field(
        default=None,
        ge=0,
        le=1_000_000,
        description="a window with fewer earns nothing; default 0, with a probe 20",
    )
    probe: Probe | None = Field(
        default=None, description="sent until a quiet window has min_requests"
    )

    @model_validator(mode="after")
    def _can_be_earned(self) -> SoakPlan:
        not_shorter("deadline", self.deadline, "duration", self.duration)
        return self

    @model_validator(mode="after")
    def _probe_has_an_aim(self) -> SoakPlan:
        if self.probe is not None and self.min_requests == 0:
            raise PydanticCustomError(
                "probe_without_aim",
                "with min_requests: 0 the probe is never sent; raise min_requests or leave it out",
            )
        if self.probe is not None and self.least_requests > SENDING_SECONDS * self.probe.rate:
            raise PydanticCustomError(
                "probe_too_slow",
                "at {rate} requests per second the probe sends {most} in the {seconds} s that it "
                "has, min_requests is {least}; raise its rate or lower min_requests",
                {
                    "rate": f"{self.probe.rate:g}",
                    "most": int(SENDING_SECONDS * self.probe.rate),
                    "seconds": SENDING_SECONDS,
                    "least": self.least_requests,
                },
            )
        return self

    @property
    def least_requests(self) -> int:
        """Requests that a window needs to count as healthy."""
        if self.min_requests is not None:
            return self.min_requests
        return PROBED_REQUESTS if self.probe else 0
