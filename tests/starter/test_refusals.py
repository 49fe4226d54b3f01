"""What the real gate refuses, as a person at the command line reads it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.client import Client

from activities.approval import Approval
from activities.archive import Archive
from clients.policy_source import PolicySource
from clients.registry import Registry
from domain.commands import APPROVAL_NAMESPACE, Statement
from tests.support.cli import Cli
from tests.support.gate import freeze
from tests.support.registry import running_registry
from tests.support.release_records import change, request
from tests.support.ssh_keys import SSH_KEYGEN, KeyFile, keygen_sign, make_key
from tests.support.stand_in_release import Release, answering

pytestmark = pytest.mark.skipif(SSH_KEYGEN is None, reason="needs OpenSSH's programs")


@pytest.fixture
async def gated(
    cli: Cli, silent_temporal: Client, key: KeyFile, tmp_path: Path
) -> AsyncIterator[Release]:
    """A release at the gate, whose signatures the real activity verifies by alice's policy."""
    policy = PolicySource(str(tmp_path / "keyed"), "main", "policy.yaml", cache=tmp_path / "gate")
    async with (
        running_registry(tmp_path / "registry") as server,
        Registry([server.address]) as registry,
        answering(silent_temporal, Approval(Archive(registry), policy).verify_command),
    ):
        cli.connect(registry={"default": server.address, "plain_http": [server.address]})
        release = await Release.started(silent_temporal, request())
        await freeze(registry, release, f"{server.address}/isa/album")
        await release.becomes(change=change())
        yield release


async def refused(cli: Cli, release: Release, *words: str) -> str:
    """The one message with which a command does not count; it changed nothing."""
    done = await cli.run(*words)
    assert done.code == 5, done.err
    assert done.err.count("\n") == 1
    assert "Traceback" not in done.err
    assert release.id in done.err
    assert (await release.now()).commands == ()
    return done.err


def approve_with(signature: Path, *words: str) -> tuple[str, ...]:
    """An approval by a signature that was made elsewhere."""
    return ("approve", "album", "--signature", str(signature), "--as", "alice", "--yes", *words)


async def test_an_approval_that_the_gate_accepts_counts(
    cli: Cli, gated: Release, key: KeyFile
) -> None:
    done = await cli.run("approve", "album", "--key", str(key.path), "--yes")
    assert (done.code, len((await gated.now()).commands)) == (0, 1), done.err


async def test_an_author_may_not_approve(cli: Cli, gated: Release, key: KeyFile) -> None:
    await gated.becomes(change=change(authors=("alice@example.com",)))
    said = await refused(cli, gated, "approve", "album", "--key", str(key.path), "--yes")
    assert "alice wrote part of this change; somebody else must decide" in said


async def test_who_started_the_release_may_not_approve(
    cli: Cli, gated: Release, key: KeyFile
) -> None:
    await gated.becomes(change=change(started_by="alice@example.com"))
    said = await refused(cli, gated, "approve", "album", "--key", str(key.path), "--yes")
    assert "alice started this release; somebody else must decide" in said


async def test_a_key_that_the_policy_does_not_list_is_named(
    cli: Cli, gated: Release, tmp_path: Path
) -> None:
    stranger = make_key(tmp_path / "stranger", "-t", "ed25519")
    said = await refused(cli, gated, "approve", "album", "--key", str(stranger.path), "--yes")
    assert "unknown key SHA256:" in said
    assert "one of: alice" in said


async def test_a_signature_of_something_else_is_refused_with_how_to_make_it(
    cli: Cli, gated: Release, key: KeyFile, tmp_path: Path
) -> None:
    statement = (await cli.run("evidence", "album", "--statement", "approve")).out.encode()
    signature = tmp_path / "sig"
    signature.write_text(keygen_sign(key, statement, "file"))
    said = await refused(cli, gated, *approve_with(signature))
    assert "ssh-keygen -Y sign -n tidegate-approval" in said
    signature.write_text(keygen_sign(key, b"something else", APPROVAL_NAMESPACE))
    await refused(cli, gated, *approve_with(signature))
    signature.write_text("no signature at all")
    said = await refused(cli, gated, *approve_with(signature))
    assert "-----BEGIN SSH SIGNATURE-----" in said


async def test_an_expired_signature_is_refused_with_when_it_expired(
    cli: Cli, gated: Release, key: KeyFile, tmp_path: Path
) -> None:
    printed = await cli.run("evidence", "album", "--statement", "approve")
    fresh = Statement.model_validate_json(printed.out)
    expired = fresh.with_(expires_at=datetime.now(UTC) - timedelta(seconds=1)).message()
    statement, signature = tmp_path / "statement", tmp_path / "statement.sig"
    statement.write_bytes(expired)
    signature.write_text(keygen_sign(key, expired, APPROVAL_NAMESPACE))
    words = approve_with(signature, "--statement", str(statement))
    assert "the signature expired at" in await refused(cli, gated, *words)
