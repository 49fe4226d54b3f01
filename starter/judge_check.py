"""`tidegate judge check`: does the metrics source show exactly each arm's pods?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import settings as configuration
from activities.demand import Pods, pods_of
from activities.fleet import Fleet
from activities.observer import Arms
from activities.route import Route
from activities.stable import StableReader
from domain import labels
from domain.environments import Environment
from domain.errors import NotFound, PermanentFailure
from domain.observer import WARNINGS, Finding, Fitness, Inspection
from domain.plan import ServicePlan
from starter.event_loop import run
from starter.exit_codes import ExitCode
from starter.observing import Sight, plan_by_limits, plan_in, selected_pods, sight_of, told_limits
from starter.output import Format, say, say_json

PLAN_FILE = Path("tidegate.yaml")
CODES = {
    Fitness.fit: ExitCode.OK,
    Fitness.unfit: ExitCode.REFUSED,
    Fitness.silent: ExitCode.UNREACHABLE,
}
NAMING = "name the pods of each arm by --canary LABELS and --stable LABELS"
COLUMNS = ("arm", "labels", "ready pods", "with series", "series", "latest scrape")


@dataclass(frozen=True)
class Question:
    """What was asked for on the command line; labels are those of arms that are no revisions."""

    service: str
    environment: Environment
    canary: str | None = None
    stable: str | None = None
    plan: Path | None = None


def check(question: Question, output: Format) -> ExitCode:
    """Print what is seen of each arm and everything that is wrong with it, with what to do."""
    plan = _plan(question)
    now = datetime.now(UTC)
    found = run(_look(question, plan, now))
    if output is Format.JSON:
        seen = found.model_dump(mode="json")
        say_json({"fitness": found.fitness, "sentence": found.sentence, **seen})
    else:
        say("\n".join([*_table(found, now), "", *_told(found, plan)]))
    return CODES[found.fitness]


def _plan(question: Question) -> ServicePlan:
    if question.plan is not None:
        return plan_in(question.plan, question.service)
    if PLAN_FILE.is_file():
        return plan_in(PLAN_FILE, question.service)
    return plan_by_limits(None)


async def _look(question: Question, plan: ServicePlan, now: datetime) -> Inspection:
    place = configuration.load().cluster(question.environment)
    async with sight_of(place) as sight:
        canary, stable = await _pods(question, sight)
        arms = Arms(canary, stable, plan.limits.p95, plan.metrics.measure)
        quiet = plan.canary.on_quiet == "synthetic"
        return await sight.observer.look(arms, now, quiet_allowed=quiet)


async def _pods(question: Question, sight: Sight) -> tuple[Pods | None, Pods | None]:
    """The arms as named, else the revision that serves and the newest one beside it."""
    if question.canary is not None or question.stable is not None:
        return _by_labels(question.canary), _by_labels(question.stable)
    route = Route(sight.cluster)
    fleet = Fleet(sight.cluster, route, sight.demand)
    reader = StableReader(question.environment, sight.cluster, route, fleet)
    try:
        found = await reader.read(question.service)
    except PermanentFailure as failure:
        raise PermanentFailure(f"{failure}; or {NAMING}") from failure
    serving = found.revision if found else None
    newest = await _newest_beside(serving, question, sight)
    if newest is None and serving is None:
        raise NotFound(
            f"no revision of {question.service} runs in {question.environment}; {NAMING}"
        )
    return pods_of(newest) if newest else None, pods_of(serving) if serving else None


def _by_labels(text: str | None) -> Pods | None:
    return selected_pods(text) if text is not None else None


async def _newest_beside(stable: str | None, question: Question, sight: Sight) -> str | None:
    deployments = await sight.cluster.list("Deployment", {labels.SERVICE: question.service})
    running = [
        (one["metadata"]["creationTimestamp"], one["metadata"]["name"])
        for one in deployments
        if one.get("status", {}).get("readyReplicas") and one["metadata"]["name"] != stable
    ]
    return max(running)[1] if running else None


def _table(found: Inspection, now: datetime) -> list[str]:
    rows: list[Sequence[str]] = [COLUMNS]
    for arm in found.arms:
        ago = f"{(now - arm.latest).total_seconds():.1f} s ago" if arm.latest else "none"
        counts = (str(arm.pods), str(arm.pods_with_series), str(arm.series))
        rows.append((arm.name, arm.selector, *counts, ago))
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _told(found: Inspection, plan: ServicePlan) -> list[str]:
    edge = f"bucket edge {found.edge:g} s" if found.edge is not None else "no bucket edge yet"
    lines = [f"limits: {told_limits(plan)} ({edge})"]
    if found.fitness is Fitness.fit:
        lines.append(f"✔ {found.sentence}")
    return lines + [line for finding in found.findings for line in _lines(finding)]


def _lines(finding: Finding) -> list[str]:
    sign = "!" if finding.fault in WARNINGS else "✘"
    return [f"{sign} {finding.fault}: {finding.what}", f"  {finding.remedy}"]
