"""Who signs a command, and with which key: a file, ssh-agent, or a signature made elsewhere."""

from __future__ import annotations

import getpass
from pathlib import Path

import settings as configuration
from clients import ssh_agent
from clients.files import read_file
from clients.ssh_key import load_private_key, parse_public_key, public_wire
from clients.ssh_signature import sign
from domain.commands import REQUIREMENTS, Command, Statement
from domain.errors import NotFound, PermanentFailure
from domain.policy import Person, Policy
from starter.output import can_ask
from starter.signer import Signer


def signed(statement: Statement, signer: Signer, policy: Policy | None, email: str) -> Command:
    """The command with its signature, where it needs one or a key was given.

    `policy` says whose key is whose; without it the principal is as given, else the e-mail address.
    """
    actor = signer.principal or email
    if signer.signature is not None:
        return _signed_elsewhere(statement, signer, actor)
    if signer.key is not None:
        return _by_file(statement, signer.key, policy, actor)
    if not REQUIREMENTS[statement.command].signed:
        return Command(statement=statement, actor=actor)
    return _by_agent(statement, signer, policy, email)


def _signed_elsewhere(statement: Statement, signer: Signer, actor: str) -> Command:
    assert signer.signature is not None  # noqa: S101 - the caller has looked
    said = _read(signer.statement).encode() if signer.statement else statement.message()
    try:
        original = Statement.model_validate_json(said)
    except ValueError as error:
        raise PermanentFailure(
            f"{signer.statement} is no statement: {error}; write it by `tidegate evidence "
            f"{statement.release} --statement {statement.command}`"
        ) from error
    return Command(statement=original, actor=actor, signature=_read(signer.signature))


def _by_file(statement: Statement, path: Path, policy: Policy | None, actor: str) -> Command:
    passphrase = None
    try:
        key = load_private_key(path, None)
    except NotFound:
        raise
    except PermanentFailure:
        if not can_ask():
            raise
        passphrase = getpass.getpass(f"passphrase of {path}: ")
        key = load_private_key(path, passphrase)
    owner = _owner(public_wire(key), policy)
    signature = sign(statement.message(), path, passphrase=passphrase)
    return Command(statement=statement, actor=owner or actor, signature=signature)


def _by_agent(statement: Statement, signer: Signer, policy: Policy | None, email: str) -> Command:
    socket = configuration.ssh_agent()
    if socket is None:
        raise PermanentFailure(
            f"{statement.command} must be signed; say --key FILE, or start ssh-agent and ssh-add"
        )
    place = Path(socket)
    line, owner = _choose(ssh_agent.list_keys(place), signer.principal, policy)
    return Command(
        statement=statement,
        actor=owner or signer.principal or email,
        signature=ssh_agent.sign(statement.message(), place, line),
    )


def _choose(
    lines: tuple[str, ...], principal: str | None, policy: Policy | None
) -> tuple[str, str | None]:
    """The one key of the agent that counts; PermanentFailure when none or several do."""
    owners = {line: _owner(parse_public_key(line, "the ssh-agent"), policy) for line in lines}
    wanted = [
        line
        for line, owner in owners.items()
        if (owner is not None and principal in (None, owner)) or policy is None
    ]
    if len(wanted) == 1:
        return wanted[0], owners[wanted[0]]
    if not wanted:
        whose = f"of {principal}" if principal else "of the policy's people"
        raise PermanentFailure(f"ssh-agent holds no key {whose}; say --key FILE, or ssh-add one")
    people = ", ".join(sorted({owner or "somebody" for owner in owners.values()}))
    raise PermanentFailure(f"ssh-agent holds keys of {people}; say which: --as PRINCIPAL or --key")


def _owner(wire: bytes, policy: Policy | None) -> str | None:
    people: tuple[Person, ...] = policy.people if policy else ()
    return next(
        (
            person.principal
            for person in people
            if any(parse_public_key(key, person.principal) == wire for key in person.keys)
        ),
        None,
    )


def _read(path: Path) -> str:
    try:
        return read_file(path).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise NotFound(f"{path} cannot be read: {error}; correct the path") from error
