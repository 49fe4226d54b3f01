"""Registries under contract: the sandbox's, or CNCF distribution's."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import bcrypt
import yaml

from clients.registry_auth import Login
from sandbox.registry import Registry
from sandbox.registry.login import REALM
from tests.cluster import ports
from tests.cluster.processes import Processes
from tests.cluster.programs import program
from tests.contract.conversations import Question, Step, conversation
from tests.contract.registry_contracts import (
    ANONYMOUS,
    CONTRACTS,
    MASKS,
    MISTAKEN,
    OF_ANOTHER_SCHEME,
    UNKNOWN,
)
from tests.contract.registry_tokens import CONTRACTS as TOKEN_CONTRACTS
from tests.contract.registry_tokens import GUESSING, IDENTIFIED, LOGGED_IN, PATH
from tests.contract.targets import Target
from tests.contract.token_server import TokenServer
from tests.support.registry import Front

_HEADERS = {"User-Agent": "tidegate-registry/contract"}
_USER, _PASSWORD = "builder", "pass:word"
_IDENTIFIED = Login(_USER, _PASSWORD, IDENTIFIED)


@asynccontextmanager
async def simulated(directory: Path) -> AsyncIterator[Target]:
    """The sandbox's registry."""
    async with _simulated(Registry(directory)) as url:
        yield Target(url, _HEADERS)


@asynccontextmanager
async def simulated_locked(directory: Path) -> AsyncIterator[Target]:
    """The sandbox's registry, demanding a login."""
    async with _simulated(Registry(directory, {_USER: _PASSWORD})) as url:
        yield _locked(url)


@asynccontextmanager
async def _simulated(registry: Registry) -> AsyncIterator[str]:
    await registry.start()
    try:
        yield registry.url
    finally:
        await registry.close()


@asynccontextmanager
async def real(directory: Path) -> AsyncIterator[Target]:
    """Distribution's registry."""
    async with distribution(directory, {}) as url:
        yield Target(url, _HEADERS)


@asynccontextmanager
async def real_locked(directory: Path) -> AsyncIterator[Target]:
    """Distribution's registry, demanding a login."""
    directory.mkdir(parents=True, exist_ok=True)
    users = directory / "users"
    hashed = bcrypt.hashpw(_PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    users.write_text(f"{_USER}:{hashed}\n")
    async with distribution(directory, {"htpasswd": {"realm": REALM, "path": str(users)}}) as url:
        yield _locked(url)


@asynccontextmanager
async def simulated_with_tokens(directory: Path) -> AsyncIterator[Target]:
    """The sandbox's registry behind the double that our clients' tests have before it."""
    async with _simulated(Registry(directory)) as url, Front(url).running() as front:
        front.rule = TokenServer(_IDENTIFIED).demanding(front)
        yield _asking(f"http://{front.address}", f"http://{front.address}")


@asynccontextmanager
async def real_with_tokens(directory: Path) -> AsyncIterator[Target]:
    """Distribution's registry, which takes the tokens of our double of a token server."""
    directory.mkdir(parents=True, exist_ok=True)
    async with (
        TokenServer(_IDENTIFIED).running() as server,
        distribution(directory, server.authentication(directory)) as url,
    ):
        yield _asking(url, server.realm.removesuffix(PATH))


@asynccontextmanager
async def distribution(directory: Path, authentication: Mapping[str, Any]) -> AsyncIterator[str]:
    """Distribution's registry on a free port, its content in the directory; its URL."""
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
        "auth": dict(authentication),
    }
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "registry.yaml"
    file.write_text(yaml.safe_dump({key: value for key, value in settings.items() if value}))
    with Processes(directory / "processes") as processes:
        processes.start("registry", [program("registry"), "serve", file])
        async with conversation(Target(f"http://{address}", _HEADERS), MASKS) as talk:
            await talk.until_reached(
                lambda: Question("GET", "/v2/"),
                lambda answer: answer.status in (200, 401),
                processes.refuse_ended,
            )
        yield f"http://{address}"


def _locked(url: str) -> Target:
    shown = {ANONYMOUS: None, MISTAKEN: Login(_USER, "guessed"), UNKNOWN: Login("x", _PASSWORD)}
    others = {name: Target(url, _shown(login)) for name, login in shown.items()}
    others[OF_ANOTHER_SCHEME] = Target(url, {"Authorization": "Bearer token", **_HEADERS})
    return Target(url, _shown(Login(_USER, _PASSWORD)), others=others)


def _asking(url: str, server: str) -> Target:
    guess = Login(_USER, "guessed")
    shown = {LOGGED_IN: _IDENTIFIED, GUESSING: guess, IDENTIFIED: None}
    others = {name: Target(server, _shown(login)) for name, login in shown.items()}
    return Target(url, _HEADERS, others=others)


def _shown(login: Login | None) -> dict[str, str]:
    return {"Authorization": login.basic, **_HEADERS} if login else _HEADERS


async def speak(contract: str, target: Target, steps: list[Step]) -> None:
    """Hold the conversation of one contract, in a fresh repository; each of its steps is added."""
    repository = f"contract/{secrets.token_hex(4)}"
    async with conversation(target, MASKS) as talk:
        talk.steps = steps
        talk.names = {repository: "{repository}"}
        await {**CONTRACTS, **TOKEN_CONTRACTS}[contract](talk, repository)
