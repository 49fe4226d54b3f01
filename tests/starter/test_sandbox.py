from __future__ import annotations

import json
import os
import signal
import socket
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import settings
from clients.policy_source import PolicySource
from starter.process_records import ProcessRecords
from starter.sandbox_files import toml
from tests.starter.conftest import Told
from tests.support.cli import Cli, Running
from tests.support.conditions import eventually


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
async def up(cli: Cli, state: Path) -> AsyncIterator[Running]:
    """A sandbox with its workers, ready."""
    async with _ended(await _up(cli, state)) as running:
        yield running


@pytest.fixture
async def bare(cli: Cli, state: Path) -> AsyncIterator[Running]:
    """A sandbox without workers, ready."""
    async with _ended(await _up(cli, state, "--no-workers")) as running:
        yield running


@asynccontextmanager
async def _ended(running: Running) -> AsyncIterator[Running]:
    yield running
    if running.process.returncode is None:
        running.interrupt()
        await running.end()


async def _up(cli: Cli, state: Path, *options: str) -> Running:
    running = await cli.start("sandbox", "up", "--state", str(state), "--speed", "50", *options)
    await running.line("The sandbox is ready")
    return running


def alive(state: Path) -> list[str]:
    return [one.name for one in ProcessRecords(state / "processes.json").alive()]


async def test_a_sandbox_with_workers_is_well_by_the_doctors_judgement(
    cli: Cli, state: Path
) -> None:
    running = await cli.start("sandbox", "up", "--state", str(state), "--speed", "50")
    await running.line("The sandbox is ready")
    cli.variables["TIDEGATE_CONFIG"] = str(state / "tidegate.toml")
    done = await cli.run("doctor", "--output", "json")
    checks = json.loads(done.out)
    assert [check for check in checks if not check["ok"]] == []
    assert done.code == 0
    assert {"temporal", "search attributes", "worker build", "staging rights"} <= {
        check["name"] for check in checks
    }
    running.interrupt()
    ended = await running.end()
    assert (ended.code, ended.err) == (0, "")
    assert alive(state) == []


async def test_its_files_give_the_build_role_no_cluster_and_keys_to_their_owner_only(
    bare: Running, state: Path
) -> None:
    people = settings.load(state / "tidegate.toml")
    assert [name.value for name in people.environments] == ["staging", "production"]
    scrape = people.environments[next(iter(people.environments))].scrape
    assert scrape.total_seconds() == pytest.approx(10 / 50)
    build = settings.load(state / "build" / "tidegate.toml")
    assert (build.environments, build.slack) == ({}, None)
    assert build.registry.default == people.registry.default
    place = people.policy_place()
    policy, _ = await PolicySource(place.repository, place.ref, place.path).fetch()
    assert policy.rehearsal
    assert {person.principal for person in policy.people} == {"alice", "bob"}
    assert (state / "keys" / "alice").stat().st_mode & 0o077 == 0
    # Inside a work tree it must not make the tree dirty.
    assert (state / ".gitignore").read_text() == "*\n"


async def test_a_second_sandbox_in_the_same_directory_is_refused(
    cli: Cli, bare: Running, state: Path
) -> None:
    done = await cli.spawn("sandbox", "up", "--state", str(state))
    assert done.code == 2
    assert f"a sandbox runs in {state} already" in done.err
    assert "platform" in alive(state)


async def test_down_ends_it_and_a_second_start_has_the_same_addresses(
    cli: Cli, up: Running, state: Path
) -> None:
    before = (state / "tidegate.toml").read_text()
    shown = await cli.run("sandbox", "status", "--state", str(state))
    assert (shown.code, "temporal" in shown.out) == (0, True)
    assert (await cli.run("sandbox", "down", "--state", str(state))).code == 0
    assert (await up.end()).code == 0
    assert alive(state) == []
    assert (await cli.run("sandbox", "status", "--state", str(state))).code == 4
    again = await _up(cli, state, "--no-workers")
    assert (state / "tidegate.toml").read_text() == before
    again.interrupt()
    await again.end()


@pytest.mark.skipif(not Path("/proc").exists(), reason="the system tells children on Linux only")
async def test_nothing_outlives_a_sandbox_that_is_killed(up: Running, state: Path) -> None:
    assert len(alive(state)) >= 3
    up.process.kill()
    await up.process.wait()
    await eventually(lambda: alive(state) == [])


async def test_a_part_that_dies_is_named_and_ends_the_rest(
    cli: Cli, up: Running, state: Path
) -> None:
    found = {one.name: one.pid for one in ProcessRecords(state / "processes.json").alive()}
    os.kill(found["platform"], signal.SIGKILL)
    done = await up.end()
    assert done.code == 2
    assert "platform ended with exit code -9" in done.err
    assert alive(state) == []


async def test_a_taken_port_is_one_message_and_nothing_runs(cli: Cli, state: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        done = await cli.spawn("sandbox", "up", "--state", str(state), "--ui-port", port)
    assert done.code == 2
    assert f"port {port} for temporal-ui is taken" in done.err
    assert alive(state) == []


async def test_what_the_platform_refuses_is_told(cli: Cli, state: Path) -> None:
    done = await cli.spawn("sandbox", "up", "--state", str(state), "--traffic", "moon=3")
    assert done.code == 2
    assert "'moon' is unknown" in done.err
    assert alive(state) == []


def test_a_state_directory_that_cannot_be_used_is_named(tidegate: Told, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = tidegate("sandbox", "up", "--state", str(tmp_path / "file" / "state"))
    assert done.code == 2
    assert f"cannot use --state {tmp_path}/file/state" in done.err


def test_down_where_nothing_runs_says_so(tidegate: Told, state: Path) -> None:
    done = tidegate("sandbox", "down", "--state", str(state))
    assert (done.code, "no sandbox runs" in done.out) == (4, True)


def test_written_toml_is_read_as_it_was_meant() -> None:
    data = {
        "top": 'with "quotes" and \\',
        "registry": {"plain_http": ["a:1", "b:2"], "size": 3},
        "environments": {"staging": {"namespace": "s"}, "production": {"scrape": "0.5s"}},
    }
    assert tomllib.loads(toml(data)) == data
