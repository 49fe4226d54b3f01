"""Commands about the judge: what they take; what they do is imported when called."""

# ruff: noqa: PLC0415, PLR0913 - see `starter.release_commands`.

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from domain.environments import Environment
from starter import options
from starter.output import Format

judge = typer.Typer(
    name="judge",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The rule that decides a canary, for who wants to check it.",
)


def register(app: typer.Typer) -> None:
    """Add the commands, in the order in which `--help` shows them."""
    app.add_typer(judge)


@judge.callback()
def _judge() -> None:
    """The rule that decides a canary, for who wants to check it."""


@judge.command()
def replay(
    records: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|REPO@sha256:...",
            help="Verdict records with their block records, or a bundle: all of its verdicts.",
        ),
    ],
    output: options.Output = Format.TEXT,
) -> int:
    """Recompute verdicts from stored blocks; 1 when one is not what was stored, or planned."""
    from starter import judge_replay

    return judge_replay.replay(records, output)


@judge.command()
def check(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="As the plan names it.")],
    *,
    environment: options.ObservedEnvironment = Environment.PRODUCTION,
    canary: Annotated[
        str | None, typer.Option(metavar="LABELS", help="Pods that are no revision of Tidegate's.")
    ] = None,
    stable: Annotated[
        str | None, typer.Option(metavar="LABELS", help="Likewise, of those that serve now.")
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The plan with the limits; default: tidegate.yaml here."),
    ] = None,
    output: options.Output = Format.TEXT,
) -> int:
    """Do the metrics show exactly each arm's pods? 5 when not, with what to correct."""
    from starter import judge_check

    question = judge_check.Question(
        service=service, environment=environment, canary=canary, stable=stable, plan=plan
    )
    return judge_check.check(question, output)


@judge.command()
def observe(
    *,
    canary: Annotated[str, typer.Option(metavar="LABELS", help="For example track=canary.")],
    stable: Annotated[
        str | None, typer.Option(metavar="LABELS", help="For example track=stable.")
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(metavar="LABELS", help="Instead: stable's version, as young as the canary."),
    ] = None,
    canaries: Annotated[
        int,
        typer.Option(
            min=1, max=10_000, metavar="N", help="How many rollouts share the false alarms."
        ),
    ] = 1,
    environment: options.ObservedEnvironment = Environment.PRODUCTION,
    weight: Annotated[
        int, typer.Option(min=1, max=99, metavar="PERCENT", help="The canary's share of traffic.")
    ] = 10,
    limits: Annotated[
        str | None, typer.Option(metavar="errors=1%,p95=500ms", help="What users may be given.")
    ] = None,
    plan: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Take limits and times of this plan.")
    ] = None,
    service: Annotated[str | None, typer.Option(help="Whose plan it is in that file.")] = None,
    metrics: Annotated[
        str | None, typer.Option(metavar="TEMPLATE", help="How pods count; default: otel-http.")
    ] = None,
    length: Annotated[
        str | None,
        typer.Option("--for", metavar="TIME", help="Watch so long; default: until a verdict."),
    ] = None,
    record: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep every block, for `judge replay`.")
    ] = None,
    output: options.Output = Format.TEXT,
) -> int:
    """Judge any running rollout read-only: 0 would promote, 10 would roll back, 17 would hold."""
    from starter import judge_observe

    question = judge_observe.Question(
        environment=environment,
        canary=canary,
        control=judge_observe.control_of(stable, baseline),
        canaries=canaries,
        weight=weight,
        limits=limits,
        plan=plan,
        service=service,
        template=metrics,
        length=length,
        record=record,
    )
    return judge_observe.observe(question, output)
