from __future__ import annotations

import json

import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from domain.phases import Outcome, Phase
from domain.release import StageRecord
from starter.exit_codes import of_outcome
from tests.support.cli import Cli
from tests.support.release_records import NOON, request
from tests.support.stand_in_release import Release


@pytest.fixture
async def release(temporal: Client) -> Release:
    """A release whose state the test makes."""
    return await Release.started(temporal, request())


@pytest.mark.parametrize("outcome", Outcome)
async def test_watching_ends_with_the_release_and_its_outcome_is_the_exit_code(
    cli: Cli, release: Release, outcome: Outcome
) -> None:
    await release.becomes(outcome=outcome, sentence="that was it", phase=Phase.DONE)
    done = await cli.run("watch", release.id)
    assert done.code == of_outcome(outcome)
    assert done.out.splitlines()[-1].endswith(f"{outcome}: that was it")


async def test_a_pipe_gets_one_line_per_change(cli: Cli, release: Release) -> None:
    watching = await cli.start("watch", "album")
    stage = StageRecord(phase=Phase.SOAK, title="soak", started_at=NOON)
    await release.becomes(phase=Phase.SOAK, stages=(stage,), waiting_for="healthy time")
    await watching.line("▶ soak")
    await watching.line("waiting for healthy time")
    ended = stage.with_(ended_at=NOON, ok=True, sentence="24h earned")
    await release.becomes(stages=(ended,), waiting_for=None, weight=10)
    await watching.line("✔ soak (0s): 24h earned")
    await watching.line("production: 10 % to the new revision")
    await release.becomes(outcome=Outcome.RELEASED, sentence="done")
    done = await watching.end()
    assert done.code == 0
    assert "\x1b" not in done.out
    assert len(done.out.splitlines()) == len(set(done.out.splitlines()))


async def test_json_is_one_state_per_change(cli: Cli, release: Release) -> None:
    watching = await cli.start("watch", release.id, "--output", "json")
    await watching.line('"weight": 0')
    await release.becomes(weight=50)
    await watching.line('"weight": 50')
    await release.becomes(outcome=Outcome.ROLLED_BACK)
    done = await watching.end()
    states = [json.loads(line) for line in done.out.splitlines() if line]
    assert [state["outcome"] for state in states] == [None, None, "ROLLED_BACK"]
    assert done.code == 10


async def test_ctrl_c_leaves_the_release_running_and_says_how_to_come_back(
    cli: Cli, release: Release
) -> None:
    await release.becomes(waiting_for="healthy time")
    watching = await cli.start("watch", "album")
    await watching.line("waiting for healthy time")
    watching.interrupt()
    done = await watching.end()
    assert done.code == 130
    assert f"The release goes on. Come back: tidegate watch {release.id}" in done.err
    assert "Traceback" not in done.err
    described = await release.handle.describe()
    assert described.status is WorkflowExecutionStatus.RUNNING


async def test_a_release_that_is_terminated_ends_the_watch_as_aborted(
    cli: Cli, release: Release
) -> None:
    await release.becomes(waiting_for="healthy time")
    watching = await cli.start("watch", release.id)
    await watching.line("waiting for healthy time")
    await release.handle.terminate("by an admin")
    done = await watching.end()
    assert done.code == 15
    assert f"rollback-{release.id}" in done.err
