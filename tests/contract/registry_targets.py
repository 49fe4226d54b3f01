"""Registries under contract: the sandbox's, or CNCF distribution's."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import yaml

from sandbox.registry import Registry
from tests.cluster import ports
from tests.cluster.processes import Processes
from tests.cluster.programs import program
from tests.contract.conversations import Question, Step, conversation
from tests.contract.registry_contracts import CONTRACTS, MASKS
from tests.contract.targets import Target

_HEADERS = {"User-Agent": "contract"}


@asynccontextmanager
async def simulated(directory: Path) -> AsyncIterator[Target]:
    """The sandbox's registry."""
    registry = Registry(directory)
    await registry.start()
    try:
        yield Target(registry.url, _HEADERS)
    finally:
        await registry.close()


@asynccontextmanager
async def real(directory: Path) -> AsyncIterator[Target]:
    """Distribution's registry on a free port, its content in the directory."""
    (port,) = ports.free(1)
    address = f"{ports.HOST}:{port}"
    settings = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {
            "filesystem": {"rootdirectory": str(directory / "content")},
            "delete": {"enabled": True},
        },
        "http": {"addr": address, "secret": secrets.token_hex(16)},
    }
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "registry.yaml"
    file.write_text(yaml.safe_dump(settings))
    target = Target(f"http://{address}", _HEADERS)
    with Processes(directory / "processes") as processes:
        processes.start("registry", [program("registry"), "serve", file])
        async with conversation(target, MASKS) as talk:
            await talk.until_reached(
                lambda: Question("GET", "/v2/"),
                lambda answer: answer.status == 200,
                processes.refuse_ended,
            )
        yield target


async def speak(contract: str, target: Target) -> list[Step]:
    """Hold the conversation of one contract, in a fresh repository; its steps."""
    repository = f"contract/{secrets.token_hex(4)}"
    async with conversation(target, MASKS) as talk:
        talk.names = {repository: "{repository}"}
        await CONTRACTS[contract](talk, repository)
    return talk.steps
