"""Heartbeats for work that has no polls of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from temporalio import activity

INTERVAL = timedelta(seconds=5)


@asynccontextmanager
async def heartbeats(doing: str) -> AsyncIterator[None]:
    """Tell Temporal every few seconds that a child program or an upload is still running."""

    async def beat() -> None:
        while True:
            activity.heartbeat(doing)
            await asyncio.sleep(INTERVAL.total_seconds())

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
