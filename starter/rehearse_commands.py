"""The command that rehearses a release: what it takes; what it does is imported when called."""

# ruff: noqa: PLC0415, PLR0913 - see `starter.release_commands`.

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from starter import options
from starter.output import Format


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(rehearse)


def rehearse(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="As the plan names it.")],
    *,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ENV:KIND=VALUE[@SHARE%]",
            help="What is wrong with the new version, as production:errors=2%@50%; repeat it.",
        ),
    ] = None,
    traffic: Annotated[
        str, typer.Option(metavar="RATE", help="Production's requests per second of plan time.")
    ] = "20rps",
    speed: Annotated[
        float | None,
        typer.Option(metavar="N", help="Planned seconds per real one; default: by the plan."),
    ] = None,
    commit: options.Commit = "HEAD",
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read this plan, not the commit's.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Organisation policy to hold the plan to.")
    ] = None,
    repository: options.RepositoryPlace = ".",
    output: options.Output = Format.TEXT,
) -> int:
    """Try a release in a sandbox of its own: what the plan would do, how soon, who sees errors."""
    from starter import rehearse as rehearse_command

    wish = rehearse_command.Wish(
        service=service,
        faults=tuple(fault or ()),
        traffic=traffic,
        repository=repository,
        revision=commit,
        file=file,
        policy=policy,
        speed=speed,
    )
    return rehearse_command.rehearse(wish, output)
