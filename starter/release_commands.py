"""Commands about a release as a whole: what they take; what they do is imported when called."""

# ruff: noqa: PLC0415, PLR0913 - heavy imports belong to the command that needs them, and the
# parameters of a command are its options.

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from starter import options
from starter.output import Format


def register(app: typer.Typer) -> None:
    """Add the commands, in the order in which `--help` shows them."""
    for command in (release, plan, watch, status, report, evidence):
        app.command()(command)
    app.command(name="list")(list_releases)
    app.command()(replay)


def release(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="As the plan names it.")],
    *,
    commit: options.Commit = "HEAD",
    image: Annotated[
        str | None,
        typer.Option(metavar="REPO@sha256:...", help="Release an image that is built already."),
    ] = None,
    scan_report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="grype's or trivy's JSON report.")
    ] = None,
    repository: options.RepositoryPlace = ".",
    by: options.By = None,
    watch: Annotated[bool, typer.Option("--watch/--no-watch", help="Stay and look on.")] = False,
    output: options.Output = Format.TEXT,
) -> int:
    """Start a release of a commit, or of an image that is built already."""
    from starter import release as release_command

    order = release_command.Order(
        service=service,
        revision=commit,
        image=image,
        scan_report=scan_report,
        repository=repository,
        by=by,
    )
    return release_command.release(order, watch=watch, output=output)


def plan(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="As the plan names it.")],
    *,
    commit: options.Commit = "HEAD",
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read this plan, not the commit's.")
    ] = None,
    repository: options.RepositoryPlace = ".",
    by: options.By = None,
    output: options.Output = Format.TEXT,
) -> int:
    """Show the whole journey of a release before anything runs."""
    from starter import plan as plan_command

    question = plan_command.Question(
        service=service, revision=commit, file=file, repository=repository, by=by
    )
    return plan_command.plan(question, output)


def watch(
    release: options.MaybeRelease = None,
    *,
    patience: options.Patience = options.DEFAULT_PATIENCE,
    output: options.Output = Format.TEXT,
) -> int:
    """Look on until a release ends; its outcome is the exit code."""
    from starter import watch as watch_command

    return watch_command.watch(release, output, patience)


def status(release: options.MaybeRelease = None, output: options.Output = Format.TEXT) -> int:
    """Show where a release stands."""
    from starter import status as status_command

    return status_command.status(release, output)


def list_releases(
    *,
    service: Annotated[str | None, typer.Option(help="Only of this service.")] = None,
    running: Annotated[bool, typer.Option("--running", help="Only those under way.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many, latest first.")] = 50,
    output: options.Output = Format.TEXT,
) -> int:
    """List releases, latest first."""
    from starter import status as status_command

    return status_command.list_releases(service, running, limit, output)


def report(
    release: Annotated[
        str,
        typer.Argument(
            metavar="RELEASE|SERVICE|REPO@sha256:...",
            help="A release, a service's latest, or a bundle whose release Temporal forgot.",
        ),
    ],
    *,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write one self-contained page.")
    ] = None,
    output: options.Output = Format.TEXT,
) -> int:
    """Show what a release did and why, with the plots of its verdicts."""
    from starter import report as report_command

    return report_command.report(release, html, output)


def evidence(
    release: options.Release,
    *,
    statement: Annotated[
        str | None,
        typer.Option(metavar="COMMAND", help="Print exactly the bytes to sign for a command."),
    ] = None,
    reason: Annotated[str, typer.Option(help="The reason that the statement says.")] = "",
) -> int:
    """Print the frozen evidence, or the statement that a command's signature is over."""
    from starter import evidence as evidence_command

    return evidence_command.evidence(release, statement, reason)


def replay(
    places: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RELEASE|SERVICE|REPO@sha256:...|FILE]...",
            help="Releases, bundles, or files of records. Default: all past releases.",
        ),
    ] = None,
    *,
    policy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The organisation policy to judge by.")
    ] = None,
    plan: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The plan to judge by; say --service too.")
    ] = None,
    service: Annotated[
        str | None, typer.Option(help="Of the plan; without places, only its releases.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many past releases, latest first.")] = 50,
    output: options.Output = Format.TEXT,
) -> int:
    """Judge past releases again by another policy or plan; 1 when a verdict changes."""
    from starter import replay as replay_command

    question = replay_command.Question(
        places=tuple(places or ()), policy=policy, plan=plan, service=service, limit=limit
    )
    return replay_command.replay(question, output)
