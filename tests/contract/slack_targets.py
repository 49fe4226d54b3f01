"""Slack under contract: the sandbox's only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sandbox.slack import Slack
from tests.contract.conversations import Step, conversation
from tests.contract.slack_contracts import CHANNEL, CONTRACTS, MASKS
from tests.contract.targets import Target


@asynccontextmanager
async def simulated() -> AsyncIterator[Target]:
    """The sandbox's workspace with one channel."""
    workspace = Slack((CHANNEL,))
    await workspace.start()
    try:
        headers = {"Authorization": f"Bearer {workspace.token}", "User-Agent": "contract"}
        yield Target(workspace.url.removesuffix("/api/"), headers)
    finally:
        await workspace.close()


async def speak(contract: str, target: Target, steps: list[Step]) -> None:
    """Hold the conversation of one contract; each of its steps is added."""
    async with conversation(target, MASKS) as talk:
        talk.steps = steps
        await CONTRACTS[contract](talk)
