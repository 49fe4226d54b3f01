"""`tidegate plan`: the journey of a release, computed and shown; nothing is started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import settings as configuration
from clients.files import read_file
from clients.plan_file import plan_of
from domain.commands import Change
from domain.errors import NotFound
from domain.journey import JourneyStep, journey, total
from domain.plan import ServicePlan
from domain.policy import Policy
from domain.quantities import format_duration
from settings import Settings
from starter.event_loop import run
from starter.exit_codes import ExitCode
from starter.output import Format, say_json
from starter.source import find_source, git_email, read_policy


@dataclass(frozen=True)
class Question:
    """What was asked for on the command line."""

    service: str
    revision: str
    file: Path | None
    repository: str
    by: str | None


@dataclass(frozen=True)
class Prospect:
    """A plan and what it would mean."""

    plan: ServicePlan
    policy: Policy
    change: Change | None


def plan(question: Question, output: Format) -> ExitCode:
    """Print the journey; PlanProblems with every error of the plan."""
    prospect = run(_look_ahead(question, configuration.load()))
    steps = journey(prospect.plan, prospect.policy, prospect.change)
    if output is Format.JSON:
        say_json(_as_json(question, prospect, steps))
    else:
        _show(question, prospect, steps)
    return ExitCode.OK


async def _look_ahead(question: Question, settings: Settings) -> Prospect:
    policy = await read_policy(settings)
    if question.file is not None:
        return Prospect(_plan_in(question.file, question.service, policy), policy, None)
    source = await find_source(question.repository, question.revision, settings)
    found = await source.plan(question.service, policy)
    authors = await source.repository.authors_between(None, source.commit)
    started_by = question.by or await git_email(question.repository) or "nobody yet"
    change = Change(commit=source.commit, base=None, authors=authors, started_by=started_by)
    return Prospect(found, policy, change)


def _plan_in(file: Path, service: str, policy: Policy) -> ServicePlan:
    try:
        text = read_file(file)
    except OSError as error:
        raise NotFound(f"plan {file} cannot be read: {error.strerror}; correct --file") from error
    return plan_of(text, str(file), service, policy)


def _as_json(
    question: Question, prospect: Prospect, steps: tuple[JourneyStep, ...]
) -> dict[str, object]:
    change = prospect.change
    return {
        "service": question.service,
        "commit": change.commit if change else None,
        "authors": change.authors if change else None,
        "steps": [step.model_dump(mode="json") for step in steps],
        "total": total(steps).model_dump(mode="json"),
        "plan": prospect.plan.model_dump(mode="json"),
    }


def _show(question: Question, prospect: Prospect, steps: tuple[JourneyStep, ...]) -> None:
    from rich.table import Table  # noqa: PLC0415 - 0.1 s that JSON and errors do not pay

    from starter.terminal import console  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("step", "expected", "at worst", "what happens"):
        table.add_column(heading, no_wrap=heading != "what happens")
    for step in steps:
        clock = f" ({step.clock})" if step.clock else ""
        table.add_row(
            step.title,
            format_duration(step.expected) + clock if step.expected else _asked(step),
            format_duration(step.worst) + clock if step.worst else "-",
            "\n".join(_lines(step)),
        )
    screen = console()
    screen.print(_headline(question, prospect))
    screen.print(table)
    screen.print(_footer(prospect.plan, steps))


def _asked(step: JourneyStep) -> str:
    return "a person" if step.needs else "-"


def _lines(step: JourneyStep) -> list[str]:
    lines = [step.does, *([step.gate] if step.gate else [])]
    if step.needs:
        lines.append(f"by {step.needs}: {', '.join(step.people) or 'nobody in the policy'}")
    lines.append(f"if it takes longer: {step.at_worst}")
    lines.append(f"undo: {step.undo}" if step.reversible else step.undo.upper()[:1] + step.undo[1:])
    return lines


def _headline(question: Question, prospect: Prospect) -> str:
    change = prospect.change
    if change is None:
        return f"{question.service} by {question.file}; its authors are not known yet\n"
    authors = ", ".join(change.authors)
    return f"{question.service} {change.commit[:10]}, written by {authors}\n"


def _footer(plan: ServicePlan, steps: tuple[JourneyStep, ...]) -> str:
    whole = total(steps)
    clocks = {step.clock for step in steps if step.clock}
    lines = [
        "",
        f"In all {format_duration(whole.expected)} if all goes well and people answer at once, "
        f"{format_duration(whole.worst)} at the very worst; waiting for a lane is not counted.",
        f"A first release has no older revision: it goes 0 -> 100 %, not {_steps(plan)}.",
        "Everybody who wrote since what production serves is an author and cannot approve.",
    ]
    if clocks:
        lines.append(f"Rehearsal clock: {', '.join(sorted(clocks))} of the plan's time.")
    return "\n".join(lines)


def _steps(plan: ServicePlan) -> str:
    return " -> ".join(str(weight) for weight in plan.canary.steps) + " %"
