"""`tidegate`: the command line. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

import gc
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from domain.errors import ReleaseError
from starter import (
    judge_commands,
    people_commands,
    platform_commands,
    rehearse_commands,
    release_commands,
)
from starter.exit_codes import ExitCode, of_error
from starter.output import complain

DEBUG = "--debug"
# Imports make hundreds of thousands of objects that live on; looking through them for rubbish
# again and again is a fifth of a command's start.
GC_THRESHOLD = 50_000

app = typer.Typer(
    name="tidegate",
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Release one change of a microservice, over days, without losing its place.",
)


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option(DEBUG, help="Show the traceback of an error (anywhere on the line).")
    ] = False,
) -> None:
    """Release one change of a microservice, over days, without losing its place."""


release_commands.register(app)
people_commands.register(app)
judge_commands.register(app)
rehearse_commands.register(app)
platform_commands.register(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (docs/cli.md), having said one clear message."""
    gc.set_threshold(GC_THRESHOLD)
    given = list(sys.argv[1:] if arguments is None else arguments)
    words = [word for word in given if word != DEBUG]
    command = typer.main.get_command(app)
    try:
        code = command.main(args=words, prog_name="tidegate", standalone_mode=False)
    except Exception as error:
        if DEBUG in given:
            traceback.print_exc()
        return _explain(error)
    return int(code or ExitCode.OK)


def _explain(error: Exception) -> ExitCode:
    if isinstance(error, ReleaseError):
        _tell(error)
        return of_error(error)
    if isinstance(error, typer.Abort):
        complain("tidegate: stopped; nothing was changed")
        return ExitCode.INTERRUPTED
    if (show := getattr(error, "show", None)) is not None:
        show()
        return ExitCode.BAD_INPUT
    complain(f"tidegate: unexpected {type(error).__name__}: {error}; {DEBUG} shows where")
    return ExitCode.UNEXPECTED


def _tell(error: ReleaseError) -> None:
    problems = getattr(error, "problems", ())
    if not problems:
        complain(f"tidegate: {error}")
        return
    complain(str(error))
    many = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    complain(f"tidegate: {many}; nothing was started")


if __name__ == "__main__":
    sys.exit(main())
