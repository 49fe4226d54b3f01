"""`tidegate watch`: looking on until a release ends."""

# ruff: noqa: PLC0415 - see `starter.connection`.

from __future__ import annotations

from datetime import timedelta

import settings as configuration
from domain.errors import PermanentFailure
from domain.quantities import parse_duration
from settings import Settings
from starter.connection import connect
from starter.event_loop import run
from starter.exit_codes import ExitCode
from starter.options import DEFAULT_PATIENCE
from starter.output import Format, can_ask, complain


def watch(release: str | None, output: Format, patience: str = DEFAULT_PATIENCE) -> ExitCode:
    """Show a release until it ends; the exit code is that of its outcome."""
    waits, settings = _duration(patience), configuration.load()
    watched: list[str] = []
    try:
        return run(_watch(release, output, waits, settings, watched))
    except KeyboardInterrupt:
        name = watched[0] if watched else release or ""
        # The terminal has put ^C there.
        start = "\n" if can_ask() else ""
        complain(f"{start}The release goes on. Come back: tidegate watch {name}".rstrip())
        return ExitCode.INTERRUPTED


def _duration(text: str) -> timedelta:
    try:
        length = parse_duration(text)
    except ValueError as error:
        raise PermanentFailure(f"--patience: {error}") from error
    if length <= timedelta(0):
        raise PermanentFailure(f"--patience must be longer than zero, not {text}")
    return length


async def _watch(
    release: str | None,
    output: Format,
    patience: timedelta,
    settings: Settings,
    watched: list[str],
) -> ExitCode:
    client = await connect(settings.temporal)
    from starter.releases import find
    from starter.watching import show_until_end

    watched.append(await find(client, release))
    return await show_until_end(client, watched[0], output, patience)
