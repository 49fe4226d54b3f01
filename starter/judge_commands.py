"""Commands about the judge: what they take; what they do is imported when called."""

# ruff: noqa: PLC0415 - see `starter.release_commands`.

from __future__ import annotations

from typing import Annotated

import typer

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
    """Recompute verdicts from stored blocks; 1 when one is not what was stored."""
    from starter import judge_replay

    return judge_replay.replay(records, output)
