"""A release as it goes on: on a terminal, as plain lines, or as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta

from temporalio.client import Client, WorkflowExecutionStatus

from domain.errors import TransientFailure
from domain.quantities import format_duration
from domain.release import ReleaseState
from starter.exit_codes import ExitCode, of_outcome
from starter.output import Format, complain, is_terminal, say, say_json
from starter.releases import Seen, look
from starter.telling import Calendar, Storyteller

POLL = timedelta(seconds=1)
Show = Callable[[Seen, str], None]


async def show_until_end(
    client: Client, release_id: str, output: Format, patience: timedelta
) -> ExitCode:
    """Show every change of a release; returns the exit code of its outcome.

    TransientFailure when nobody could be asked for longer than `patience`.
    """
    first = await look(client, release_id)
    last = first
    with _showing(output) as show:
        show(first, "")
        async for seen, note in _looks(client, first, patience):
            show(seen, note)
            last = seen
    return _ending(last)


async def _looks(
    client: Client, seen: Seen, patience: timedelta
) -> AsyncIterator[tuple[Seen, str]]:
    """Look every second until the end; an outage is said, and waited out for a while."""
    release_id = seen.state.request.release_id
    gives_up_at: datetime | None = None
    while not seen.state.is_over and not seen.was_cut_off:
        await asyncio.sleep(POLL.total_seconds())
        try:
            seen, gives_up_at, note = await look(client, release_id), None, ""
        except TransientFailure as failure:
            gives_up_at = gives_up_at or datetime.now(UTC) + patience
            if datetime.now(UTC) >= gives_up_at:
                raise _given_up(release_id, patience, failure) from failure
            note = f"{failure}. {_goes_on(gives_up_at)}"
        yield seen, note


def _goes_on(gives_up_at: datetime) -> str:
    until = f"{gives_up_at.astimezone():%H:%M:%S}"
    return f"The release goes on, nothing of it is lost; looking again until {until}"


def _given_up(release_id: str, patience: timedelta, failure: Exception) -> TransientFailure:
    return TransientFailure(
        f"nobody could be asked about {release_id} for {format_duration(patience)}: {failure}. "
        f"The release goes on; come back: tidegate watch {release_id}"
    )


def _ending(seen: Seen) -> ExitCode:
    if seen.state.outcome is not None:
        return of_outcome(seen.state.outcome)
    complain(f"tidegate: {seen.cut_off_note}")
    ended_by_people = (WorkflowExecutionStatus.TERMINATED, WorkflowExecutionStatus.CANCELED)
    return ExitCode.ABORTED if seen.status in ended_by_people else ExitCode.FAILED


def _showing(output: Format) -> AbstractContextManager[Show]:
    if output is Format.TEXT and is_terminal():
        return _on_screen()
    return nullcontext(_noting(_as_json() if output is Format.JSON else _as_lines()))


@contextmanager
def _on_screen() -> Iterator[Show]:
    """A picture that fits the screen while it changes; the whole of it stays at the end."""
    from rich.live import Live  # noqa: PLC0415 - 0.1 s that lines and JSON do not pay

    from starter.terminal import console  # noqa: PLC0415
    from starter.view import view  # noqa: PLC0415

    last: Seen | None = None
    screen = Live(console=console(), auto_refresh=False, transient=True)

    def show(seen: Seen, note: str) -> None:
        nonlocal last
        last = seen
        now, words = datetime.now(UTC), seen.under_way
        screen.update(view(seen.state, now, note, under_way=words, fits=True), refresh=True)

    try:
        with screen:
            yield show
    finally:
        if last is not None:
            screen.console.print(view(last.state, datetime.now(UTC)))


def _noting(tell: Callable[[ReleaseState], None]) -> Show:
    """What is about the looking itself goes to stderr, once."""
    noted = ""

    def show(seen: Seen, note: str) -> None:
        nonlocal noted
        if note != noted:
            complain(f"tidegate: {note or 'it answers again'}")
        noted = note
        tell(seen.state)

    return show


def _as_lines() -> Callable[[ReleaseState], None]:
    storyteller, calendar = Storyteller(), Calendar(datetime.now(UTC))

    def tell(state: ReleaseState) -> None:
        for event in storyteller.tell(state, datetime.now(UTC)):
            for line in calendar.lines(event):
                say(line)

    return tell


def _as_json() -> Callable[[ReleaseState], None]:
    before: ReleaseState | None = None

    def tell(state: ReleaseState) -> None:
        nonlocal before
        if state != before:
            say_json(state.model_dump(mode="json"), indent=None)
        before = state

    return tell
