"""Commands by which people steer a running release; what they do is in `starter.people`."""

# ruff: noqa: PLC0415, PLR0913 - see `starter.release_commands`.

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from starter import options

Key = Annotated[Path | None, typer.Option(metavar="FILE", help="Private SSH key to sign with.")]
Signature = Annotated[
    Path | None,
    typer.Option(metavar="FILE.sig", help="What `ssh-keygen -Y sign -n tidegate-approval` made."),
]
StatementFile = Annotated[
    Path | None,
    typer.Option("--statement", metavar="FILE", help="The bytes that --signature is over."),
]
Principal = Annotated[
    str | None, typer.Option("--as", metavar="PRINCIPAL", help="Who you are in the policy.")
]
Reason = Annotated[str, typer.Option(help="Why; people and the audit read it.")]
Resolution = Annotated[
    Literal["retry", "skip", "give-up"],
    typer.Argument(help="Try the undo again, go on without it, or leave all as it is."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def register(app: typer.Typer) -> None:
    """Add the commands, in the order in which `--help` shows them."""
    for command in (approve, reject, pause, resume, abort):
        app.command()(command)
    app.command(name="skip-soak")(skip_soak)
    app.command()(promote)
    app.command()(resolve)


def approve(
    release: options.Release,
    *,
    key: Key = None,
    signature: Signature = None,
    statement: StatementFile = None,
    principal: Principal = None,
    reason: Reason = "",
    yes: Yes = False,
) -> int:
    """Look at the frozen evidence and sign it."""
    return _send("approve", release, (key, signature, statement), principal, reason, yes)


def reject(
    release: options.Release,
    *,
    reason: Reason = "",
    key: Key = None,
    signature: Signature = None,
    statement: StatementFile = None,
    principal: Principal = None,
) -> int:
    """Refuse the frozen evidence, with a reason; staging is rolled back."""
    return _send("reject", release, (key, signature, statement), principal, reason, True)


def pause(
    release: options.Release, *, reason: Reason = "", key: Key = None, principal: Principal = None
) -> int:
    """Stop before the next step; what runs is still watched."""
    return _send("pause", release, (key, None, None), principal, reason, True)


def resume(
    release: options.Release,
    *,
    reason: Reason = "",
    key: Key = None,
    signature: Signature = None,
    statement: StatementFile = None,
    principal: Principal = None,
) -> int:
    """Go on after a pause or a halt."""
    return _send("resume", release, (key, signature, statement), principal, reason, True)


def abort(
    release: options.Release, *, reason: Reason = "", key: Key = None, principal: Principal = None
) -> int:
    """End a release, with a reason; everything it did is undone."""
    return _send("abort", release, (key, None, None), principal, reason, True)


def skip_soak(
    release: options.Release,
    *,
    reason: Reason = "",
    key: Key = None,
    signature: Signature = None,
    statement: StatementFile = None,
    principal: Principal = None,
) -> int:
    """Go on to approval before the soak is earned, with a reason that the evidence keeps."""
    return _send("skip-soak", release, (key, signature, statement), principal, reason, True)


def promote(
    release: options.Release,
    *,
    reason: Reason = "",
    key: Key = None,
    signature: Signature = None,
    statement: StatementFile = None,
    principal: Principal = None,
) -> int:
    """Take one held step by your word, with a reason that is kept."""
    return _send("promote", release, (key, signature, statement), principal, reason, True)


def resolve(
    release: options.Release,
    resolution: Resolution,
    *,
    reason: Reason = "",
    key: Key = None,
    signature: Signature = None,
    statement: StatementFile = None,
    principal: Principal = None,
) -> int:
    """Say how a stuck rollback goes on, with a reason; until then every pod is kept."""
    files = (key, signature, statement)
    return _send(f"resolve-{resolution}", release, files, principal, reason, True)


def _send(
    name: str,
    release: str,
    files: tuple[Path | None, Path | None, Path | None],
    principal: str | None,
    reason: str,
    yes: bool,
) -> int:
    from domain.commands import CommandName
    from starter import people
    from starter.signer import Signer

    key, signature, statement = files
    signer = Signer(key=key, signature=signature, statement=statement, principal=principal)
    return people.send(CommandName(name), release, signer, reason, yes)
