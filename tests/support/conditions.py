"""Waiting for a condition instead of sleeping."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable

PATIENCE_SECONDS = 30.0
PAUSE_SECONDS = 0.02


async def eventually(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    """Return as soon as the condition holds; TimeoutError when it does not become true."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            held = condition()
            if await held if isawaitable(held) else held:
                return
            await asyncio.sleep(PAUSE_SECONDS)
