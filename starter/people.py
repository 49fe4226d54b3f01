"""approve, reject, pause, ... resolve: one command, sent as an update, answered."""

# ruff: noqa: PLC0415 - see `starter.connection`.

from __future__ import annotations

from typing import TYPE_CHECKING

import settings as configuration
from domain.commands import REQUIREMENTS, Answer, Command, CommandName
from domain.errors import PermanentFailure
from settings import Settings
from starter.connection import connect
from starter.event_loop import run
from starter.exit_codes import ExitCode, Refused
from starter.output import can_ask, say
from starter.signer import Signer

if TYPE_CHECKING:
    from starter.prospect import Prospect


def send(name: CommandName, release: str, signer: Signer, reason: str, yes: bool) -> ExitCode:
    """Send one command and say the answer; Refused when it does not count."""
    signer.check()
    if REQUIREMENTS[name].needs_reason and not reason.strip() and signer.statement is None:
        raise PermanentFailure(f"{name} needs a reason; say --reason TEXT")
    settings = configuration.load()
    # Asking for a decision or a passphrase blocks: it happens outside the event loop, where
    # Ctrl-C ends it.
    prospect = run(_look_ahead(name, release, signer, settings))
    if prospect.evidence is not None:
        _ask(prospect, yes)
    answer = run(_send(settings, _command(name, prospect, signer, reason)))
    if not answer.accepted:
        raise Refused(f"{prospect.state.request.release_id}: {answer.sentence}")
    say(answer.sentence)
    return ExitCode.OK


async def _look_ahead(
    name: CommandName, release: str, signer: Signer, settings: Settings
) -> Prospect:
    client = await connect(settings.temporal)
    from starter.prospect import look_ahead

    return await look_ahead(client, settings, name, release, signer)


def _command(name: CommandName, prospect: Prospect, signer: Signer, reason: str) -> Command:
    from starter.signing import signed
    from starter.statements import statement_of

    statement = statement_of(name, prospect.state, reason)
    return signed(statement, signer, prospect.policy, prospect.email)


async def _send(settings: Settings, command: Command) -> Answer:
    client = await connect(settings.temporal)
    from starter.submission import submit

    return await submit(client, command)


def _ask(prospect: Prospect, yes: bool) -> None:
    from starter.evidence_summary import summary

    assert prospect.evidence is not None  # noqa: S101 - the caller has looked
    say(summary(prospect.evidence, prospect.state))
    if yes:
        return
    if not can_ask():
        raise PermanentFailure("nobody can be asked here; say --yes once you have looked")
    if input("Approve and sign this? [y/N] ").strip().lower() not in ("y", "yes"):
        raise Refused(f"{prospect.state.request.release_id} was not approved: you said no")
