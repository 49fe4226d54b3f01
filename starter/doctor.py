"""`tidegate doctor`: every connection is tried; what fails, and how to fix it."""

# ruff: noqa: PLC0415 - see `starter.connection`: the rest is imported while Temporal answers.

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import settings as configuration
from settings import Settings
from starter.event_loop import run
from starter.examination import Check, examined
from starter.exit_codes import ExitCode
from starter.output import Format, say, say_json

# Long enough for the call to Temporal to leave before imports keep the loop busy.
A_MOMENT = 0.001


def doctor(output: Format) -> ExitCode:
    """Print every check; 1 when any fails."""
    checks = run(examine(configuration.load()))
    if output is Format.JSON:
        say_json([check._asdict() for check in checks])
    else:
        _show(checks)
    return ExitCode.OK if all(check.ok for check in checks) else ExitCode.UNEXPECTED


async def examine(settings: Settings) -> list[Check]:
    """Try everything at once; the answers keep the order of the connection file."""
    from starter import doctor_temporal

    first = [asyncio.create_task(examined(one)) for one in doctor_temporal.examinations(settings)]
    await asyncio.sleep(A_MOMENT)
    from starter import doctor_people

    parts = doctor_people.examinations(settings)
    if settings.environments:
        from starter import doctor_clusters

        parts += doctor_clusters.examinations(settings)
    found = await asyncio.gather(*first, *map(examined, parts))
    return [check for checks in found for check in checks]


def _show(checks: Sequence[Check]) -> None:
    width = max(len(check.name) for check in checks)
    for check in checks:
        say(f"{'✔' if check.ok else '✘'} {check.name:<{width}}  {check.sentence}")
        if not check.ok and check.fix:
            say(f"  {'':<{width}}  {check.fix}")
    failed = sum(not check.ok for check in checks)
    say(f"\n{len(checks) - failed} of {len(checks)} are well")
