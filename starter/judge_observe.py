"""`tidegate judge observe`: any running rollout, judged read-only by two label selectors."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import settings as configuration
from activities.canary import LONGEST_POLL, SHORTEST_POLL
from activities.demand import Pods
from activities.observer import Arms
from domain.canary import judge_rules
from domain.environments import Environment
from domain.errors import PermanentFailure, ReleaseError, TransientFailure
from domain.judge.rules import Control
from domain.judge.verdict import Verdict
from domain.observed_rollout import RolloutWatch, Watching
from domain.observer import Fault, Inspection
from domain.plan import CanaryPlan, ServicePlan
from domain.quantities import parse_duration
from domain.selectors import parse_selector
from settings import ClusterSettings
from starter.event_loop import run
from starter.exit_codes import ExitCode, Refused
from starter.observe_voice import Voice
from starter.observing import Sight, plan_by_limits, plan_in, sight_of
from starter.output import Format

CODES = {
    Verdict.PROMOTE: ExitCode.OK,
    Verdict.ROLL_BACK: ExitCode.ROLLED_BACK,
    Verdict.HOLD: ExitCode.HELD,
}


class Beside(NamedTuple):
    """What the canary is compared with, and the labels of its pods."""

    control: Control
    labels: str


@dataclass(frozen=True)
class Question:
    """What was asked for on the command line; `canaries` share one chance of a false rollback."""

    environment: Environment
    canary: str
    control: Beside
    weight: int
    canaries: int = 1
    limits: str | None = None
    plan: Path | None = None
    service: str | None = None
    template: str | None = None
    length: str | None = None
    record: Path | None = None


def control_of(stable: str | None, baseline: str | None) -> Beside:
    """The one that was named; raises PermanentFailure when none is, or both are."""
    named = [(Control.stable, stable), (Control.baseline, baseline)]
    found = [Beside(control, labels) for control, labels in named if labels is not None]
    if len(found) != 1:
        what = "are two arms" if found else "are both missing"
        raise PermanentFailure(f"--stable and --baseline {what}: a canary is compared with one")
    return found[0]


def observe(question: Question, output: Format) -> ExitCode:
    """Watch and say what Tidegate would have done; the exit code is that of the whole watch."""
    _refuse_bad_record(question.record)
    length = _length(question.length)
    _refuse_one_arm_twice(question)
    place = configuration.load().cluster(question.environment)
    plan = _plan(question, length)
    _refuse_proxies(plan)
    watched = _watched(question, place, plan, length)
    voice = Voice(output, question.record)
    record = run(_watch(watched, place, voice)).record
    voice.conclude(record)
    return CODES[record.verdict]


def _refuse_bad_record(file: Path | None) -> None:
    if file is None:
        return
    if file.exists():
        raise PermanentFailure(f"record {file} exists already: name another file by --record")
    if not file.absolute().parent.is_dir():
        raise PermanentFailure(f"record {file} cannot be written: its folder does not exist")


def _refuse_one_arm_twice(question: Question) -> None:
    """Said at once: the pods that would show it may not be there yet."""
    beside = question.control
    canary, other = parse_selector(question.canary), parse_selector(beside.labels)
    if canary.items() <= other.items() or other.items() <= canary.items():
        raise Refused(
            f"--canary {question.canary} and --{beside.control} {beside.labels}: a pod of one arm"
            " carries the labels of both arms; name each by a label that only its own pods have"
        )


def _length(text: str | None) -> timedelta | None:
    if text is None:
        return None
    try:
        length = parse_duration(text)
    except ValueError as error:
        raise PermanentFailure(f"--for: {error}") from error
    if not timedelta(0) < length <= timedelta(days=30):
        raise PermanentFailure(f"--for {text} is not between zero and 30 days")
    return length


def _plan(question: Question, length: timedelta | None) -> ServicePlan:
    """The given plan, or the default one, whose time for a verdict is the time of watching."""
    if question.plan is not None:
        if question.limits is not None or question.template is not None:
            raise PermanentFailure("the plan has limits and metrics of its own: leave --plan out")
        return plan_in(question.plan, question.service)
    words: dict[str, object] = {}
    if length is not None:
        bake = min(CanaryPlan().min_bake, length)
        words["canary"] = {"deadline": length, "min_bake": bake, "extensions": 0}
    if question.template is not None:
        words["metrics"] = {"template": question.template}
    return plan_by_limits(question.limits, words)


def _watched(
    question: Question, place: ClusterSettings, plan: ServicePlan, length: timedelta | None
) -> RolloutWatch:
    rules = judge_rules(plan, question.weight, has_stable=True)
    shared = {"control": question.control.control, "arms": question.canaries}
    since = datetime.now(UTC)
    return RolloutWatch(
        environment=question.environment,
        namespace=place.namespace,
        canary=parse_selector(question.canary),
        stable=parse_selector(question.control.labels),
        weight=question.weight,
        rules=rules.model_copy(update=shared),
        since=since,
        ends_at=since + (length or rules.last_deadline),
        block=max(plan.pace.block, place.scrape),
        slow_above=plan.limits.p95,
        until_verdict=length is None,
        metrics=plan.metrics,
    )


def _arms(watched: RolloutWatch) -> Arms:
    canary, stable = Pods("", watched.canary), Pods("", watched.stable)
    return Arms(canary, stable, watched.slow_above, watched.metrics.measure)


def _refuse_proxies(plan: ServicePlan) -> None:
    measure = plan.metrics.measure
    if measure.arm is not None:
        raise PermanentFailure(
            f"{measure.name} counts by proxies, which tell arms by the name of a Service; labels"
            " say pods: name a template by which the pods count themselves, such as otel-http"
        )


async def _watch(watched: RolloutWatch, place: ClusterSettings, voice: Voice) -> Watching:
    watching = Watching.begun(watched)
    async with sight_of(place) as sight:
        voice.begin(watched, await _refuse_hopeless(watched, sight))
        pause = min(max(watched.block, SHORTEST_POLL), LONGEST_POLL).total_seconds()
        try:
            while True:
                now = datetime.now(UTC)
                before, watching = watching, await _look(watching, sight, now)
                voice.tell(before, watching)
                if watching.is_over(now):
                    return watching
                await asyncio.sleep(pause)
        except asyncio.CancelledError:
            # Ctrl-C ends the looking; what was seen until then is told and counts.
            return watching if watching.record.answers else watching.judged(datetime.now(UTC))


async def _look(watching: Watching, sight: Sight, now: datetime) -> Watching:
    """One look with the same functions as a release's own: `domain.samples` and the judge.

    As there, whatever does not answer or refuses us in the middle of a watch is no data.
    """
    watched, span = watching.record.watched, watching.span(now)
    canary, stable = Pods("", watched.canary), Pods("", watched.stable)
    try:
        samples = await sight.demand.compare(
            canary, stable, span, watched.slow_above, watched.metrics.measure
        )
        return watching.with_samples(samples).judged(now)
    except ReleaseError as failure:
        if isinstance(failure, PermanentFailure) and not watching.record.answers:
            raise
        return watching.without_data(str(failure)).judged(now)


async def _refuse_hopeless(watched: RolloutWatch, sight: Sight) -> Inspection | None:
    """Refuse labels by which a pod is in both arms, and a source that refuses us or the query.

    What else is wrong may yet become right.
    """
    try:
        found = await sight.observer.look(_arms(watched), watched.since)
    except TransientFailure:
        return None
    refused = [one for one in found.findings if one.fault in (Fault.no_access, Fault.refused_query)]
    if refused:
        raise PermanentFailure("; ".join(map(str, refused)))
    mixed = [one for one in found.findings if one.fault in (Fault.overlapping, Fault.all_pods)]
    if mixed:
        raise Refused("; ".join(map(str, mixed)))
    return found
