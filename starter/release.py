"""`tidegate release`: everything is checked first, then one workflow is started."""

# ruff: noqa: PLC0415 - a plan with errors need not wait for Temporal's client to be imported.

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import settings as configuration
from domain.errors import PermanentFailure
from domain.images import Reference
from domain.release import ReleaseRequest
from settings import Settings
from starter.event_loop import run
from starter.exit_codes import ExitCode
from starter.output import Format, say, say_json
from starter.scan_report import ScanReport, read_report
from starter.source import find_source, person, read_policy


@dataclass(frozen=True)
class Order:
    """What was asked for on the command line."""

    service: str
    revision: str
    image: str | None
    scan_report: Path | None
    repository: str
    by: str | None


def release(order: Order, *, watch: bool, output: Format) -> int:
    """Start a release, say how to follow it, and follow it when asked to."""
    settings = configuration.load()
    request, link = run(_start(order, settings))
    _say_started(request, link, output)
    if not watch:
        return ExitCode.OK
    from starter.watch import watch as watch_release

    return watch_release(request.release_id, output)


async def _start(order: Order, settings: Settings) -> tuple[ReleaseRequest, str | None]:
    """Nothing outside is written before everything that can be checked was."""
    request, report = await _checked(order, settings)
    from starter.launch import launch

    return await launch(request, report, settings)


async def _checked(order: Order, settings: Settings) -> tuple[ReleaseRequest, ScanReport | None]:
    source = await find_source(order.repository, order.revision, settings)
    await source.refuse_dirty()
    plan = await source.plan(order.service, await read_policy(settings))
    image = _by_digest(order.image) if order.image else None
    report = read_report(order.scan_report, image, plan) if order.scan_report else None
    request = ReleaseRequest(
        release_id="not started yet",
        service=order.service,
        source=source.place,
        commit=source.commit,
        image=str(image) if image else None,
        started_by=await person(order.repository, order.by),
        plan=plan,
    )
    return request, report


def _by_digest(text: str) -> Reference:
    reference = Reference.parse(text)
    if reference.digest is None:
        raise PermanentFailure(
            f"image {text} is named by a tag, which can move; name it by digest: "
            f"{reference.repository}@sha256:..."
        )
    return reference


def _say_started(request: ReleaseRequest, link: str | None, output: Format) -> None:
    if output is Format.JSON:
        said = request.model_dump(include={"service", "commit", "image", "started_by"})
        say_json({"release": request.release_id, **said, "ui": link}, indent=None)
        return
    say(request.release_id)
    say(f"  commit   {request.commit[:10]} of {request.source}")
    say(f"  watch    tidegate watch {request.release_id}")
    say(f"  approve  tidegate approve {request.release_id}")
    if link:
        say(f"  look     {link}")
