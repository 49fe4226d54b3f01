"""A release as it goes on: on a terminal, as plain lines, or as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

from rich.live import Live
from temporalio.client import Client, WorkflowExecutionStatus

from domain.errors import TransientFailure
from domain.release import ReleaseState
from starter.exit_codes import ExitCode, of_outcome
from starter.output import Format, complain, is_terminal, say, say_json
from starter.releases import Seen, look
from starter.story import Event, changes
from starter.terminal import console
from starter.view import view

POLL = timedelta(seconds=1)
Show = Callable[[Seen, str], None]


async def show_until_end(client: Client, release_id: str, output: Format) -> ExitCode:
    """Show every change of a release; returns the exit code of its outcome."""
    live = output is Format.TEXT and is_terminal()
    screen = Live(console=console(), auto_refresh=False, transient=False) if live else None
    show = _on_screen(screen) if screen else _as_json() if output is Format.JSON else _as_lines()
    with screen or nullcontext():
        async for seen, note in _looks(client, release_id):
            show(seen, note)
    return _ending(seen)


async def _looks(client: Client, release_id: str) -> AsyncIterator[tuple[Seen, str]]:
    """Look every second until the end; an outage after the first look is said and waited out."""
    seen = await look(client, release_id)
    note = ""
    while True:
        yield seen, note
        if seen.state.is_over or seen.was_cut_off:
            return
        await asyncio.sleep(POLL.total_seconds())
        try:
            seen, note = await look(client, release_id), ""
        except TransientFailure as failure:
            note = f"this picture is old: {failure}"


def _ending(seen: Seen) -> ExitCode:
    if seen.state.outcome is not None:
        return of_outcome(seen.state.outcome)
    complain(f"tidegate: {seen.cut_off_note}")
    ended_by_people = (WorkflowExecutionStatus.TERMINATED, WorkflowExecutionStatus.CANCELED)
    return ExitCode.ABORTED if seen.status in ended_by_people else ExitCode.FAILED


def _on_screen(screen: Live) -> Show:
    def show(seen: Seen, note: str) -> None:
        screen.update(view(seen.state, datetime.now(UTC), note), refresh=True)

    return show


def _as_lines() -> Show:
    before: ReleaseState | None = None
    noted = ""

    def show(seen: Seen, note: str) -> None:
        nonlocal before, noted
        now = datetime.now(UTC)
        events = changes(before, seen.state, now)
        events += [Event(now, note)] if note and note != noted else []
        for event in events:
            say(f"{event.at.astimezone():%H:%M:%S} {event.text}")
        before, noted = seen.state, note

    return show


def _as_json() -> Show:
    before: ReleaseState | None = None

    def show(seen: Seen, note: str) -> None:
        nonlocal before
        if seen.state != before:
            say_json(seen.state.model_dump(mode="json"), indent=None)
        before = seen.state

    return show
