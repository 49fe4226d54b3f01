"""`tidegate report`: what a release did and why, as text, as figures, or as one HTML file."""

# ruff: noqa: PLC0415 - see `starter.connection`.

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import settings as configuration
from domain.errors import NotFound, PermanentFailure, TransientFailure
from domain.report_sources import Sources, compile_report
from settings import Settings
from starter.event_loop import run
from starter.exit_codes import ExitCode
from starter.output import Format, say, say_json
from starter.shelf import reference_of

if TYPE_CHECKING:
    from temporalio.client import Client

    from domain.bundle import BundleReference
    from domain.release import ReleaseState
    from domain.running import RunningStep
    from starter.releases import Seen


def report(place: str, html: Path | None, output: Format) -> ExitCode:
    """Show a release, or write its page; UNEXPECTED (1) when a verdict is not what was stored."""
    settings = configuration.load()
    made = compile_report(run(_sources(place, settings)))
    if html is not None:
        from starter.report_page import page

        say(f"written: {html} ({_write(html, page(made)) / 1024:.0f} KiB)")
    if output is Format.JSON:
        say_json(made.model_dump(mode="json"))
    elif html is None:
        from starter.figure_text import plain
        from starter.report_text import text

        told = text(made)
        say(told if _can_show(told) else plain(told).encode("ascii", "replace").decode())
    return ExitCode.UNEXPECTED if made.differs else ExitCode.OK


async def _sources(place: str, settings: Settings) -> Sources:
    if "@" in place:
        return await _of_bundle(reference_of(place), settings)
    from starter.connection import connect

    client = await connect(settings.temporal)
    from starter.releases import find, look

    try:
        seen = await look(client, await find(client, place))
    except NotFound as failure:
        raise NotFound(
            f"{failure}; where Temporal has forgotten it, its bundle has not: tidegate report"
            " REPO@sha256:..."
        ) from failure
    now = await _running(client, seen)
    return await _of_release(seen, now, settings)


async def _of_bundle(reference: BundleReference, settings: Settings) -> Sources:
    from starter.registries import registry_of
    from starter.report_records import read

    async with registry_of(settings) as registry:
        records = await read(registry, reference)
    sources = records.sources(reference, None)
    if not sources.traces and not sources.evidence:
        told = "; ".join(records.notes)
        raise NotFound(
            f"{reference} has no record of a release that could be read"
            f"{f' ({told})' if told else ': it was built, and never reached the approval gate'}"
        )
    return sources


async def _running(client: Client, seen: Seen) -> RunningStep | str | None:
    """What is judged now; asked before the registry, which may get its blocks meanwhile."""
    if seen.state.is_over or seen.was_cut_off:
        return None
    from starter import running_step

    return await running_step.read(client, seen.state.request.release_id)


async def _of_release(seen: Seen, now: RunningStep | str | None, settings: Settings) -> Sources:
    state = seen.state
    sources = Sources(reference=state.bundle)
    if state.bundle is not None:
        running = None if isinstance(now, str) else now
        sources = await _of_state(state, state.bundle, running, settings)
    notes = (now, *sources.notes) if isinstance(now, str) else sources.notes
    if seen.was_cut_off:
        notes = (seen.cut_off_note, *notes)
    return replace(sources, state=state, notes=notes, now=datetime.now(UTC))


async def _of_state(
    state: ReleaseState, reference: BundleReference, running: RunningStep | None, settings: Settings
) -> Sources:
    """The records of a release; a registry that is away takes the plots, not the report."""
    from domain.running import running_trace
    from starter.registries import registry_of
    from starter.report_records import read

    try:
        async with registry_of(settings) as registry:
            records = await read(registry, reference)
            return records.sources(reference, state.request.release_id, running)
    except (TransientFailure, PermanentFailure) as failure:
        told = f"neither blocks nor evidence could be read: {failure}"
        drawn = () if running is None else (running_trace(running, None if running.chunks else ()),)
        return Sources(reference=reference, traces=drawn, notes=(told,))


def _can_show(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _write(file: Path, content: bytes) -> int:
    """Replace the file as a whole; nothing is left of a try that failed."""
    partial = file.with_name(f".{file.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(file)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise PermanentFailure(f"{file} cannot be written: {error.strerror}") from error
    return len(content)
