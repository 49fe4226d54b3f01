"""A person at a command line, and a Temporal server with stand-in releases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import yaml
from temporalio.client import Client

from clients.registry import Registry
from domain.policy import Role
from tests.support.cli import Cli, Done, make_policy, make_service
from tests.support.gate import freeze
from tests.support.git import Worktree
from tests.support.registry import running_registry
from tests.support.release_records import request
from tests.support.ssh_keys import KeyFile, make_key
from tests.support.stand_in_release import Release, answering
from tests.support.temporal import connection_to, dev_server

Told = Callable[..., Done]


@pytest.fixture
def repository(tmp_path: Path) -> Worktree:
    """A service's repository with a plan for `album`."""
    return make_service(tmp_path / "repository")


@pytest.fixture
def cli(tmp_path: Path, repository: Worktree) -> Cli:
    """A person in the service's repository; nobody answers at any address they know."""
    person = Cli(repository.path, tmp_path / "tidegate.toml")
    person.connect(
        temporal={"address": "127.0.0.1:1"},
        policy=make_policy(tmp_path / "policy"),
        registry={"default": "127.0.0.1:1", "plain_http": ["127.0.0.1:1"]},
        build={"cache": str(tmp_path / "cache")},
    )
    return person


@pytest.fixture
def tidegate(cli: Cli) -> Told:
    """Run a command, in tests without an event loop of their own."""
    return cli.tell


@pytest.fixture
async def silent_temporal(cli: Cli) -> AsyncIterator[Client]:
    """A real server without any worker; the person's connection file names it."""
    async with dev_server() as server:
        cli.connect(temporal={**connection_to(server), "ui": "http://ui.example"})
        yield server.client


@pytest.fixture
async def temporal(silent_temporal: Client) -> AsyncIterator[Client]:
    """The server with a worker that serves stand-in releases."""
    async with answering(silent_temporal):
        yield silent_temporal


@pytest.fixture
def key(cli: Cli, tmp_path: Path) -> KeyFile:
    """Alice's key, which the policy lists."""
    made = make_key(tmp_path / "alice", "-t", "ed25519")
    alice = {
        "principal": "alice",
        "emails": ["alice@example.com"],
        "keys": [made.public],
        "roles": [role.value for role in Role],
    }
    cli.connect(policy=make_policy(tmp_path / "keyed", yaml.safe_dump({"people": [alice]})))
    return made


@pytest.fixture
async def waiting(cli: Cli, temporal: Client, tmp_path: Path) -> AsyncIterator[Release]:
    """A release whose evidence lies in a registry and waits for approval."""
    async with running_registry(tmp_path / "registry") as server:
        cli.connect(registry={"default": server.address, "plain_http": [server.address]})
        async with Registry([server.address]) as registry:
            release = await Release.started(temporal, request())
            await freeze(registry, release, f"{server.address}/isa/album")
        yield release
