from __future__ import annotations

import asyncio
import os
import pty
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio.client import Client

from clients.ssh_signature import AllowedKey, verify
from domain.commands import APPROVAL_NAMESPACE, RESOLUTIONS, CommandName
from domain.environments import CONTROL_QUEUE, rollback_id
from domain.evidence import Evidence
from domain.holds import Hold
from domain.phases import Outcome, Phase
from tests.support.cli import Cli
from tests.support.gate import EXPIRES_AT
from tests.support.git import Worktree
from tests.support.release_records import request
from tests.support.ssh_keys import (
    SSH_AGENT,
    SSH_KEYGEN,
    KeyFile,
    keygen_sign,
    make_key,
    running_agent,
)
from tests.support.stand_in_release import Release, StandInRelease

pytestmark = pytest.mark.skipif(
    SSH_KEYGEN is None or SSH_AGENT is None, reason="needs OpenSSH's programs"
)


async def test_an_approval_shows_the_evidence_and_signs_exactly_it(
    cli: Cli, waiting: Release, key: KeyFile
) -> None:
    done = await cli.run("approve", "album", "--key", str(key.path), "--yes")
    assert done.code == 0, done.err
    for said in (
        *("stranger@example.org", "19 unit tests passed", "nothing found", "LOG_LEVEL"),
        *("rehearsed in 0.4 s", "rehearsal clock: the plan says 1d", f"sha256:{'1' * 64}"),
    ):
        assert said in done.out
    (accepted,) = (await waiting.now()).commands
    statement = accepted.command.statement
    assert waiting.state.evidence is not None
    assert (statement.evidence, statement.expires_at) == (
        waiting.state.evidence.digest,
        EXPIRES_AT,
    )
    assert accepted.command.actor == "alice"
    signer = verify(
        statement.message(),
        accepted.command.signature or "",
        [AllowedKey("alice", key.public)],
        APPROVAL_NAMESPACE,
    )
    assert signer == "alice"


async def test_approving_twice_is_one_approval(cli: Cli, waiting: Release, key: KeyFile) -> None:
    for _ in range(2):
        done = await cli.run("approve", "album", "--key", str(key.path), "--yes")
        assert (done.code, done.out.splitlines()[-1]) == (0, "approve by alice")
    assert len((await waiting.now()).commands) == 1


async def test_what_ssh_keygen_signed_over_the_printed_statement_is_sent_as_it_is(
    cli: Cli, waiting: Release, key: KeyFile, tmp_path: Path
) -> None:
    printed = await cli.run("evidence", "album", "--statement", "approve")
    assert printed.code == 0, printed.err
    signature = tmp_path / "approve.sig"
    signature.write_text(keygen_sign(key, printed.out.encode(), APPROVAL_NAMESPACE))
    done = await cli.run(
        "approve", "album", "--signature", str(signature), "--as", "alice", "--yes"
    )
    assert done.code == 0, done.err
    (accepted,) = (await waiting.now()).commands
    assert accepted.command.statement.message() == printed.out.encode()
    assert accepted.command.signature == signature.read_text()


async def test_a_statement_file_makes_any_command_signable_elsewhere(
    cli: Cli, waiting: Release, key: KeyFile, tmp_path: Path
) -> None:
    printed = await cli.run("evidence", "album", "--statement", "resume", "--reason", "checked")
    statement, signature = tmp_path / "resume", tmp_path / "resume.sig"
    statement.write_text(printed.out)
    signature.write_text(keygen_sign(key, printed.out.encode(), APPROVAL_NAMESPACE))
    files = ("--signature", str(signature), "--statement", str(statement))
    done = await cli.run("resume", "album", *files, "--as", "alice")
    assert done.code == 0, done.err
    (accepted,) = (await waiting.now()).commands
    assert accepted.command.statement.message() == printed.out.encode()


async def test_the_one_key_of_the_agent_that_the_policy_lists_signs(
    cli: Cli, waiting: Release, key: KeyFile, tmp_path: Path
) -> None:
    other = make_key(tmp_path / "other", "-t", "ed25519")
    with running_agent(other, key) as socket:
        cli.variables["SSH_AUTH_SOCK"] = str(socket)
        done = await cli.run("approve", "album", "--yes")
    assert done.code == 0, done.err
    assert (await waiting.now()).commands[0].principal == "alice"


async def test_an_agent_without_a_key_of_the_policy_is_bad_input(
    cli: Cli, waiting: Release, key: KeyFile, tmp_path: Path
) -> None:
    with running_agent(make_key(tmp_path / "other", "-t", "ed25519")) as socket:
        cli.variables["SSH_AUTH_SOCK"] = str(socket)
        done = await cli.run("approve", "album", "--yes")
    assert done.code == 2
    assert "ssh-agent holds no key of the policy's people" in done.err


async def test_without_key_and_agent_a_signed_command_says_what_to_give(
    cli: Cli, waiting: Release
) -> None:
    done = await cli.run("approve", "album", "--yes")
    assert done.code == 2
    assert "say --key FILE" in done.err
    assert (await waiting.now()).commands == ()


async def test_a_refusal_is_told_and_has_its_exit_code(cli: Cli, waiting: Release) -> None:
    done = await cli.run("pause", "album", "--as", "mallory")
    assert done.code == 5
    assert "pause refused: mallory wrote the change" in done.err


async def test_pause_and_abort_need_no_signature_but_carry_one_when_a_key_is_given(
    cli: Cli, waiting: Release, key: KeyFile
) -> None:
    assert (await cli.run("pause", "album")).code == 0
    assert (await cli.run("abort", "album", "--reason", "enough", "--key", str(key.path))).code == 0
    pause, abort = (await waiting.now()).commands
    assert (pause.command.actor, pause.verified) == ("dana@example.com", False)
    assert (abort.command.actor, abort.verified) == ("alice", True)
    soon = datetime.now(UTC) + timedelta(minutes=11)
    assert abort.command.statement.expires_at < soon


@pytest.mark.parametrize("command", ["reject", "abort", "skip-soak", "promote"])
async def test_a_command_that_needs_a_reason_is_refused_without_before_anything_is_asked(
    cli: Cli, command: str
) -> None:
    done = await cli.run(command, "album")
    assert done.code == 2
    assert "say --reason" in done.err


async def test_every_command_to_a_finished_release_is_refused_clearly(
    cli: Cli, temporal: Client
) -> None:
    release = await Release.started(temporal, request())
    await release.becomes(phase=Phase.DONE, outcome=Outcome.ROLLED_BACK, sentence="was worse")
    for name in (name for name in CommandName if name not in RESOLUTIONS):
        reason = ("--reason", "late") if name in ("reject", "abort", "skip-soak", "promote") else ()
        done = await cli.run(name, release.id, *reason)
        assert (done.code, done.err.count("\n")) == (5, 1)
        assert "the release is over, it ended ROLLED_BACK; tidegate status" in done.err


@pytest.mark.parametrize("resolution", ["retry", "skip", "give-up"])
async def test_a_resolution_is_signed_and_goes_to_the_rollback_not_to_the_release(
    cli: Cli, temporal: Client, waiting: Release, key: KeyFile, resolution: str
) -> None:
    id = rollback_id(waiting.id)
    await temporal.start_workflow(
        StandInRelease.run, waiting.state.request, id=id, task_queue=CONTROL_QUEUE
    )
    said = ("--reason", "seen", "--key", str(key.path))
    done = await cli.run("resolve", waiting.id, resolution, *said)
    assert done.code == 0, done.err
    rollback = temporal.get_workflow_handle_for(StandInRelease.run, id)
    (accepted,) = (await rollback.query(StandInRelease.state)).commands
    assert accepted.command.name == f"resolve-{resolution}"
    assert accepted.command.statement.release == waiting.id
    assert accepted.verified
    assert (await waiting.now()).commands == ()


async def test_a_resolution_without_a_rollback_is_refused(
    cli: Cli, waiting: Release, key: KeyFile
) -> None:
    said = ("--reason", "seen", "--key", str(key.path))
    done = await cli.run("resolve", waiting.id, "skip", *said)
    assert done.code == 5
    assert "resolve-skip refused: no rollback is running" in done.err


async def test_an_approval_before_its_time_says_which_phase_it_waits_for(
    cli: Cli, temporal: Client
) -> None:
    release = await Release.started(temporal, request())
    await release.becomes(phase=Phase.SOAK)
    done = await cli.run("approve", release.id)
    assert done.code == 5
    assert "approve counts in the phase approval; the release is in soak" in done.err


async def test_nobody_to_ask_and_no_yes_changes_nothing(
    cli: Cli, waiting: Release, key: KeyFile
) -> None:
    done = await cli.run("approve", "album", "--key", str(key.path))
    assert done.code == 2
    assert "--yes" in done.err
    assert (await waiting.now()).commands == ()


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 5), (b"y\n", 0)])
async def test_a_person_is_asked_and_only_yes_signs(
    cli: Cli, waiting: Release, key: KeyFile, answer: bytes, code: int
) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    try:
        assert await _at_terminal(cli, theirs, "approve", "album", "--key", str(key.path)) == code
    finally:
        os.close(ours)
    assert len((await waiting.now()).commands) == (code == 0)


async def _at_terminal(cli: Cli, terminal: int, *arguments: str) -> int:
    """Run a command with a terminal before it; returns its exit code."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "starter.cli", *arguments),
        cwd=cli.directory,
        env=cli.environment,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    return await process.wait()


async def test_contradicting_options_are_bad_input(cli: Cli) -> None:
    both = await cli.run("approve", "album", "--key", "a", "--signature", "b")
    assert (both.code, "not both" in both.err) == (2, True)
    alone = await cli.run("approve", "album", "--statement", "a")
    assert (alone.code, "give both" in alone.err) == (2, True)


async def test_evidence_is_printed_as_the_registry_holds_it(cli: Cli, waiting: Release) -> None:
    done = await cli.run("evidence", "album")
    assert Evidence.model_validate_json(done.out).release_id == waiting.id


async def test_evidence_before_the_gate_opened_is_not_found(
    cli: Cli, temporal: Client, repository: Worktree
) -> None:
    release = await Release.started(temporal, request())
    for words in ((), ("--statement", "approve")):
        done = await cli.run("evidence", release.id, *words)
        assert done.code == 4
        assert release.id in done.err


async def test_a_statement_for_an_unknown_command_names_the_known_ones(
    cli: Cli, waiting: Release
) -> None:
    done = await cli.run("evidence", "album", "--statement", "aprove")
    assert done.code == 2
    assert "approve, reject" in done.err


HELD = Hold(
    phase=Phase.CANARY,
    weight=10,
    reason="stable_bad",
    sentence="Holding on errors: stable is over the limit",
    since=datetime(2026, 3, 1, 12, tzinfo=UTC),
)


async def test_a_promote_names_the_hold_that_was_looked_at(
    cli: Cli, waiting: Release, key: KeyFile
) -> None:
    await waiting.becomes(phase=Phase.CANARY, held=HELD)
    reasoned = ("--reason", "the canary is the fix")
    done = await cli.run("promote", "album", *reasoned, "--key", str(key.path))
    assert (done.code, done.out) == (0, "promote by alice\n"), done.err
    (accepted,) = (await waiting.now()).commands
    statement = accepted.command.statement
    assert (statement.held, statement.evidence) == (HELD.name, None)
    assert statement.held == "canary 10 % stable_bad since 2026-03-01T12:00:00.000+00:00"


async def test_what_keygen_signs_of_a_promote_is_about_the_hold_too(
    cli: Cli, waiting: Release, key: KeyFile, tmp_path: Path
) -> None:
    await waiting.becomes(phase=Phase.CANARY, held=HELD)
    printed = await cli.run("evidence", "album", "--statement", "promote", "--reason", "the fix")
    assert f'"held":"{HELD.name}"' in printed.out
    said, signature = tmp_path / "promote", tmp_path / "promote.sig"
    said.write_text(printed.out)
    signature.write_text(keygen_sign(key, printed.out.encode(), APPROVAL_NAMESPACE))
    files = ("--signature", str(signature), "--statement", str(said), "--as", "alice")
    done = await cli.run("promote", "album", "--reason", "the fix", *files)
    assert done.code == 0, done.err
    assert (await waiting.now()).commands[0].command.statement.held == HELD.name


async def test_nothing_is_promoted_while_nothing_is_held(
    cli: Cli, waiting: Release, key: KeyFile
) -> None:
    await waiting.becomes(phase=Phase.CANARY)
    done = await cli.run("promote", "album", "--reason", "hurry", "--key", str(key.path))
    assert done.code == 4
    assert "holds for nothing that a person could promote; it is in canary" in done.err
    assert (await waiting.now()).commands == ()


async def test_a_hold_is_shown_with_what_a_person_can_do(cli: Cli, waiting: Release) -> None:
    await waiting.becomes(phase=Phase.CANARY, held=HELD)
    done = await cli.run("status", "album")
    assert "(stable bad): a release manager can promote it" in done.out
    await waiting.becomes(phase=Phase.CANARY, held=HELD.with_(reason="no_data"))
    done = await cli.run("status", "album")
    assert "(no data): nobody can promote it" in done.out
