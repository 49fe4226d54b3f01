from __future__ import annotations

import asyncio
import json
import re
from contextlib import AsyncExitStack

import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from domain.phases import Outcome, Phase
from domain.release import StageRecord
from starter.exit_codes import of_outcome
from tests.support.cli import Cli
from tests.support.release_records import NOON, request
from tests.support.screen import Screen
from tests.support.stand_in_release import Release, answering
from tests.support.temporal import own_dev_server
from tests.support.wire import wire


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
    assert re.search(f"{outcome} after .*: that was it$", done.out.rstrip())


async def test_a_pipe_gets_one_line_per_change(cli: Cli, release: Release) -> None:
    watching = await cli.start("watch", "album")
    stage = StageRecord(phase=Phase.SOAK, title="soak", started_at=NOON)
    await release.becomes(phase=Phase.SOAK, stages=(stage,), waiting_for="healthy time")
    await watching.line("▶ soak")
    await watching.line("waiting for healthy time")
    canary = StageRecord(phase=Phase.CANARY, title="production canary", started_at=NOON)
    ended = stage.with_(ended_at=NOON, ok=True, sentence="24h earned")
    await release.becomes(stages=(ended,), waiting_for=None)
    await watching.line("✔ soak: 24h earned")
    await release.becomes(phase=Phase.CANARY, stages=(ended, canary), weight=10)
    await watching.line("10 % to the new revision")
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


async def test_an_outage_of_temporal_is_said_within_seconds_and_the_watch_goes_on_after_it(
    cli: Cli, release: Release, temporal: Client
) -> None:
    async with wire(temporal.service_client.config.target_host) as connection:
        cli.connect(temporal={"address": connection.address, "namespace": temporal.namespace})
        await release.becomes(waiting_for="healthy time")
        watching = await cli.start("watch", release.id)
        await watching.line("waiting for healthy time")
        await connection.cut()
        async with asyncio.timeout(10):
            said = await watching.problem("Temporal does not answer")
        assert f"at {connection.address}" in said
        assert "The release goes on" in said
        assert "looking again until" in said
        await connection.mend()
        await watching.problem("it answers again")
        await release.becomes(outcome=Outcome.RELEASED, sentence="done")
        done = await watching.end()
    assert (done.code, done.err) == (0, "")


async def test_a_temporal_that_stays_away_ends_the_watch_as_unreachable(cli: Cli) -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(own_dev_server())
        address = server.client.service_client.config.target_host
        cli.connect(temporal={"address": address})
        async with answering(server.client):
            release = await Release.started(server.client, request())
            await release.becomes(waiting_for="healthy time")
            watching = await cli.start("watch", "album", "--patience", "1s")
            await watching.line("waiting for healthy time")
        await stack.aclose()
        done = await watching.end()
    assert done.code == 3
    first, last = done.err.splitlines()
    assert f"Temporal does not answer at {address}" in first
    assert f"nobody could be asked about {release.id} for 1s" in last
    assert f"The release goes on; come back: tidegate watch {release.id}" in last


async def test_a_worker_that_stays_away_is_not_taken_for_a_temporal_that_does(
    cli: Cli, silent_temporal: Client
) -> None:
    async with answering(silent_temporal):
        release = await Release.started(silent_temporal, request())
        await release.becomes(waiting_for="healthy time")
        watching = await cli.start("watch", release.id, "--patience", "1s")
        await watching.line("waiting for healthy time")
    done = await watching.end()
    assert done.code == 3
    assert "tidegate worker --role control" in done.err
    assert "Temporal does not answer" not in done.err


@pytest.mark.parametrize("words", ["soon", "-1s", "0s", "5"])
async def test_a_patience_that_is_no_duration_is_bad_input(cli: Cli, words: str) -> None:
    done = await cli.run("watch", "album", f"--patience={words}")
    assert (done.code, "--patience" in done.err) == (2, True)


async def test_on_a_terminal_the_whole_picture_stays_after_ctrl_c(
    cli: Cli, release: Release
) -> None:
    await release.becomes(waiting_for="healthy time in staging", sentence="so far so good")
    screen = await Screen.of(cli, "watch", release.id)
    await screen.shows("waiting for healthy time in staging")
    screen.press(b"\x03")
    assert await screen.end() == 130
    assert f"The release goes on. Come back: tidegate watch {release.id}" in screen.text
    picture = screen.text.rpartition("\x1b[?25h")[2]
    assert "waiting for healthy time in staging" in picture
