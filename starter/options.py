"""Options that several commands have, so that they are called the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from domain.environments import Environment
from starter.output import Format

DEFAULT_PATIENCE = "5m"

Output = Annotated[Format, typer.Option("--output", help="How to print the result.")]
Commit = Annotated[str, typer.Option(help="Branch, tag or commit to release.")]
RepositoryPlace = Annotated[
    str, typer.Option("--repository", metavar="DIR|URL", help="The service's git repository.")
]
By = Annotated[
    str | None, typer.Option(metavar="E-MAIL", help="Who starts it; default: git's user.email.")
]
StateDirectory = Annotated[
    Path, typer.Option("--state", metavar="DIR", help="Where its files are.")
]
ObservedEnvironment = Annotated[
    Environment, typer.Option(help="Whose cluster and metrics, as in the connection file.")
]
MaybeRelease = Annotated[
    str | None,
    typer.Argument(
        metavar="[RELEASE|SERVICE]",
        help="A release's id, or a service: its latest release. Default: the latest of all.",
    ),
]
Release = Annotated[
    str, typer.Argument(metavar="RELEASE|SERVICE", help="A release's id, or a service's name.")
]
Patience = Annotated[
    str, typer.Option(metavar="TIME", help="End when nobody could be asked for so long.")
]
