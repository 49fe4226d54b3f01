"""The organisation's policy: floors that a plan may only tighten, and who may do what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from domain.gates import Gates
from domain.plan import HOUR, MINUTE, CanaryPlan, Ratio, ServicePlan
from domain.quantities import (
    Duration,
    OpenShare,
    PositiveDuration,
    Share,
    Whole,
    format_duration,
    format_share,
)
from domain.records import Record


class Role(StrEnum):
    """What a person may decide."""

    APPROVER = "approver"
    OPERATOR = "operator"
    RELEASE_MANAGER = "release-manager"


class Person(Record):
    """Somebody the organisation knows: principal, e-mail addresses, keys, roles."""

    principal: str = Field(min_length=1)
    emails: tuple[str, ...] = ()
    keys: tuple[str, ...] = Field(default=(), description="OpenSSH public keys")
    roles: tuple[Role, ...] = ()
    slack: str | None = None


class Floors(Record):
    """The loosest plan that the organisation accepts."""

    soak: PositiveDuration = 24 * HOUR
    soak_window: PositiveDuration = Field(default=30 * MINUTE, description="longest window")
    quorum: Whole = Field(default=1, ge=0)
    first_step: Whole = Field(
        default=10, ge=1, le=100, description="largest first step, in percent"
    )
    steps: Whole = Field(default=3, ge=1, description="fewest steps")
    min_bake: PositiveDuration = 3 * MINUTE
    deadline: PositiveDuration = Field(
        default=10 * MINUTE, description="shortest time for a step's verdict"
    )
    min_requests: Whole = Field(default=20, ge=1, description="fewer may not be called traffic")
    watch: PositiveDuration = 30 * MINUTE
    alpha: OpenShare = Field(
        default=0.01, description="smallest alpha: a smaller one rolls bad canaries back later"
    )
    beta: OpenShare = Field(default=0.05, description="largest share of bad canaries promoted")
    tolerance: Ratio = Field(default=1.1, description="most that is not held against a canary")
    warm_up: Duration = Field(default=5 * MINUTE, description="longest time not judged in a step")
    ignored: OpenShare = Field(default=0.001, description="largest of a plan's canary.floors")
    coverage: Share = 0.80
    errors: OpenShare = 0.01
    p95: PositiveDuration = timedelta(milliseconds=500)
    scan: Literal["critical", "high"] = "critical"
    approval_expires: PositiveDuration = 24 * HOUR
    gates: Gates = Field(default=Gates(), description="the weakest mode of each gate")


class Policy(Record):
    """One version of the policy file; its version is the commit it was read at."""

    version: Literal[1] = 1
    rehearsal: bool = False
    floors: Floors = Floors()
    defaults: dict[str, Any] = Field(default_factory=dict)
    people: tuple[Person, ...] = ()

    @model_validator(mode="after")
    def _nobody_twice(self) -> Policy:
        for what in ("principal", "emails", "keys"):
            seen: set[str] = set()
            for person in self.people:
                own = getattr(person, what)
                for value in (own,) if isinstance(own, str) else own:
                    if _same(what, value) in seen:
                        raise PydanticCustomError(
                            "unique_people",
                            "{what} {value} belongs to two people",
                            {"what": what.rstrip("s"), "value": value},
                        )
                    seen.add(_same(what, value))
        return self

    def person(self, principal: str) -> Person | None:
        """Find somebody by principal."""
        return next((person for person in self.people if person.principal == principal), None)

    def holders(self, role: Role) -> tuple[Person, ...]:
        """Everybody who has a role."""
        return tuple(person for person in self.people if role in person.roles)

    def principal_of(self, email: str) -> str | None:
        """Whose e-mail address this is, compared without case."""
        wanted = email.lower()
        return next(
            (p.principal for p in self.people if wanted in (e.lower() for e in p.emails)), None
        )

    def unknown(self, emails: Iterable[str]) -> tuple[str, ...]:
        """The addresses that belong to nobody here: whose work it is, nobody can tell."""
        return tuple(email for email in emails if self.principal_of(email) is None)


def _same(what: str, value: str) -> str:
    """An address counts in any case, a key without its comment."""
    if what == "keys":
        return " ".join(value.split()[:2])
    return value.lower() if what == "emails" else value


class Violation(NamedTuple):
    """One place where a plan is looser than the policy; `where` is the path inside the plan."""

    where: tuple[str, ...]
    what: str


SCAN_STRICTNESS = {"critical": 0, "high": 1}


def violations(plan: ServicePlan, policy: Policy) -> Iterator[Violation]:
    """Every floor the plan falls below, in the plan's order; empty means it may be released."""
    floors = policy.floors
    if not plan.rehearsal.is_real_time and not policy.rehearsal:
        yield Violation(
            ("rehearsal",), "a rehearsal clock shortens waits, and the policy says rehearsal: false"
        )
    yield from _durations(plan, floors)
    yield from _tests(plan, floors)
    if plan.limits.errors > floors.errors:
        yield _above(("limits", "errors"), plan.limits.errors, floors.errors, format_share)
    if SCAN_STRICTNESS[plan.scan.block] < SCAN_STRICTNESS[floors.scan]:
        yield Violation(("scan", "block"), f"must be {floors.scan} by the policy")
    if plan.approval.quorum < floors.quorum:
        yield _below(("approval", "quorum"), plan.approval.quorum, floors.quorum, str)
    yield from _canary(plan.canary, floors)
    for gate in plan.gates.weaker_than(floors.gates):
        mode, weakest = plan.gates.mode_of(gate), floors.gates.mode_of(gate)
        yield Violation(("gates", gate), f"{mode} is weaker than the policy's {weakest}")


def _tests(plan: ServicePlan, floors: Floors) -> Iterator[Violation]:
    if plan.tests.coverage < floors.coverage:
        yield _below(("tests", "coverage"), plan.tests.coverage, floors.coverage, format_share)
    if plan.tests.unit is None and floors.coverage > 0:
        yield Violation(
            ("tests", "unit"),
            f"is missing: the policy's floor of {format_share(floors.coverage)} coverage needs "
            "a command that runs the unit tests",
        )


def _canary(canary: CanaryPlan, floors: Floors) -> Iterator[Violation]:
    where = ("canary", "steps")
    if canary.steps[0] > floors.first_step:
        yield _above(where, canary.steps[0], floors.first_step, "{}%".format)
    if len(canary.steps) < floors.steps:
        yield Violation(where, f"has {len(canary.steps)} steps, the policy wants {floors.steps}")
    if canary.min_requests < floors.min_requests:
        yield _below(("canary", "min_requests"), canary.min_requests, floors.min_requests, str)
    yield from _judging(canary, floors)


def _judging(canary: CanaryPlan, floors: Floors) -> Iterator[Violation]:
    if canary.alpha < floors.alpha:
        yield _below(("canary", "alpha"), canary.alpha, floors.alpha, format_share)
    if canary.beta > floors.beta:
        yield _above(("canary", "beta"), canary.beta, floors.beta, format_share)
    if canary.tolerance > floors.tolerance:
        yield _above(("canary", "tolerance"), canary.tolerance, floors.tolerance, "{:g}".format)
    if canary.warm_up > floors.warm_up:
        yield _above(("canary", "warm_up"), canary.warm_up, floors.warm_up, format_duration)
    for metric, share in canary.floors.items():
        if share > floors.ignored:
            yield _above(("canary", "floors", metric), share, floors.ignored, format_share)


def _durations(plan: ServicePlan, floors: Floors) -> Iterator[Violation]:
    for where, value, floor in (
        (("soak", "duration"), plan.soak.duration, floors.soak),
        (("canary", "min_bake"), plan.canary.min_bake, floors.min_bake),
        (("canary", "deadline"), plan.canary.deadline, floors.deadline),
        (("canary", "watch"), plan.canary.watch, floors.watch),
    ):
        if value < floor:
            yield _below(where, value, floor, format_duration)
    for where, value, ceiling in (
        (("soak", "window"), plan.soak.window, floors.soak_window),
        (("limits", "p95"), plan.limits.p95, floors.p95),
        (("approval", "expires"), plan.approval.expires, floors.approval_expires),
    ):
        if value > ceiling:
            yield _above(where, value, ceiling, format_duration)


def _below(where: tuple[str, ...], value: Any, floor: Any, show: Callable[[Any], str]) -> Violation:
    return Violation(where, f"{show(value)} is below the policy's floor of {show(floor)}")


def _above(where: tuple[str, ...], value: Any, top: Any, show: Callable[[Any], str]) -> Violation:
    return Violation(where, f"{show(value)} is above the policy's limit of {show(top)}")
