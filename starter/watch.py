"""`tidegate watch`: looking on until a release ends."""

# ruff: noqa: PLC0415 - see `starter.connection`.

from __future__ import annotations

import settings as configuration
from settings import Settings
from starter.connection import connect
from starter.event_loop import run
from starter.exit_codes import ExitCode
from starter.output import Format, complain


def watch(release: str | None, output: Format) -> ExitCode:
    """Show a release until it ends; the exit code is that of its outcome."""
    watched: list[str] = []
    try:
        return run(_watch(release, output, configuration.load(), watched))
    except KeyboardInterrupt:
        name = watched[0] if watched else release or ""
        complain(f"\nThe release goes on. Come back: tidegate watch {name}".rstrip())
        return ExitCode.INTERRUPTED


async def _watch(
    release: str | None, output: Format, settings: Settings, watched: list[str]
) -> ExitCode:
    client = await connect(settings.temporal)
    from starter.releases import find
    from starter.watching import show_until_end

    watched.append(await find(client, release))
    return await show_until_end(client, watched[0], output)
