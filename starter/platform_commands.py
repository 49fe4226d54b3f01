"""Commands about Tidegate itself: workers, the sandbox, doctor, schema."""

# ruff: noqa: PLC0415, PLR0913 - see `starter.release_commands`.

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from starter import options
from starter.output import Format

DEFAULT_STATE = Path(".tidegate")
sandbox = typer.Typer(
    name="sandbox",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="A whole platform on this machine: two clusters, registry, Prometheus, Slack, Temporal.",
)


def register(app: typer.Typer) -> None:
    """Add the commands, in the order in which `--help` shows them."""
    for command in (worker, doctor, schema):
        app.command()(command)
    app.add_typer(sandbox)


def worker(
    role: Annotated[
        list[str],
        typer.Option(
            metavar="ROLE", help="control, build, cluster-staging or cluster-production; repeat it."
        ),
    ],
) -> int:
    """Serve roles until SIGTERM or Ctrl-C."""
    from starter import worker as worker_command

    return worker_command.worker(tuple(role))


def doctor(output: options.Output = Format.TEXT) -> int:
    """Check every connection, and say how to fix what fails."""
    from starter import doctor as doctor_command

    return doctor_command.doctor(output)


def schema() -> int:
    """Print the JSON Schema of `tidegate.yaml`."""
    from starter import schema as schema_command

    return schema_command.schema()


@sandbox.command()
def up(
    *,
    state: options.StateDirectory = DEFAULT_STATE,
    speed: Annotated[float, typer.Option(help="Simulated time runs this many times as fast.")] = 1,
    traffic: Annotated[
        str | None,
        typer.Option(metavar="ENV=RATE,...", help="Requests per second: production=20,staging=2."),
    ] = None,
    ui_port: Annotated[int | None, typer.Option(help="Of Temporal's UI; default: free.")] = None,
    policy: Annotated[
        str | None, typer.Option(metavar="REPO", help="Policy repository; default: a demo's.")
    ] = None,
    wheelhouse: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Wheels for the assemble builder.")
    ] = None,
    workers: Annotated[bool, typer.Option("--workers/--no-workers", help="Start them.")] = True,
) -> int:
    """Start everything and stay in the foreground until Ctrl-C."""
    from starter import sandbox as sandbox_command

    wishes = sandbox_command.Wishes(
        state=state,
        speed=speed,
        traffic=traffic,
        ui_port=ui_port,
        policy=policy,
        wheelhouse=wheelhouse,
        workers=workers,
    )
    return sandbox_command.up(wishes)


@sandbox.command()
def down(state: options.StateDirectory = DEFAULT_STATE) -> int:
    """Stop a running sandbox, or what a killed one left behind."""
    from starter import sandbox as sandbox_command

    return sandbox_command.down(state)


@sandbox.command(name="status")
def sandbox_status(
    state: options.StateDirectory = DEFAULT_STATE, output: options.Output = Format.TEXT
) -> int:
    """Show what runs, and where."""
    from starter import sandbox as sandbox_command

    return sandbox_command.status(state, output)
