"""Heartbeats in the background: work that waits for others must not look like a lost worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from temporalio import activity

INTERVAL = timedelta(seconds=5)
# Of a shorter heartbeat timeout, one late or lost beat must not cost the attempt.
BEATS_PER_TIMEOUT = 4


class Pulse:
    """What the heartbeats carry: Temporal keeps it for the attempt after a lost worker."""

    def __init__(self, details: object) -> None:
        self.details = details

    def carry(self, details: object) -> None:
        """Carry this from now on; the first time at once."""
        self.details = details
        activity.heartbeat(details)


@asynccontextmanager
async def heartbeats(details: object) -> AsyncIterator[Pulse]:
    """Tell Temporal every few seconds that this activity lives, however long others take.

    A server that accepts and never answers is the business of its client's timeout: without these
    beats the attempt would end first, and the next one would begin the same wait again.
    """
    pulse = Pulse(details)

    async def beat() -> None:
        while True:
            activity.heartbeat(pulse.details)
            await asyncio.sleep(_interval().total_seconds())

    task = asyncio.create_task(beat())
    try:
        yield pulse
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _interval() -> timedelta:
    timeout = activity.info().heartbeat_timeout
    return min(INTERVAL, timeout / BEATS_PER_TIMEOUT) if timeout else INTERVAL
