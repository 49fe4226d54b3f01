"""The plan: what a service's `tidegate.yaml` says about its journey, with healthy defaults."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    Strict,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from domain.checks import HttpCheck
from domain.environments import Environment
from domain.gates import Gates
from domain.metrics.plan import MetricsPlan
from domain.probes import Probe
from domain.quantities import (
    LONGEST,
    Duration,
    OpenShare,
    PositiveDuration,
    Share,
    Whole,
    format_duration,
    format_share,
    not_shorter,
    parse_duration,
)
from domain.records import Record, digest_of
from domain.soak_plan import SoakPlan

NAME = r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$"
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
SHORTEST_WAIT = timedelta(milliseconds=1)
LARGEST_ERROR = 0.2
# pydantic would take `true` for 1.0, and 1 for `true`.
Ratio = Annotated[float, Strict(), Field(ge=1, le=1.5)]
Toggle = Annotated[bool, Strict()]


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
    if isinstance(value, Factor):
        return value
    match = re.fullmatch(r"\s*(.+?)\s*=\s*(.+?)\s*", str(value))
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

    builder: Literal["dockerfile", "assemble"] = Field(
        default="dockerfile", description="Docker Engine, or without a daemon"
    )
    base: str | None = Field(default=None, description="base image; by digest for assemble")
    dockerfile: str = Field(default="Dockerfile", description="relative to the service's path")
    include: tuple[str, ...] = Field(default=(), description="further files of the image")
    requirements: str | None = Field(
        default=None, description="pinned requirements; their wheels go into the image (assemble)"
    )
    entrypoint: tuple[str, ...] = Field(default=(), description="what the image runs (assemble)")

    @model_validator(mode="after")
    def _assemble_says_it_all(self) -> BuildPlan:
        if self.builder == "assemble" and "@sha256:" not in (self.base or ""):
            raise PydanticCustomError(
                "base_by_digest",
                "the assemble builder needs `base`, an image by digest (name@sha256:...)",
            )
        return self


class TestPlan(Record):
    """Tests that gate a release: of the code, and of a running revision through HTTP."""

    __test__ = False

    unit: str | None = Field(
        default=None,
        description="command; writes JUnit to {junit} and Cobertura coverage to {coverage}",
    )
    coverage: Share = Field(default=0.80, description="least share of lines covered")
    smoke: tuple[HttpCheck, ...] = Field(
        default=(HttpCheck(path="/health"),),
        json_schema_extra={"minItems": 1},
        description="asked before and after a shift; one at least",
    )
    critical: tuple[HttpCheck, ...] = Field(default=(), description="asked in staging")

    @field_validator("smoke")
    @classmethod
    def _somebody_asks(cls, checks: tuple[HttpCheck, ...]) -> tuple[HttpCheck, ...]:
        if not checks:
            raise PydanticCustomError(
                "smoke_empty",
                "must hold at least one check, for example [/health]; left out, it is that one",
            )
        return checks


class ScanPlan(Record):
    """What the vulnerability report must not contain."""

    block: Literal["critical", "high"] = Field(
        default="critical", description="findings of this severity and above block"
    )


class ApprovalPlan(Record):
    """Who must agree, and how long the evidence stays good."""

    quorum: Whole = Field(default=1, ge=0, le=10, description="how many different people")
    expires: PositiveDuration = Field(default=24 * HOUR, description="evidence is good so long")
    on_newer: Literal["supersede", "keep"] = Field(
        default="supersede", description="what a newer soaked bundle does to a waiting one"
    )


class CanaryPlan(Record):
    """Steps of production traffic in percent and the rules for taking each."""

    steps: tuple[Whole, ...] = Field(default=(10, 50, 100), description="percent, rising to 100")
    min_bake: PositiveDuration = Field(default=3 * MINUTE, description="shortest time of a step")
    deadline: PositiveDuration = Field(default=10 * MINUTE, description="time for a verdict")
    extensions: Whole = Field(default=3, ge=0, le=20, description="times the deadline is extended")
    min_requests: Whole = Field(default=20, ge=1, le=1_000_000, description="fewer is no traffic")
    block: PositiveDuration = Field(
        default=timedelta(seconds=10), description="one vote of the judge; not below the scrape"
    )
    on_quiet: Literal["advance", "hold", "synthetic"] = Field(
        default="advance", description="at the deadline, when nothing speaks for or against"
    )
    load: Probe | None = Field(
        default=None, description="sent to both arms as users are, with on_quiet: synthetic"
    )
    promote: Literal["any", "relative"] = Field(
        default="any", description="relative: only a comparison with stable promotes"
    )
    alpha: OpenShare = Field(
        default=0.01,
        description="good canaries rolled back at most, by the comparison and by the watch each;"
        " 20% is the largest",
    )
    beta: OpenShare = Field(
        default=0.05, description="bad canaries promoted at most by a proof; 20% is the largest"
    )
    tolerance: Ratio = Field(
        default=1.1, description="times worse than stable that is not held against the canary"
    )
    warm_up: Duration = Field(
        default=timedelta(0),
        description="first part of each step that is not judged (JVMs, caches)",
    )
    pod_votes: Toggle = Field(
        default=True, description="compare single pods where their traffic is about equal"
    )
    floors: dict[Literal["errors", "slow"], OpenShare] = Field(
        default_factory=dict, description="bad shares under which a regression is let go"
    )
    watch: PositiveDuration = Field(default=30 * MINUTE, description="after promotion")
    drain: Duration = Field(
        default=timedelta(seconds=30), description="longest wait for silence before scaling down"
    )

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

    @model_validator(mode="after")
    def _load_is_sent(self) -> CanaryPlan:
        if self.load is not None and self.on_quiet != "synthetic":
            raise PydanticCustomError(
                "load_never_sent",
                "load is sent only with on_quiet: synthetic, not {on_quiet}",
                {"on_quiet": self.on_quiet},
            )
        return self

    @model_validator(mode="after")
    def _deadline_leaves_time_to_bake(self) -> CanaryPlan:
        not_shorter("deadline", self.deadline, "min_bake", self.min_bake)
        if self.warm_up >= self.deadline:
            raise PydanticCustomError(
                "warm_up_too_long",
                "the warm_up of {warm_up} leaves nothing of the deadline ({deadline}) to judge;"
                " make it shorter",
                {
                    "warm_up": format_duration(self.warm_up),
                    "deadline": format_duration(self.deadline),
                },
            )
        return self

    @field_validator("alpha", "beta")
    @classmethod
    def _rare(cls, share: float) -> float:
        if share > LARGEST_ERROR:
            raise PydanticCustomError(
                "error_rate",
                "must be at most {largest}, not {share}: so weak a verdict decides nothing",
                {"share": format_share(share), "largest": format_share(LARGEST_ERROR)},
            )
        return share


class Limits(Record):
    """The service's limits, in every environment."""

    errors: OpenShare = Field(default=0.01, description="share of requests answered 5xx")
    p95: PositiveDuration = Field(
        default=timedelta(milliseconds=500), description="at most 5 % of requests are slower"
    )


class ServicePlan(Record):
    """The whole plan of one service: a few lines are enough, the rest has defaults."""

    path: str = Field(description="the service's folder, relative to the repository")
    port: Whole = Field(ge=1, le=65535, description="of the service")
    image: str = Field(pattern=r"^[^@\s]+$", description="repository, with or without its host")
    manifests: str = Field(description="kustomize folder; {environment} is replaced")
    container: str | None = Field(default=None, description="default: named as the service")
    build: BuildPlan = BuildPlan()
    tests: TestPlan = TestPlan()
    scan: ScanPlan = ScanPlan()
    limits: Limits = Limits()
    metrics: MetricsPlan = MetricsPlan()
    soak: SoakPlan = SoakPlan()
    approval: ApprovalPlan = ApprovalPlan()
    canary: CanaryPlan = CanaryPlan()
    gates: Gates = Gates()
    rehearsal: Rehearsal = Rehearsal()
    retain: Whole = Field(default=3, ge=1, le=50, description="retired revisions that are kept")

    @model_validator(mode="after")
    def _waits_can_be_waited(self) -> ServicePlan:
        try:
            waits = dict(self.pace)
        except OverflowError:
            waits = {"wait": timedelta.max}
        for name, wait in waits.items():
            unused = name == "warm_up" and not wait
            if not unused and not SHORTEST_WAIT <= wait <= LONGEST:
                raise PydanticCustomError(
                    "pace",
                    "the clock makes {name} last {wait}; it must be from {shortest} to {longest}",
                    {
                        "name": name.replace("_", " "),
                        "wait": format_duration(wait),
                        "shortest": format_duration(SHORTEST_WAIT),
                        "longest": format_duration(LONGEST),
                    },
                )
        return self

    def manifests_of(self, environment: Environment) -> str:
        """Folder that renders this environment's manifests, relative to the repository."""
        return self.manifests.replace("{environment}", environment)

    @property
    def digest(self) -> str:
        """Content address of what the plan says beyond the defaults.

        Words that a newer version adds leave it as it is; a default that is changed does not.
        """
        return digest_of(self.model_dump(mode="json", exclude_defaults=True))

    def has_digest(self, digest: str) -> bool:
        """Whether a digest is of this plan, as a bundle of any version has it.

        Before `digest` every word that a plan had then was hashed: those that are set when the
        stored plan is read.
        """
        every_word = digest_of(self.model_dump(mode="json", exclude_unset=True))
        return digest in (self.digest, every_word)

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
            warm_up=canary(self.canary.warm_up),
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
    warm_up: timedelta = timedelta(0)


class PlanFile(Record):
    """A repository's `tidegate.yaml`: shared defaults and one plan per service."""

    version: Literal[1] = 1
    defaults: dict[str, Any] = Field(default_factory=dict)
    services: dict[Annotated[str, Field(pattern=NAME)], ServicePlan]
