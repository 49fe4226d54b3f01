"""What a rehearsal tells: the ending, each step by the plan's clock, and who saw errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from domain.canary import ERRORS
from domain.environments import Environment
from domain.faults import FaultKind
from domain.judge.counts import Counts
from domain.plan import ServicePlan
from domain.plan_time import ToldStep, told_in_plan_time
from domain.quantities import format_duration, format_share
from domain.rehearsal import not_simulated
from domain.rejudge import StoredVerdict
from starter.rehearsal_course import Course
from starter.rehearse import Score
from starter.shelf import Shelf
from starter.story import rounded

MINUTE = 60


@dataclass(frozen=True)
class Report:
    """A rehearsal that is over."""

    score: Score
    course: Course
    steps: tuple[ToldStep, ...]

    @property
    def soak(self) -> timedelta | None:
        """Healthy time that was earned, by the plan's clock; None before the soak."""
        progress = self.course.state.soak
        clock = self.score.rehearsed.rehearsal.soak
        if progress is None:
            return None
        return rounded(progress.earned * (clock.planned / clock.real))

    @property
    def canary(self) -> timedelta:
        """How long production's steps and the watch took by the plan's clock."""
        return sum((step.spoken.judgement.elapsed for step in self.steps), timedelta(0))

    @property
    def judged(self) -> Counts:
        """Requests that were judged: those of plan time, without what this machine's work took."""
        return sum(
            (step.spoken.judgement.counts.get(ERRORS, Counts()) for step in self.steps), Counts()
        )

    @property
    def ending(self) -> str:
        """The outcome, or that it holds."""
        if self.course.held is not None:
            return "HOLD"
        return str(self.course.state.outcome)


def verdicts_of(shelf: Shelf, course: Course, plan: ServicePlan) -> tuple[ToldStep, ...]:
    """The verdicts of the rehearsed release among the stored ones, by the plan's clock."""
    shelf.sort()
    stored = [
        StoredVerdict(record, (*shelf.earlier(origin, record), *record.blocks))
        for origin, record in shelf.verdicts
        if record.step.target.release_id == course.state.request.release_id
    ]
    return told_in_plan_time(stored, plan)


def lines_of(report: Report) -> Iterator[str]:
    """The report for a person."""
    score = report.score
    yield ""
    yield f"{score.service} {score.source.commit[:10]}, {_asked(score)}"
    yield f"  {'soak':<8}{_soak(report)}"
    for step in report.steps:
        name = "watch" if step.watch else f"{step.weight} %"
        judgement = step.spoken.judgement
        took = format_duration(rounded(judgement.elapsed))
        yield f"  {name:<8}{judgement.verdict} ({judgement.reason}) after {took}"
        yield f"  {'':<8}{judgement.sentence}"
    yield ""
    yield f"{report.ending}{_why(report)}"
    yield f"By the plan's clock: {_times(report)}; people answer at once."
    yield from _users(report)
    for one in not_simulated(score.plan, score.rehearsed, score.speed):
        yield f"Not simulated: {one}."


def as_json(report: Report) -> dict[str, object]:
    """The report for a program; times are those of the plan."""
    score, course = report.score, report.course
    return {
        "service": score.service,
        "commit": score.source.commit,
        "faults": [f"{fault.environment}:{fault}" for fault in score.faults],
        "requests_per_second": score.users,
        "speed": score.speed,
        "ending": report.ending,
        "sentence": course.held or course.state.sentence,
        "soak_seconds": report.soak.total_seconds() if report.soak is not None else None,
        "canary_seconds": report.canary.total_seconds(),
        "steps": [step.model_dump(mode="json") for step in report.steps],
        "users": {_arm(course, revision): one for revision, one in course.users.items()},
        "judged": report.judged.model_dump(mode="json"),
        "not_simulated": list(not_simulated(score.plan, score.rehearsed, score.speed)),
    }


def _asked(score: Score) -> str:
    faults = ", ".join(f"{fault.environment}:{fault}" for fault in score.faults) or "no fault"
    return f"{faults}, {score.users:g} req/s, a real second is {score.speed:g} planned ones"


def _why(report: Report) -> str:
    """What ended it, unless the last verdict above says the same."""
    course = report.course
    if course.held is not None:
        return f": a person would be asked. {course.held}"
    told = {verdict.sentence for verdict in course.state.verdicts}
    if course.state.sentence in told and report.steps:
        last = report.steps[-1]
        return f" {'in the watch' if last.watch else f'at {last.weight} %'}"
    return f": {course.state.sentence}"


def _soak(report: Report) -> str:
    if report.soak is None:
        return "not reached"
    goal = format_duration(report.score.plan.soak.duration)
    return f"{format_duration(report.soak)} of {goal} healthy time earned"


def _times(report: Report) -> str:
    soak = format_duration(report.soak) if report.soak else "none"
    return f"soak {soak}, production {format_duration(rounded(report.canary))}"


def _users(report: Report) -> Iterator[str]:
    course, judged = report.course, report.judged
    for revision, one in sorted(course.users.items(), key=lambda item: item[0] == course.stable):
        requests, failed = one["requests"], one["failed"]
        if not requests:
            continue
        share = format_share(float(f"{failed / requests:.2g}"))
        yield (
            f"Users of the {_arm(course, revision)}, from the release's start to its end: "
            f"{failed} of {requests} requests failed ({share})"
        )
        if revision == _new(course) and judged.canary_requests:
            yield (
                f"  until its verdicts the judge counted {judged.canary_bad} of "
                f"{judged.canary_requests}; the rest came while this machine worked"
            )
    if (failing := _declared(report.score)) > 0:
        minute = report.score.users * MINUTE * failing
        yield (
            f"Given to everybody at once, this version fails {minute:.3g} users' requests a minute "
            "until somebody sees it"
        )


def _declared(score: Score) -> float:
    """The share of production's requests that the declared faults make fail at full weight."""
    served = 1.0
    for fault in score.faults:
        if fault.kind is FaultKind.ERRORS and fault.environment == Environment.PRODUCTION:
            served *= 1 - fault.value
    return 1 - served


def _arm(course: Course, revision: str) -> str:
    if revision == course.stable:
        return "old version"
    return "new version" if revision == _new(course) else revision


def _new(course: Course) -> str | None:
    return course.state.revision if course.state.bundle is not None else None
