"""`tidegate rehearse`: a service's plan in a sandbox of its own, the new version with faults."""

# ruff: noqa: PLC0415 - wrong options need not wait for Temporal's client to be imported.

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clients.files import read_file
from clients.plan_file import plan_of
from clients.policy_source import parse_policy
from domain.environments import RELEASE_ENVIRONMENTS
from domain.errors import NotFound, PermanentFailure
from domain.faults import Fault, FaultError
from domain.plan import ServicePlan
from domain.policy import Policy
from domain.rehearsal import (
    check_speed,
    default_speed,
    parse_rate,
    rates,
    rehearsed,
    stand_in,
)
from settings import Settings
from starter.event_loop import run
from starter.exit_codes import ExitCode, of_outcome
from starter.output import Format, complain, say, say_json
from starter.source import PLAN_FILE, Source, find_source

if TYPE_CHECKING:
    from starter.rehearsal_words import Report


@dataclass(frozen=True)
class Wish:
    """What was asked for on the command line."""

    service: str
    faults: tuple[str, ...]
    traffic: str
    repository: str
    revision: str
    file: Path | None
    policy: Path | None
    speed: float | None


@dataclass(frozen=True)
class Score:
    """What is to be rehearsed: the plan as written and on the clock, the faults, the users."""

    source: Source
    service: str
    plan: ServicePlan
    faults: tuple[Fault, ...]
    users: float
    speed: float

    @property
    def rehearsed(self) -> ServicePlan:
        """The plan on the rehearsal clock."""
        return rehearsed(self.plan, self.speed)


def rehearse(wish: Wish, output: Format) -> ExitCode:
    """Rehearse and report; the exit code is the release's outcome, HELD where it would hold."""
    faults = tuple(_fault(text) for text in wish.faults)
    users = parse_rate(wish.traffic)
    report = run(_interruptible(_rehearse(wish, faults, users, output)))
    if report is None:
        complain("tidegate: stopped; nothing of the rehearsal is left")
        return ExitCode.INTERRUPTED
    from starter.rehearsal_words import as_json, lines_of

    if output is Format.JSON:
        say_json(as_json(report))
    else:
        say("\n".join(lines_of(report)))
    outcome = report.course.state.outcome
    if report.course.held is not None or outcome is None:
        return ExitCode.HELD
    return of_outcome(outcome)


def _fault(text: str) -> Fault:
    try:
        fault = Fault.parse(text)
    except FaultError as error:
        raise PermanentFailure(str(error)) from error
    known = [environment.value for environment in RELEASE_ENVIRONMENTS]
    if fault.environment not in known:
        where = fault.environment or "no environment"
        raise PermanentFailure(
            f"--fault {text} names {where}; write {' or '.join(f'{one}:...' for one in known)}"
        )
    return fault


async def _interruptible(work: Coroutine[Any, Any, Report]) -> Report | None:
    """The work's result; None when it was ended by Ctrl-C, SIGTERM or SIGHUP."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - we are in one
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        return await work
    except asyncio.CancelledError:
        task.uncancel()
        return None


async def _rehearse(wish: Wish, faults: tuple[Fault, ...], users: float, output: Format) -> Report:
    score = await _score(wish, faults, users)
    from starter.rehearsal_place import place, unless_ended

    on_clock = score.rehearsed
    _progress(output, f"rehearsing {score.service} {score.source.commit[:10]}: starting a sandbox")
    arriving = rates(on_clock, users)
    quorum = score.plan.approval.quorum
    async with place(score.source, quorum, score.speed, arriving) as (where, children):
        return await unless_ended(children, _performed(score, where, output))


async def _performed(score: Score, where: Any, output: Format) -> Report:
    from starter.registries import registry_of
    from starter.rehearsal_course import Performance
    from starter.rehearsal_words import Report, verdicts_of
    from starter.shelf import Shelf

    on_clock = score.rehearsed
    performance = Performance(where, score.service)
    _progress(output, "releasing what serves now: the same commit, without a fault")
    stable = await performance.bring_up(stand_in(score.plan, score.speed))
    arriving = rates(on_clock, score.users)
    await performance.set_traffic(arriving.production, arriving.staging)
    _progress(output, "releasing the new version")
    course = await performance.release(on_clock, score.faults, stable, output)
    shelf = Shelf()
    if course.state.bundle is not None:
        async with registry_of(where.settings) as registry:
            await shelf.fetch(registry, str(course.state.bundle))
    return Report(score=score, course=course, steps=verdicts_of(shelf, course, on_clock))


async def _score(wish: Wish, faults: tuple[Fault, ...], users: float) -> Score:
    """Everything that can be wrong is found before anything is started."""
    source = await find_source(wish.repository, wish.revision, Settings())
    policy = _policy(wish.policy)
    if wish.file is None:
        await source.refuse_dirty()
        text = await source.repository.show(source.commit, PLAN_FILE)
        plan = plan_of(text, PLAN_FILE, wish.service, policy)
    else:
        plan = plan_of(_read(wish.file, "--file"), str(wish.file), wish.service, policy)
    if not plan.rehearsal.is_real_time:
        raise PermanentFailure(
            f"the plan of {wish.service} has a rehearsal clock of its own: take it out, a "
            "rehearsal brings its own (--speed)"
        )
    speed = check_speed(wish.speed) if wish.speed is not None else default_speed(plan)
    return Score(source, wish.service, plan, faults, users, speed)


def _policy(file: Path | None) -> Policy | None:
    return parse_policy(_read(file, "--policy"), str(file)) if file is not None else None


def _read(file: Path, option: str) -> bytes:
    try:
        return read_file(file)
    except OSError as error:
        raise NotFound(f"{file} cannot be read: {error.strerror}; correct {option}") from error


def _progress(output: Format, text: str) -> None:
    if output is Format.TEXT:
        say(text)
