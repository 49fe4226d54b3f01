"""`tidegate evidence`: what an approver signs, exactly as the registry holds it."""

# ruff: noqa: PLC0415 - see `starter.connection`.

from __future__ import annotations

import sys

import settings as configuration
from domain.errors import PermanentFailure
from settings import Settings
from starter.connection import connect
from starter.event_loop import run
from starter.exit_codes import ExitCode


def evidence(release: str, statement: str | None, reason: str) -> ExitCode:
    """Print the evidence's bytes, or those of the statement that a command signs."""
    said = run(_read(release, statement, reason, configuration.load()))
    sys.stdout.buffer.write(said)
    sys.stdout.buffer.flush()
    return ExitCode.OK


async def _read(release: str, statement: str | None, reason: str, settings: Settings) -> bytes:
    client = await connect(settings.temporal)
    from domain.commands import CommandName
    from starter.releases import find, look

    if statement is not None and statement not in set(CommandName):
        known = ", ".join(CommandName)
        raise PermanentFailure(f"there is no command {statement!r} to sign; commands: {known}")
    state = (await look(client, await find(client, release))).state
    from starter.registries import registry_of
    from starter.statements import evidence_bytes, statement_of

    if statement is not None:
        return statement_of(CommandName(statement), state, reason).message()
    async with registry_of(settings) as registry:
        return await evidence_bytes(registry, state) + b"\n"
