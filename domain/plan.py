"""The plan: what a service's `tidegate.yaml` says about its journey, with healthy defaults."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from domain.checks import HttpCheck
from domain.environments import Environment
from domain.quantities import Duration, PositiveDuration, Share, format_duration, parse_duration
from domain.records import Record

NAME = r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$"
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


class Factor(Record):
    """A rehearsal clock: `planned` of the plan pass in `real` of the wall clock."""

    planned: timedelta
    real: timedelta

    def scale(self, length: timedelta) -> timedelta:
        """Shorten (or lengthen) a planned wait to the real one."""
        return length * (self.real / self.planned)

    def __str__(self) -> str:
        return f"{format_duration(self.planned)} = {format_duration(self.real)}"


def _factor(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(.+?)\s*=\s*(.+?)\s*", value)
    if match is None:
        raise ValueError(f"{value!r} is not a clock; write for example 1h = 1s")
    planned, real = parse_duration(match[1]), parse_duration(match[2])
    if planned <= timedelta(0) or real <= timedelta(0):
        raise ValueError(f"both sides of a rehearsal clock must be longer than zero, not {value!r}")
    return Factor(planned=planned, real=real)


Clock = Annotated[
    Factor,
    BeforeValidator(_factor),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "examples": ["1h = 1s"]}),
]
REAL_TIME = Factor(planned=HOUR, real=HOUR)


class Rehearsal(Record):
    """Clocks that shorten waits for a demo or a test; machine timeouts are never scaled."""

    soak: Clock = REAL_TIME
    canary: Clock = REAL_TIME

    @property
    def is_real_time(self) -> bool:
        """Tell whether every planned minute is a real one."""
        return all(clock.planned == clock.real for clock in (self.soak, self.canary))


class BuildPlan(Record):
    """How an image is made from the service's folder."""

    builder: Literal["dockerfile", "assemble"] = "dockerfile"
    base: str | None = Field(default=None, description="base image, by digest for assemble")
    dockerfile: str = "Dockerfile"
    include: tuple[str, ...] = Field(default=(), description="further folders of the image")
    requirements: str | None = Field(
        default=None, description="pinned requirements; their wheels go into the image (assemble)"
    )
    entrypoint: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _assemble_needs_a_base(self) -> BuildPlan:
        if self.builder == "assemble" and "@sha256:" not in (self.base or ""):
            raise PydanticCustomError(
                "base_by_digest",
                "the assemble builder needs `base`, an image by digest (name@sha256:...)",
            )
        return self


class TestPlan(Record):
    """Tests that gate a release: of the code, and of a running revision through HTTP."""

    __test__ = False

    unit: str | None = None
    coverage: Share = 0.80
    smoke: tuple[HttpCheck, ...] = (HttpCheck(path="/health"),)
    critical: tuple[HttpCheck, ...] = ()


class ScanPlan(Record):
    """What the vulnerability report must not contain."""

    block: Literal["critical", "high"] = "critical"


class SoakPlan(Record):
    """Healthy time to be earned in staging."""

    duration: PositiveDuration = 24 * HOUR
    window: PositiveDuration = 30 * MINUTE
    on_unhealthy: Literal["pause", "reset", "credit"] = "pause"
    deadline: PositiveDuration = 72 * HOUR


class ApprovalPlan(Record):
    """Who must agree, and how long the evidence stays good."""

    quorum: int = Field(default=1, ge=0, le=10)
    expires: PositiveDuration = 24 * HOUR
    on_newer: Literal["supersede", "keep"] = "supersede"


class CanaryPlan(Record):
    """Steps of production traffic in percent and the rules for taking each."""

    steps: tuple[int, ...] = (10, 50, 100)
    min_bake: PositiveDuration = 3 * MINUTE
    deadline: PositiveDuration = 10 * MINUTE
    extensions: int = Field(default=3, ge=0, le=20)
    min_requests: int = Field(default=20, ge=1)
    block: PositiveDuration = timedelta(seconds=10)
    on_quiet: Literal["advance", "hold", "synthetic"] = "advance"
    promote: Literal["any", "relative"] = "any"
    watch: PositiveDuration = 30 * MINUTE
    drain: Duration = timedelta(seconds=30)

    @model_validator(mode="after")
    def _steps_rise_to_100(self) -> CanaryPlan:
        rising = all(a < b for a, b in zip((0, *self.steps), self.steps, strict=False))
        if not self.steps or not rising or self.steps[-1] != 100:
            raise PydanticCustomError(
                "steps_rise",
                "steps must rise from above 0 to 100, for example [10, 50, 100], not {steps}",
                {"steps": str(list(self.steps))},
            )
        return self


class Limits(Record):
    """The service's limits, in every environment."""

    errors: Share = 0.01
    p95: PositiveDuration = timedelta(milliseconds=500)


class ServicePlan(Record):
    """The whole plan of one service: six lines are enough, the rest has defaults."""

    path: str
    port: int = Field(ge=1, le=65535)
    image: str = Field(pattern=r"^[^@\s]+$")
    manifests: str = Field(description="kustomize folder; {environment} is replaced")
    container: str | None = None
    build: BuildPlan = BuildPlan()
    tests: TestPlan = TestPlan()
    scan: ScanPlan = ScanPlan()
    limits: Limits = Limits()
    soak: SoakPlan = SoakPlan()
    approval: ApprovalPlan = ApprovalPlan()
    canary: CanaryPlan = CanaryPlan()
    rehearsal: Rehearsal = Rehearsal()
    retain: int = Field(default=3, ge=1, le=50)

    def manifests_of(self, environment: Environment) -> str:
        """Folder that renders this environment's manifests, relative to the repository."""
        return self.manifests.replace("{environment}", environment)

    @property
    def pace(self) -> Pace:
        """Real waits: the plan's durations through its rehearsal clocks."""
        soak, canary = self.rehearsal.soak.scale, self.rehearsal.canary.scale
        return Pace(
            soak=soak(self.soak.duration),
            soak_window=soak(self.soak.window),
            soak_deadline=soak(self.soak.deadline),
            min_bake=canary(self.canary.min_bake),
            step_deadline=canary(self.canary.deadline),
            block=canary(self.canary.block),
            watch=canary(self.canary.watch),
        )


class Pace(Record):
    """The waits of one release as they really pass."""

    soak: timedelta
    soak_window: timedelta
    soak_deadline: timedelta
    min_bake: timedelta
    step_deadline: timedelta
    block: timedelta
    watch: timedelta


class PlanFile(Record):
    """A repository's `tidegate.yaml`: shared defaults and one plan per service."""

    version: Literal[1] = 1
    defaults: dict[str, Any] = Field(default_factory=dict)
    services: dict[Annotated[str, Field(pattern=NAME)], ServicePlan]
