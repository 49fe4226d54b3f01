"""`tidegate status` and `tidegate list`: looking once."""

# ruff: noqa: PLC0415 - see `starter.connection`.

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import settings as configuration
from settings import Settings
from starter.connection import connect, ui_link
from starter.event_loop import run
from starter.exit_codes import ExitCode
from starter.output import Format, say, say_json

if TYPE_CHECKING:
    from starter.releases import Listed, Seen

COLUMNS = ("release", "phase", "outcome", "weight", "started", "took")


def status(release: str | None, output: Format) -> ExitCode:
    """Print one release's state."""
    settings = configuration.load()
    seen = run(_look(release, settings))
    if output is Format.JSON:
        say_json(seen.state.model_dump(mode="json"))
        return ExitCode.OK
    from starter.terminal import console
    from starter.view import view

    link = ui_link(settings.temporal, seen.state.request.release_id) or ""
    note = seen.cut_off_note if seen.was_cut_off else link
    console().print(view(seen.state, datetime.now(UTC), note, under_way=seen.under_way))
    return ExitCode.OK


def list_releases(service: str | None, running: bool, limit: int, output: Format) -> ExitCode:
    """Print releases, latest first; no worker is needed."""
    found = run(_list(service, running, limit, configuration.load()))
    if output is Format.JSON:
        say_json([one._asdict() for one in found])
        return ExitCode.OK
    if not found:
        say("no releases")
        return ExitCode.OK
    rows = [COLUMNS, *map(_row, found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())
    return ExitCode.OK


async def _look(release: str | None, settings: Settings) -> Seen:
    client = await connect(settings.temporal)
    from starter.releases import find, look

    return await look(client, await find(client, release))


async def _list(service: str | None, running: bool, limit: int, settings: Settings) -> list[Listed]:
    client = await connect(settings.temporal)
    from starter import visibility
    from starter.releases import listed

    return await listed(client, visibility.query(service, running=running), limit)


def _row(one: Listed) -> tuple[str, ...]:
    ended = one.outcome or (one.status if one.status != "running" else "")
    took = (one.ended_at or datetime.now(UTC)) - one.started_at
    return (
        one.release,
        one.phase or "-",
        ended or "-",
        f"{one.weight} %" if one.weight is not None else "-",
        f"{one.started_at.astimezone():%Y-%m-%d %H:%M:%S}",
        str(took).partition(".")[0],
    )
